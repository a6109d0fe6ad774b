package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest"
	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/pusher"
)

// quietSettings are as the program has them when it has run for a moment.
func quietSettings(dir string) *settings {
	s := openSettings(dir, true, slog.New(slog.DiscardHandler))
	s.try()
	return s
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
	s.keep()
	if again := quietSettings(dir); again.privacy() != camera.ErrPrivate || again.trouble != "" {
		t.Errorf("after a restart: %+v, %s", again.values, again.trouble)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if diff := cmp.Diff([]string{filepath.Join(dir, "settings.json")}, names); err != nil || diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// Where the owner came from is kept, but is no part of /state, which everybody sees.
func TestSettingsOwnersAddresses(t *testing.T) {
	dir := t.TempDir()
	want := []string{"192.0.2.7", "fe80::1%eth0"}
	s := quietSettings(dir)
	s.setOwnersAddresses(want)
	s.keep()
	again := quietSettings(dir)
	if diff := cmp.Diff(want, again.ownersAddresses()); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
	if text, err := json.Marshal(again.state()); err != nil || strings.Contains(string(text), "192.0.2.7") {
		t.Errorf("/state says %s, %v", text, err)
	}
}

// Tokens are kept as hashes, and are no part of /state.
func TestSettingsTokens(t *testing.T) {
	dir := t.TempDir()
	want := []pusher.Token{{Name: "nvr", Hash: "abcdef", Made: time.Unix(1e9, 0).UTC()}}
	s := quietSettings(dir)
	s.setTokens(want)
	s.keep()
	again := quietSettings(dir)
	if diff := cmp.Diff(want, again.tokens()); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
	if text, err := json.Marshal(again.state()); err != nil || strings.Contains(string(text), "nvr") || strings.Contains(string(text), "abcdef") {
		t.Errorf("/state says %s, %v", text, err)
	}
}

// The name that was won is kept, and told by the network's part of /state alone.
func TestSettingsNetworkName(t *testing.T) {
	dir := t.TempDir()
	s := quietSettings(dir)
	s.setNetworkName("pushcam-2")
	s.keep()
	again := quietSettings(dir)
	if got := again.networkName(); got != "pushcam-2" || again.privacy() != nil {
		t.Errorf("after a restart the name is %q, and the camera is closed: %v", got, again.privacy())
	}
	if text, err := json.Marshal(again.state()); err != nil || strings.Contains(string(text), "pushcam-2") {
		t.Errorf("the settings' part of /state says %s, %v", text, err)
	}
}

// What cannot be read or kept is said. A camera that may have been closed stays
// closed, over restarts, until its owner opens it.
func TestSettingsTrouble(t *testing.T) {
	t.Attr("fault", "system | settings that cannot be read or kept | a camera that may have been closed stays closed | by its button")
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
			s.keep()
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

// A card that does not answer keeps nobody waiting: not the camera, not the button,
// not /state, and not the end of the program. It gets the newest settings when it
// answers again.
func TestSettingsDoNotWaitForTheCard(t *testing.T) {
	t.Attr("fault", "system | a card that hangs while settings change | camera, button and page do not wait | it gets the newest ones when it answers")
	for _, answers := range []bool{true, false} {
		t.Run(fmt.Sprintf("in the end it answers: %v", answers), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				log := slog.New(slog.NewTextHandler(t.Output(), nil))
				s := openSettings(dir, true, log)
				card := make(chan struct{}) // closed: it answers
				var saved []values
				s.save = func(v values) error { <-card; saved = append(saved, v); return nil }

				source := new(cameratest.Source)
				cam := &camera.Camera{Source: source, AlwaysOn: true}
				privacy := func() { s.togglePrivacy(); cam.SetPrivacy(s.privacy()) }
				ctx, stop := context.WithCancel(t.Context())
				all := newParts(ctx)
				all.run("the camera", cam.Run)
				all.run("the settings", s.run)
				time.Sleep(time.Second)
				if !source.Running() {
					t.Fatal("the camera does not run")
				}

				began := time.Now()
				for i, closed := range []bool{true, false, true} {
					privacy()
					synctest.Wait()
					if source.Running() == closed {
						t.Errorf("after press %d the camera runs: %v", i+1, source.Running())
					}
					state, err := json.Marshal(s.state())
					if want := fmt.Sprintf(`{"privacy":%v,"unkept":true}`, closed); err != nil || string(state) != want {
						t.Errorf("after press %d: %s, %v, want %s", i+1, state, err, want)
					}
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("three presses took %v", took)
				}

				if answers {
					close(card)
					synctest.Wait()
					if state, err := json.Marshal(s.state()); err != nil || string(state) != `{"privacy":true}` {
						t.Errorf("when it is kept: %s, %v", state, err)
					}
				}
				stop()
				began = time.Now()
				err := all.wait()
				if took := time.Since(began); err != nil || answers && took > 0 || took > keepTime {
					t.Errorf("the end took %v, %v", took, err)
				}
				if !answers {
					close(card)
					synctest.Wait()
				}
				if last := saved[len(saved)-1]; !last.Privacy || len(saved) > 2 {
					t.Errorf("%d times something is written, and the last is %+v", len(saved), last)
				}
			})
		})
	}
}

// What is changed last is kept at the end, also if it could not be before.
func TestSettingsAreKeptAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openSettings(dir, true, slog.New(slog.DiscardHandler))
		save, full := s.save, errors.New("the disk is full")
		s.save = func(v values) error {
			if full != nil {
				return full
			}
			return save(v)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.run(ctx) }()
		s.togglePrivacy()
		synctest.Wait()
		if state, err := json.Marshal(s.state()); err != nil || !strings.Contains(string(state), `"unkept":true,"trouble":"the settings cannot be kept`) {
			t.Errorf("on a full disk: %s, %v", state, err)
		}
		full = nil
		stop()
		if err := <-ended; err != nil || s.trouble != "" {
			t.Errorf("the end: %v, %q", err, s.trouble)
		}
	})
	if again := quietSettings(dir); again.privacy() != camera.ErrPrivate {
		t.Errorf("after a restart: %v", again.privacy())
	}
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The button and the API change privacy at the same time: what the camera does in the end
// is what is kept.
func TestPrivacyFromTwoSides(t *testing.T) {
	s := openSettings("", true, slog.New(slog.DiscardHandler))
	told := make(chan error, 2) // to the camera
	var pressing sync.WaitGroup
	p := privacySwitch{settings: s}
	p.show = func(why error) {
		if why != nil { // while the API closes the camera, its button is pressed
			pressing.Go(p.toggle)
			for i := 0; i < 10_000 && len(told) == 0; i++ {
				runtime.Gosched()
			}
		}
		told <- why
	}
	p.set(true)
	pressing.Wait()
	if first, last := <-told, <-told; first == nil || last != nil || s.privacy() != nil {
		t.Errorf("the camera was told %v and then %v, and the settings say %v", first, last, s.privacy())
	}
}

// What an owner has closed on the page stays closed when the program is started without the
// owner's password.
func TestClosedWithoutPassword(t *testing.T) {
	c, err := parse(noSystem, nil, noEnv, setup.Setup{}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	said := new(bytes.Buffer)
	log := slog.New(slog.NewTextHandler(said, nil))
	c = withPage(c, map[string]string{"viewing": "closed"}, log)
	if v := newViewing(c, openSettings("", true, slog.New(slog.DiscardHandler)), false, log); v == nil || v.Open || !strings.Contains(said.String(), "PUSHCAM_OWNER_PASSWORD") {
		t.Errorf("%+v: %s", v, said)
	}
}
