package main

import (
	"errors"
	"io"
	"log/slog"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/pusher"
)

// What is chosen with the owner's password serves, unless the card says something else.
func TestChosenAtFirstSight(t *testing.T) {
	for _, tt := range []struct {
		name, card, viewing string
		offered             bool
	}{
		{"nothing on the card", "", "closed", true},
		{"the card rules", "open", "open", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			card := setup.Setup{Settings: setup.Settings{Flags: map[string]string{}}}
			if tt.card != "" {
				card.Flags["viewing"] = tt.card
			}
			c, err := parse(gokrazyRoot(t), nil, noEnv, card, io.Discard, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			p, renamed := newPage(t, "pushcam"), ""
			p.now.Store(c)
			p.rename = func(name string) error { renamed = name; return nil }
			if name, offered := p.offers(); name != "pushcam" || offered != tt.offered {
				t.Errorf("%s, %v are offered", name, offered)
			}
			if err := p.take(pusher.Choice{Name: "garden", Viewing: "closed"}); err != nil {
				t.Fatal(err)
			}
			if got := p.now.Load().viewing; got != tt.viewing || renamed != "garden" {
				t.Errorf("viewing is %s, the name %q", got, renamed)
			}
		})
	}
}

// Of several changes none serves if the last one fails.
func TestNameThatCannotBeKept(t *testing.T) {
	p := newPage(t, "pushcam")
	p.controls = newControls(p.now.Load(), p.kept, slog.New(slog.DiscardHandler))
	if err := p.Change(map[string]any{"quality": int64(70)}); err != nil && runtime.GOOS == "linux" {
		t.Fatal(err)
	}
	kept := p.kept.controls()
	p.rename = func(string) error { return errors.New("no room") }
	if err := p.Change(map[string]any{"name": "garden", "fps": 5.0, "viewer_password": "look and see", "quality": int64(80), "bitrate": "8M"}); err == nil {
		t.Error("it was changed")
	}
	if diff := cmp.Diff(kept, p.kept.controls()); diff != "" {
		t.Errorf("controls (-want +got):\n%s", diff)
	}
	if p.now.Load().fps != 30 || p.kept.viewerHash() != "" || len(p.kept.page()) != 0 {
		t.Errorf("%v fps, %v", p.now.Load().fps, p.kept.page())
	}
}

// Whoever has the password chooses a camera, and has no other file opened.
func TestDeviceOfThePage(t *testing.T) {
	c, err := parse(noSystem, nil, noEnv, setup.Setup{}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for device, serves := range map[string]bool{
		"/dev/video2": true, "/dev/v4l/by-id/usb-cheap-index0": true, "C920": true, "usb-0000:01:00.0-1.2": true,
		"/dev/watchdog": false, "/dev/video/../watchdog": false, "/dev/v4l/../sda": false, "/etc/passwd": false, "//dev/video2": false,
	} {
		if _, err := c.with(map[string]string{"device": device}); (err == nil) != serves {
			t.Errorf("%s: %v", device, err)
		}
	}
}
