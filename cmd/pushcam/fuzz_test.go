package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/setup"
)

// Whatever the card's file has, the program starts.
func FuzzCardFlags(f *testing.F) {
	for _, pair := range [][2]string{
		{"fps", "10"}, {"size", "640x480"}, {"control", "hflip=on,gain=3"}, {"rotate", "180"}, {"idle-hold", "10"}, {"memory", "-1"},
		{"bitrate", "8M"}, {"led-gpio", "99"}, {"allow-origin", "https://a.example"}, {"always-on", "yes"}, {"listen", ":81"}, {"", ""},
	} {
		f.Add(pair[0], pair[1], "quality", "90")
	}
	root := gokrazyRoot(f)
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		card := setup.Setup{Settings: setup.Settings{Flags: map[string]string{name1: value1, name2: value2}}, Places: map[string]setup.Place{}}
		if _, err := parse(root, nil, noEnv, card, io.Discard, io.Discard); err != nil {
			t.Errorf("%q and %q keep the program from starting: %v", name1+"="+value1, name2+"="+value2, err)
		}
	})
}

// A camera whose settings cannot be read is closed, and what was there is kept.
func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"privacy":true}`))
	f.Add([]byte(`{"privacy":false,"owners_addresses":["10.0.0.1"]}`))
	f.Add([]byte(`{"privacy": tr`))
	f.Add([]byte("\x00\x00"))
	dir := f.TempDir()
	path := filepath.Join(dir, settingsFile)
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		s := openSettings(dir, true, slog.New(slog.DiscardHandler))
		if !json.Valid(text) && s.privacy() == nil {
			t.Errorf("with the settings %q the camera is open", text)
		}
	})
}
