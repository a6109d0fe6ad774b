package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gpio"
)

// Every phase of the camera has a pattern of its own, and the button's count
// down and the program's end go before it.
func TestPanelFollows(t *testing.T) {
	p := new(panel)
	seen := map[gpio.Pattern]camera.Phase{}
	for _, phase := range camera.Phases {
		p.follow(phase)
		if other, ok := seen[p.shown]; ok && phase != camera.Stopping {
			t.Errorf("%s and %s look the same", phase, other)
		}
		seen[p.shown] = phase
	}
	p.follow(camera.Live)
	p.press(true)
	p.follow(camera.Fault)
	if p.shown != gpio.Countdown {
		t.Errorf("while the button is held: %v", p.shown)
	}
	p.press(false)
	if p.shown != gpio.Fault {
		t.Errorf("after it was let go: %v", p.shown)
	}
	p.end(gpio.ShuttingDown)
	p.follow(camera.Stopping)
	p.press(true)
	if p.shown != gpio.ShuttingDown {
		t.Errorf("at the end: %v", p.shown)
	}
	p.end(gpio.SafeToUnplug)
	p.end(gpio.ShuttingDown) // came late
	if p.shown != gpio.SafeToUnplug {
		t.Errorf("after the end: %v", p.shown)
	}
}

// fakeButton is pressed from one time to another, counted from its first Wait.
type fakeButton struct {
	began    time.Time
	from, to time.Duration
}

func (b *fakeButton) Close() error { return nil }

func (b *fakeButton) Wait(d time.Duration) (pressed bool, err error) {
	if b.began.IsZero() {
		b.began = time.Now()
	}
	for _, edge := range []time.Duration{b.from, b.to} {
		if at := time.Until(b.began.Add(edge)); at > 0 {
			d = min(d, at)
		}
	}
	time.Sleep(d)
	now := time.Since(b.began)
	return now >= b.from && now < b.to, nil
}

func TestPanelButton(t *testing.T) {
	for _, tt := range []struct {
		name        string
		held        time.Duration
		short, hold int
	}{
		{"short press", 300 * time.Millisecond, 1, 0},
		{"let go in the countdown", 1500 * time.Millisecond, 0, 0},
		{"held", 2500 * time.Millisecond, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := new(panel)
				p.button.Input = &fakeButton{from: 5 * time.Second, to: 5*time.Second + tt.held}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				var short, hold int
				p.runButton(ctx, func() { short++ }, func() { hold++ }, slog.New(slog.DiscardHandler))
				if short != tt.short || hold != tt.hold {
					t.Errorf("%d short presses, %d holds; want %d and %d", short, hold, tt.short, tt.hold)
				}
			})
		})
	}
}

func TestSettings(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	dir := filepath.Join(t.TempDir(), "new", "pushcam")
	s := openSettings(dir, log)
	if s.privacy() || s.trouble != "" {
		t.Errorf("without a file: %+v", s.values)
	}
	if !s.togglePrivacy() {
		t.Error("toggled from false to false")
	}
	if again := openSettings(dir, log); !again.privacy() || again.trouble != "" {
		t.Errorf("after a restart: %+v, %s", again.values, again.trouble)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if diff := cmp.Diff([]string{filepath.Join(dir, "settings.json")}, names); err != nil || diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// What cannot be read or kept is said, and the camera goes on with the defaults.
func TestSettingsTrouble(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, dir string) string // returns the folder to use
		opened  string                                // part of what is said then
		toggled string                                // and after a change
	}{
		{"damaged file", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "settings.json"), "{half a fi")
			return dir
		}, "settings.json.bad", ""},
		{"a folder in its place", func(t *testing.T, dir string) string {
			if err := os.Mkdir(filepath.Join(dir, "settings.json"), 0o755); err != nil {
				t.Fatal(err)
			}
			return dir
		}, "no settings file", "cannot be kept"},
		{"huge file", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "settings.json"), strings.Repeat(" ", maxSettings+1))
			return dir
		}, "no settings file", ""},
		{"the folder is a file", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "file"), "")
			return filepath.Join(dir, "file")
		}, "cannot be read", "cannot be kept"},
		{"no folder", func(*testing.T, string) string { return "" }, "-state-dir", "-state-dir"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := openSettings(tt.prepare(t, t.TempDir()), slog.New(slog.DiscardHandler))
			if !strings.Contains(s.trouble, tt.opened) {
				t.Errorf("when opened it said %q, want %q", s.trouble, tt.opened)
			}
			if !s.togglePrivacy() || !s.privacy() {
				t.Error("the change does not serve")
			}
			if (s.trouble == "") != (tt.toggled == "") || !strings.Contains(s.trouble, tt.toggled) {
				t.Errorf("after a change it said %q, want %q", s.trouble, tt.toggled)
			}
		})
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
