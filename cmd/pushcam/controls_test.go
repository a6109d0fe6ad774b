//go:build linux && cgo

package main

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/camera/v4l2"
	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/pusher/api"
)

// A driver that hangs while a control is set answers nobody. Its owner is told so, and goes on
// changing everything else, such as who may look.
func TestControlsOfADriverThatHangs(t *testing.T) {
	t.Attr("fault", "camera | its driver hangs while a control is set | the owner is told, and changes everything else | 15 s")
	synctest.Test(t, func(t *testing.T) {
		p, hung := newPage(t, "pushcam"), make(chan struct{})
		k := newControls(p.now.Load(), p.kept, slog.New(slog.DiscardHandler))
		p.controls = k
		k.setAll = func(c v4l2.Controls) error {
			<-hung
			return k.camera.SetControls(c)
		}
		ask := func(method, form string) string {
			r := httptest.NewRequest(method, "/api/controls", strings.NewReader(form))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			k.ServeHTTP(w, r)
			return w.Body.String()
		}
		for _, method := range []string{"POST", "POST", "GET"} {
			if said := ask(method, "brightness=7"); !strings.Contains(said, errSilent.Error()) {
				t.Errorf("%s says %s", method, said)
			}
		}
		if err := p.Change(map[string]any{"quality": json.Number("50")}); !errors.Is(err, errSilent) {
			t.Errorf("the quality: %v", err)
		}
		if err := p.Change(map[string]any{"always_on": true}); err != nil || !p.now.Load().alwaysOn {
			t.Errorf("always on: %v", err)
		}
		close(hung)
		synctest.Wait()
		if got := k.settings.controls()["brightness"]; got != "7" {
			t.Errorf("the brightness that was asked for is %q when the driver answers", got)
		}
		if said := ask("GET", ""); strings.Contains(said, errSilent.Error()) {
			t.Errorf("when the driver answers: %s", said)
		}
	})
}

