package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/camera/v4l2"
	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

func noEnv(string) string { return "" }

// noSystem is the root of a PC of which nothing is to be read.
const noSystem device.Root = "no such folder"

// gokrazyRoot is the root of an appliance.
func gokrazyRoot(t testing.TB) device.Root {
	t.Helper()
	root := device.Root(t.TempDir())
	if err := os.Mkdir(root.Path("gokrazy"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, root.Path("gokrazy/init"), "")
	return root
}

func TestParse(t *testing.T) {
	env := map[string]string{
		"PUSHCAM_SIZE": "640x480", "PUSHCAM_IDLE_HOLD": "1m", "PUSHCAM_ALWAYS_ON": "true", "PUSHCAM_LISTEN": ":9999",
	}
	c, err := parse(noSystem, []string{"-listen", "127.0.0.1:7000", "-fps", "12.5"}, func(k string) string { return env[k] }, setup.Setup{}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c.listen != "127.0.0.1:7000" || c.fps != 12.5 || c.size != (size{640, 480}) || c.idleHold != time.Minute || !c.alwaysOn || c.maxViewers != 128 {
		t.Errorf("parsed %+v", c)
	}
}

// Each setting comes from the strongest layer that has it, and that one is known.
func TestLayers(t *testing.T) {
	env := map[string]string{"PUSHCAM_FPS": "20", "PUSHCAM_SIZE": "640x480", "PUSHCAM_BITRATE": "6M"}
	card := setup.Setup{Settings: setup.Settings{Flags: map[string]string{"fps": "10", "size": "320x240", "session-frames": "7", "control": "rotate=180"}}}
	getenv := func(k string) string { return env[k] }
	c, err := parse(noSystem, []string{"-fps", "25"}, getenv, card, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c.fps != 25 || c.size != (size{640, 480}) || c.sessionFrames != 7 || c.idleHold != 10*time.Second {
		t.Errorf("parsed %+v", c)
	}
	want := map[string]given{
		"fps":            {"25", byFlag},
		"size":           {"640x480", byEnvironment},
		"bitrate":        {"6m", byEnvironment},
		"session-frames": {"7", byCard},
		"control":        {"rotate=180", byCard},
	}
	if diff := cmp.Diff(want, c.given); diff != "" {
		t.Errorf("what is given (-want +got):\n%s", diff)
	}
	wantControls := map[string]given{"bitrate": {"6m", byEnvironment}, "rotate": {"180", byCard}, "iso": {"100", bySettings}}
	kept := v4l2.Controls{"bitrate": "1m", "rotate": "0", "iso": "100"}
	if diff := cmp.Diff(wantControls, c.controlsOver(kept)); diff != "" {
		t.Errorf("controls (-want +got):\n%s", diff)
	}
}

// The limits follow from the memory budget where they are not given.
func TestParseMemory(t *testing.T) {
	for _, tt := range []struct {
		args              []string
		viewers, sessions int
	}{
		{nil, 128, 64},
		{[]string{"-memory", "64"}, 64, 32},
		{[]string{"-memory", "64", "-max-viewers", "5"}, 5, 32},
	} {
		c, err := parse(noSystem, tt.args, noEnv, setup.Setup{}, io.Discard, io.Discard)
		if err != nil || c.maxViewers != tt.viewers || c.maxSessions != tt.sessions {
			t.Errorf("%v: %+v, %v; want %d viewers and %d sessions", tt.args, c, err, tt.viewers, tt.sessions)
		}
	}
}

// The viewers' password is in nothing that the program says of its settings.
func TestViewerPasswordIsNotTold(t *testing.T) {
	for _, password := range []string{"look and see", "short"} {
		var stderr strings.Builder
		c, err := parse(noSystem, []string{"-viewing", "closed", "-viewer-password", password}, noEnv, setup.Setup{}, io.Discard, &stderr)
		if (err != nil) != (password == "short") {
			t.Fatal(err)
		}
		told := stderr.String()
		if c != nil {
			told += fmt.Sprint(c.given)
		}
		if strings.Contains(strings.ReplaceAll(told, "too short", ""), password) || c != nil && c.given["viewer-password"].Value != "***" {
			t.Errorf("it tells %q", told)
		}
	}
}

// For camera.Camera, an IdleHold of 0 is its default of 10 s.
func TestParseNoIdleHold(t *testing.T) {
	c, err := parse(noSystem, []string{"-idle-hold", "0"}, noEnv, setup.Setup{}, io.Discard, io.Discard)
	if err != nil || c.idleHold <= 0 || c.idleHold > time.Millisecond {
		t.Errorf("%+v, %v; want the camera to stop at once", c, err)
	}
}

// The appliance has other defaults than a PC, and never shows a test pattern by
// itself.
func TestParseDefaults(t *testing.T) {
	appliance := gokrazyRoot(t)
	for root, want := range map[device.Root][]string{
		noSystem:  {":8080", "auto", "none"},
		appliance: {":80", "v4l2", "auto", appliance.Path("perm/pushcam")},
	} {
		c, err := parse(root, nil, noEnv, setup.Setup{}, io.Discard, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		got := []string{c.listen, c.source.kind, c.ledSys, c.stateDir}[:len(want)]
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", root, diff)
		}
	}
}

// What is wrong is said in one line with its name, and what to do.
func TestParseErrors(t *testing.T) {
	tests := []struct {
		args []string
		env  string // NAME=value
		want string
	}{
		{args: []string{"-viewing", "private"}, want: `-viewing is open or closed, not "private"`},
		{args: []string{"-viewing", "closed"}, want: "set PUSHCAM_VIEWER_PASSWORD in the environment"},
		{args: []string{"-viewing", "closed"}, env: "PUSHCAM_VIEWER_PASSWORD=short", want: "-viewer-password: the password is too short"},
		{args: []string{"-size", "big"}, want: "1280x720"},
		{args: []string{"-size", "0x720"}, want: "1280x720"},
		{args: []string{"-fps", "0"}, want: "-fps"},
		{args: []string{"-fps", "NaN"}, want: "-fps"},
		{args: []string{"-fps", "x"}, want: "it takes a number, as 30 or 12.5; pushcam -h"},
		{args: []string{"-memory", "64MiB"}, want: "it takes a whole number"},
		{args: []string{"-idle-hold", "10"}, want: "as 500ms, 10s"},
		{args: []string{"-always-on=maybe"}, want: "it takes true or false"},
		{args: []string{"-quality", "101"}, want: "-quality"},
		{args: []string{"-bitrate", "fast"}, want: "8M or 800k"},
		{args: []string{"-bitrate", "8kM"}, want: "8M or 800k"},
		{args: []string{"-bitrate", "0"}, want: "8M or 800k"},
		{args: []string{"-format", "png"}, want: `not "png"`},
		{args: []string{"-control", "rotate"}, want: "rotate=180"},
		{env: "PUSHCAM_CONTROL=rotate", want: "rotate=180"},
		{args: []string{"-source", "tv"}, want: `not "tv"`},
		{args: []string{"-source", "replay:"}, want: "replay:pictures/"},
		{args: []string{"-idle-hold", "-1s"}, want: "-idle-hold"},
		{args: []string{"-max-viewers", "-1"}, want: "-max-viewers"},
		{args: []string{"-memory", "10"}, want: "-memory"},
		{args: []string{"-led-gpio", "-2"}, want: "-led-gpio"},
		{args: []string{"-led-gpio", "3", "-button-gpio", "3"}, want: "both line 3"},
		{args: []string{"-button-hold", "1ms"}, want: "-button-hold"},
		{args: []string{"-viewer-timeout", "1ms"}, want: "-viewer-timeout"},
		{args: []string{"-session-timeout", "0"}, want: "-session-timeout"},
		{args: []string{"-log-level", "loud"}, want: "debug, info, warn or error"},
		{args: []string{"-nonsense"}, want: "nonsense"},
		{args: []string{"picture.jpg"}, want: `not "picture.jpg"`},
		{env: "PUSHCAM_FPS=fast", want: `PUSHCAM_FPS is "fast": it takes a number`},
		{env: "PUSHCAM_MAX_SESSIONS=-1", want: "-max-sessions"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " ")+tt.env, func(t *testing.T) {
			name, value, _ := strings.Cut(tt.env, "=")
			var out bytes.Buffer
			_, err := parse(noSystem, tt.args, func(k string) string {
				if k == name {
					return value
				}
				return ""
			}, setup.Setup{}, io.Discard, &out)
			text := out.String()
			if !errors.Is(err, errUsage) || exitCode(err) != 2 {
				t.Errorf("error %v", err)
			}
			if !strings.Contains(text, tt.want) || strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "pushcam: ") {
				t.Errorf("said %q, want one line with %q", text, tt.want)
			}
		})
	}
}

func TestUsageShowsEveryFlagOnce(t *testing.T) {
	var out bytes.Buffer
	_, err := parse(noSystem, []string{"-h"}, noEnv, setup.Setup{}, &out, io.Discard)
	if !errors.Is(err, flag.ErrHelp) || exitCode(err) != 0 {
		t.Fatalf("-h: %v", err)
	}
	var shown []string
	for line := range strings.Lines(out.String()) {
		if name, ok := strings.CutPrefix(line, "  -"); ok {
			shown = append(shown, strings.Fields(name)[0])
		}
	}
	var c config
	var want []string
	c.flags().VisitAll(func(f *flag.Flag) { want = append(want, f.Name) })
	slices.Sort(shown)
	if !slices.Equal(shown, want) {
		t.Errorf("-h shows\n%v, the flags are\n%v", shown, want)
	}
}
