package main

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/setup"
)

// Whatever the card's file has, the program starts with what is good of it.
func TestCardFlags(t *testing.T) {
	for _, tt := range []struct {
		name     string
		card     map[string]string
		want     map[string]string // what the card has set
		problems []string
	}{
		{"usual ones", map[string]string{"fps": "10", "size": "640x480", "always-on": "yes", "privacy-button": "off"},
			map[string]string{"fps": "10", "size": "640x480", "always-on": "true", "privacy-button": "false"}, nil},
		{"controls", map[string]string{"rotate": "180", "white-balance": "daylight", "control": "hflip=on,gain=3"},
			map[string]string{"control": "gain=3,hflip=on,rotate=180,white_balance=daylight"}, nil},
		{"what goes together only", map[string]string{"led-gpio": "3", "button-gpio": "17"},
			map[string]string{"led-gpio": "3", "button-gpio": "17"}, nil},

		{"bad values", map[string]string{"fps": "fast", "size": "big", "idle-hold": "10", "always-on": "ja", "quality": "90"}, map[string]string{"quality": "90"}, []string{
			`pushcam.txt, line 7: always-on cannot be "ja"; its default is "false".`,
			`pushcam.txt, line 7: fps cannot be "fast"; its default is "30".`,
			`pushcam.txt, line 7: idle-hold cannot be "10"; its default is "10s".`,
			`pushcam.txt, line 7: size cannot be "big"; its default is "1280x720".`}},
		{"values out of bounds", map[string]string{"fps": "5000", "size": "640x480", "source": "telly"}, map[string]string{"size": "640x480"}, []string{
			"pushcam.txt, line 7: fps is above 0 and at most 1000, not 5000.",
			`pushcam.txt, line 7: source is auto, v4l2, pattern, replay:PATH or the URL of a stream, not "telly".`}},
		{"unknown names", map[string]string{"fsp": "10", "wifi-pasword": "x", "telephone": "y", "rotation": "180"}, map[string]string{}, []string{
			`pushcam.txt, line 7: There is no setting "fsp"; fps may be meant.`,
			`pushcam.txt, line 7: There is no setting "rotation"; a control of the camera is given as control=name=value.`,
			`pushcam.txt, line 7: There is no setting "telephone"; a control of the camera is given as control=name=value.`,
			`pushcam.txt, line 7: There is no setting "wifi-pasword"; wifi-password may be meant.`}},
		{"what the card cannot set", map[string]string{"listen": ":81", "state-dir": "/tmp", "version": "true"}, map[string]string{}, []string{
			"pushcam.txt, line 7: listen cannot be set here: the appliance serves at port 80.",
			"pushcam.txt, line 7: state-dir cannot be set here: the appliance keeps what is changed on the card's last partition.",
			"pushcam.txt, line 7: version cannot be set here: the program would print it and end."}},
		{"closed", map[string]string{"viewing": "closed"}, map[string]string{"viewing": "closed"}, nil},
		{"closed, as it seems", map[string]string{"viewing": "close"}, map[string]string{"viewing": "closed"}, []string{
			`pushcam.txt, line 7: viewing is open or closed, not "close"; it is closed until you mend this.`}},
		{"a bad control", map[string]string{"control": "rotate", "hflip": "on"}, map[string]string{"control": "hflip=on"}, []string{
			`pushcam.txt, line 7: a control is given as name=value, as rotate=180, not "rotate".`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			card := setup.Setup{Settings: setup.Settings{Flags: tt.card}, Places: map[string]setup.Place{}}
			for name := range tt.card {
				card.Places[name] = setup.Place{File: setup.TextFile, Line: 7}
			}
			var stderr strings.Builder
			c, err := parse(gokrazyRoot(t), nil, noEnv, card, io.Discard, &stderr)
			if err != nil || stderr.Len() > 0 {
				t.Fatalf("%v, %s", err, stderr.String())
			}
			got := map[string]string{}
			for name, g := range c.given {
				if got[name] = g.Value; g.By != byCard {
					t.Errorf("%s is by %s", name, g.By)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("what is set (-want +got):\n%s", diff)
			}
			var problems []string
			for _, p := range c.problems {
				problems = append(problems, p.String())
			}
			if diff := cmp.Diff(tt.problems, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