func TestControls(t *testing.T) {
	dir := t.TempDir()
	c, err := parse(noSystem, []string{"-control", "rotate=180,hflip=on", "-control", "White-Balance=Daylight", "-bitrate", "8M", "-state-dir", dir}, noEnv, setup.Setup{}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	flags := v4l2.Controls{"rotate": "180", "hflip": "on", "white_balance": "daylight", "bitrate": "8m"}
	k := newControls(c, quietSettings(dir), slog.New(slog.DiscardHandler))
	if diff := cmp.Diff(flags, k.camera.Controls); diff != "" {
		t.Errorf("of the flags (-want +got):\n%s", diff)
	}
	steps := []struct {
		method, form string
		code         int
		says         string
		kept         v4l2.Controls
	}{
		{"POST", "ISO=400&brightness=60", 200, `"iso": {`, v4l2.Controls{"iso": "400", "brightness": "60"}},
		{"POST", "brightness=70&brightness=80", 200, `"value": "80"`, v4l2.Controls{"iso": "400", "brightness": "80"}},
		{"POST", "iso=default", 200, "no camera was found yet", v4l2.Controls{"brightness": "80"}},
		{"POST", "rotate=90", 409, "rotate is 180 by a flag", v4l2.Controls{"brightness": "80"}},
		{"POST", "brightness=", 400, "brightness has a value", v4l2.Controls{"brightness": "80"}},
		{"POST", "", 400, "as a form", v4l2.Controls{"brightness": "80"}},
		{"POST", "a=" + strings.Repeat("b", maxControlsForm), 400, "as a form", v4l2.Controls{"brightness": "80"}},
		{"POST", manyControls(40), 400, "at most", v4l2.Controls{"brightness": "80"}},
		{"GET", "", 200, `"brightness"`, v4l2.Controls{"brightness": "80"}},
		{"PUT", "iso=100", 405, "GET, HEAD, POST, PATCH, DELETE", v4l2.Controls{"brightness": "80"}},
	}
	for _, s := range steps {
		r := httptest.NewRequest(s.method, "/api/controls", strings.NewReader(s.form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		k.ServeHTTP(w, r)
		if w.Code != s.code || !strings.Contains(w.Body.String(), s.says) {
			t.Errorf("%s %.60s: %d %s, want %d with %q", s.method, s.form, w.Code, w.Body, s.code, s.says)
		}
		k.settings.keep()
		if diff := cmp.Diff(s.kept, quietSettings(dir).controls()); diff != "" {
			t.Errorf("%s %.60s: kept (-want +got):\n%s", s.method, s.form, diff)
		}
	}

	// At the next start flags win, whatever was kept.
	old := quietSettings(dir)
	old.setControls(v4l2.Controls{"rotate": "90", "horizontal_flip": "off", "iso": "100"})
	old.togglePrivacy()
	old.keep()
	again := newControls(c, quietSettings(dir), slog.New(slog.DiscardHandler))
	want := v4l2.Controls{"rotate": "180", "hflip": "on", "white_balance": "daylight", "bitrate": "8m", "iso": "100"}
	if diff := cmp.Diff(want, again.camera.Controls); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
	if again.settings.privacy() == nil {
		t.Error("privacy was forgotten")
	}
}

// Each field that is wrong has its sentence, each time the same ones.
func TestRefusedControls(t *testing.T) {
	c, err := parse(noSystem, []string{"-control", "rotate=180,hflip=on"}, noEnv, setup.Setup{}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	k := newControls(c, quietSettings(t.TempDir()), slog.New(slog.DiscardHandler))
	for _, tt := range []struct {
		name, body string
		code       int
		fields     map[string]string
	}{
		{"no value", `{"iso":"","gain":" ","zoom":3}`, 400, map[string]string{
			"iso":  `the control iso has a value such as 50, on or auto, not ""`,
			"gain": `the control gain has a value such as 50, on or auto, not " "`,
		}},
		{"lists", `{"iso":[],"gain":{},"zoom":3}`, 400, map[string]string{
			"iso":  "the control iso has a value such as 50, on or auto, and no list or object",
			"gain": "the control gain has a value such as 50, on or auto, and no list or object",
		}},
		{"ruled", `{"rotate":90,"hflip":false,"zoom":3}`, 409, map[string]string{
			"rotate": "rotate is 180 by a flag of the program, and stays so",
			"hflip":  "hflip is on by a flag of the program, and stays so",
		}},
		{"ruled by another name", `{"horizontal_flip":false,"zoom":3}`, 409, map[string]string{
			"horizontal_flip": "hflip is on by a flag of the program, and stays so",
		}},
		{"both", `{"rotate":90,"iso":""}`, 400, map[string]string{
			"rotate": "rotate is 180 by a flag of the program, and stays so",
			"iso":    `the control iso has a value such as 50, on or auto, not ""`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("PATCH", "/api/controls", strings.NewReader(tt.body))
			r.Header.Set("Accept", "application/json")
			w := httptest.NewRecorder()
			k.ServeHTTP(w, r)
			var got struct {
				Error  string
				Fields map[string]string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != tt.code {
				t.Errorf("%d %s, want %d: %v", w.Code, w.Body, tt.code, err)
			}
			if diff := cmp.Diff(tt.fields, got.Fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if more := strings.HasSuffix(got.Error, "; the others stay as they were"); more != strings.Contains(tt.body, "zoom") {
				t.Errorf("of the others it says %q", got.Error)
			}
			if kept := k.settings.controls(); len(kept) > 0 {
				t.Errorf("%v is set", kept)
			}
		})
	}
}

// The second of two who change the controls that both have seen is told so, in the words that
// the settings have for that, and changes nothing; whoever names no version does.
func TestTwoOwnersOfControls(t *testing.T) {
	c, err := parse(noSystem, nil, noEnv, setup.Setup{}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	dir, told := t.TempDir(), 0
	k := newControls(c, quietSettings(dir), slog.New(slog.DiscardHandler))
	k.changed = func() { told++ }
	ask := func(method, body string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/api/controls", strings.NewReader(body))
		for _, tag := range header {
			r.Header.Add("If-Match", tag)
		}
		r.Header.Set("Accept", "application/json")
		w := httptest.NewRecorder()
		k.ServeHTTP(w, r)
		return w
	}
	seen := ask("GET", "").Header().Get("ETag")
	first := ask("PATCH", `{"brightness":60}`, `"other"`, seen)
	now := first.Header().Get("ETag")
	if first.Code != 200 || told != 1 || now == seen || !strings.Contains(first.Body.String(), `"version": `+now) || ask("HEAD", "").Header().Get("ETag") != now {
		t.Fatalf("the first: %d %v %s, told %d times", first.Code, first.Header(), first.Body, told)
	}
	for _, method := range []string{"PATCH", "DELETE"} {
		for _, match := range []string{seen, "W/" + now, `""`, "x"} {
			w := ask(method, `{"brightness":70}`, match)
			if w.Code != 412 || !strings.Contains(w.Body.String(), api.ErrChanged.Error()) || k.settings.controls()["brightness"] != "60" || told != 1 {
				t.Errorf("the second, %s with %s: %d %s", method, match, w.Code, w.Body)
			}
		}
	}
	k.settings.keep()
	k = newControls(c, quietSettings(dir), slog.New(slog.DiscardHandler))
	if tag := ask("GET", "").Header().Get("ETag"); tag != now {
		t.Errorf("after a restart it is %s, and was %s", tag, now)
	}
	if w := ask("PATCH", `{"brightness":70}`); w.Code != 200 || k.settings.controls()["brightness"] != "70" {
		t.Errorf("without a version: %d %s", w.Code, w.Body)
	}
	if w := ask("DELETE", "", "*"); w.Code != 200 || w.Header().Get("ETag") != seen {
		t.Errorf("put back: %d %v, and was %s", w.Code, w.Header(), seen)
	}
}

// What was set before a flag ruled it is put back with the others.
func TestPutBackRuledControls(t *testing.T) {
	c, err := parse(noSystem, []string{"-control", "rotate=180"}, noEnv, setup.Setup{}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	k := newControls(c, quietSettings(t.TempDir()), slog.New(slog.DiscardHandler))
	k.settings.setControls(v4l2.Controls{"rotate": "90", "iso": "100"})
	w := httptest.NewRecorder()
	k.ServeHTTP(w, httptest.NewRequest("DELETE", "/api/controls", nil))
	if kept := k.settings.controls(); w.Code != 200 || len(kept) > 0 {
		t.Errorf("%d %s, and %v is kept", w.Code, w.Body, kept)
	}
}

func manyControls(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("&c" + strings.Repeat("x", i) + "=1")
	}
	return b.String()[1:]
}

var _ http.Handler = (*controls)(nil)
