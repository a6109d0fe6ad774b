package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/camera"
)

func quietSettings(dir string) *settings {
	return openSettings(dir, true, slog.New(slog.DiscardHandler))
}

func TestSettings(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "pushcam")
	s := quietSettings(dir)
	if s.privacy() != nil || s.trouble != "" {
		t.Errorf("without a file: %+v", s.values)
	}
	s.togglePrivacy()
	if s.privacy() != camera.ErrPrivate {
		t.Errorf("closed: %v", s.privacy())
	}
	if again := quietSettings(dir); again.privacy() != camera.ErrPrivate || again.trouble != "" {
		t.Errorf("after a restart: %+v, %s", again.values, again.trouble)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if diff := cmp.Diff([]string{filepath.Join(dir, "settings.json")}, names); err != nil || diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// What cannot be read or kept is said. A camera that may have been closed stays
// closed, over restarts, until its owner opens it.
func TestSettingsTrouble(t *testing.T) {
	file := func(text string) func(t *testing.T, dir string) string {
		return func(t *testing.T, dir string) string { write(t, filepath.Join(dir, "settings.json"), text); return dir }
	}
	tests := []struct {
		name    string
		prepare func(t *testing.T, dir string) string // returns the folder to use
		closed  bool
		opened  string // part of what is said then
		toggled string // and after two changes
	}{
		{"half a file", file(`{"privacy": tr`), true, "settings.json.bad", ""},
		{"an empty file", file(""), true, "settings.json.bad", ""},
		{"another value", file(`{"privacy": "no"}`), true, "settings.json.bad", ""},
		{"does not say", file("{}"), true, "", ""},
		{"huge file", file(strings.Repeat(" ", maxSettings+1)), true, "more than 65536 bytes", ""},
		{"damaged twice", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "settings.json.bad"), "older")
			return file("{")(t, dir)
		}, true, "settings.json.bad", ""},
		{"a folder in its place", func(t *testing.T, dir string) string {
			if err := os.Mkdir(filepath.Join(dir, "settings.json"), 0o755); err != nil {
				t.Fatal(err)
			}
			return dir
		}, true, "no plain file", ""},
		{"cannot be set aside", func(t *testing.T, dir string) string {
			if err := os.Mkdir(filepath.Join(dir, "settings.json.bad"), 0o755); err != nil {
				t.Fatal(err)
			}
			return file("{")(t, dir)
		}, true, "cannot be set aside", ""},
		{"the folder is a file", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "file"), "")
			return filepath.Join(dir, "file")
		}, false, "cannot be kept", "cannot be kept"},
		{"no folder", func(*testing.T, string) string { return "" }, false, "-state-dir", "-state-dir"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tt.prepare(t, t.TempDir())
			for range 2 { // the second time is after a power cut
				s := quietSettings(dir)
				if (s.trouble == "") != (tt.opened == "") || !strings.Contains(s.trouble, tt.opened) && !strings.Contains(s.trouble, "were damaged, and are in") {
					t.Errorf("when opened it said %q, want %q", s.trouble, tt.opened)
				}
				if why := s.privacy(); (why != nil) != tt.closed {
					t.Errorf("closed: %v, want %v", why, tt.closed)
				} else if tt.closed && tt.opened != "" && !strings.Contains(why.Error(), "until you press its button") {
					t.Errorf("what to do: %v", why)
				}
			}
			s := quietSettings(dir)
			s.togglePrivacy()
			if why := s.privacy(); (why == nil) != tt.closed {
				t.Errorf("the change does not serve: %v", why)
			}
			s.togglePrivacy()
			if (s.trouble == "") != (tt.toggled == "") || !strings.Contains(s.trouble, tt.toggled) {
				t.Errorf("after a change it said %q, want %q", s.trouble, tt.toggled)
			}
			if again := quietSettings(dir); tt.toggled == "" && (again.trouble != "" || (again.privacy() != nil) != tt.closed) {
				t.Errorf("after a restart: %v, %q", again.privacy(), again.trouble)
			}
		})
	}
}

// Without a button it is another way.
func TestSettingsWithoutButton(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "settings.json"), "{")
	s := openSettings(dir, false, slog.New(slog.DiscardHandler))
	want := "the camera stays closed until you delete " + filepath.Join(dir, "settings.json*") + " and start pushcam again: "
	if why := s.privacy(); why == nil || !strings.HasPrefix(why.Error(), want) {
		t.Errorf("%v, want %q", why, want)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
