//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2"
	"github.com/pushcam/pushcam/hack/e2e/pictures"
)

// TestPiCameraControls is the Pi camera with what its owner can ask for: a size that
// the driver has to be told when it is loaded, and controls.
func TestPiCameraControls(t *testing.T) {
	t.Parallel()
	p := built(t)
	loader := p.direct()
	loader[len(loader)-1] += " PUSHCAM_SIZE=2592x1944 PUSHCAM_CONTROL=hflip=on,iso=7"
	m := boot(t, simulated(t, p), loader)
	t.Run("a large size", func(t *testing.T) {
		m.picture(t)
		s := m.is(t, "the camera's state", func(s state) bool { return s.Camera.Device.Driver == "bcm2835 mmal" })
		if f := s.Camera.Format; f.PixelFormat != "MJPG" || f.Width != 2592 || f.Height != 1944 || f.Adjusted != "" {
			t.Errorf("its format is %+v", f)
		}
	})
	t.Run("controls at the start", func(t *testing.T) {
		want := map[string]v4l2.ControlState{
			"hflip": {Value: "on"},
			"iso":   {Value: "7", Trouble: `iso is auto, 100, 200, 400, 800, not "7"`},
		}
		if diff := cmp.Diff(want, m.controls(t).Controls); diff != "" {
			t.Errorf("controls (-want +got):\n%s", diff)
		}
		m.awaitKnob(t, "/parameters/bitrate", 25_000_000) // as much as it takes for so large a picture
	})
	t.Run("a bit rate while it streams", func(t *testing.T) {
		stream := m.stream(t)
		before := m.now(t)
		for _, rate := range []int{9_000_000, 4_000_000} {
			if code, said := m.setControls(t, fmt.Sprintf("bitrate=%dk&rotate=180", rate/1000)); code != http.StatusOK {
				t.Fatalf("status %d: %s", code, said)
			}
			stream.awaitRate(t, rate)
		}
		s := m.controls(t)
		if diff := cmp.Diff(v4l2.Controls{"bitrate": "4000k", "rotate": "180"}, s.Settings.Controls); diff != "" || s.Settings.Trouble != "" {
			t.Errorf("kept, with trouble %q (-want +got):\n%s", s.Settings.Trouble, diff)
		}
		if s.Camera.Restarts != before.Camera.Restarts {
			t.Error("the camera was started anew")
		}
		for form, want := range map[string]int{
			"bitrate=1k":  http.StatusUnprocessableEntity,
			"moon=full":   http.StatusUnprocessableEntity,
			"hflip=off":   http.StatusConflict,
			"rotate=":     http.StatusBadRequest,
			"rotate=\x01": http.StatusBadRequest,
			"":            http.StatusBadRequest,
		} {
			if code, said := m.setControls(t, form); code != want || strings.Count(said, "\n") != 1 {
				t.Errorf("%q: status %d, %q; want %d and a sentence", form, code, said, want)
			}
		}
		m.readmeControls(t)
		m.awaitKnob(t, "/parameters/bitrate", 6_000_000)
		if code, _, _, err := m.get("/api/controls", getTimeout); err != nil || code != http.StatusUnauthorized {
			t.Errorf("without the password: status %d, %v", code, err)
		}
	})
	t.Run("lost frames are counted by time", func(t *testing.T) {
		stream := m.stream(t)
		stream.await(t, true)
		lostNow := func() int {
			n, err := m.knob("/parameters/lost")
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		// The times of two looks at the state do not bound what is counted between them: on
		// a busy machine a gap is counted long after it began. The pictures around them do.
		taken := func(v *viewer) time.Time {
			part, err := v.stream.Next()
			if err != nil {
				t.Fatal(err)
			}
			return part.Capture
		}
		began := taken(stream)
		before := m.now(t) // on a busy machine frames may be lost meanwhile, and are counted
		lostBefore := lostNow()
		m.turn(t, "/parameters/drop_every", 5)
		for lostNow() < lostBefore+30 {
			stream.picture(t)
		}
		m.turn(t, "/parameters/drop_every", 0)
		for range 20 { // so that the last of them are counted
			stream.picture(t)
		}
		lost := lostNow() - lostBefore
		after := m.now(t)
		counted := int(after.Camera.Dropped[camera.DropLost] - before.Camera.Dropped[camera.DropLost])
		all := counted + int(after.Camera.Frames-before.Camera.Frames) +
			int(after.Camera.Dropped[camera.DropStale]-before.Camera.Dropped[camera.DropStale])
		seconds := taken(m.stream(t)).Sub(began).Seconds() // a new viewer gets the latest one
		t.Logf("%d frames were lost, %d are counted; with the others %d in %.1f s", lost, counted, all, seconds)
		if counted < lost*9/10 {
			t.Errorf("%d frames were lost, %d are counted", lost, counted)
		}
		if limit := seconds*30*1.1 + 5; float64(all) > limit {
			t.Errorf("%d frames came or were lost in %.1f s, which has room for %.0f", all, seconds, limit)
		}
	})
	t.Run("the firmware does not answer", func(t *testing.T) {
		stream := m.stream(t)
		stream.await(t, true)
		m.turn(t, "/parameters/deaf", 1)
		m.turn(t, "/parameters/stall", 1)
		m.is(t, "a camera that does not work", func(s state) bool { return s.Camera.Phase == camera.Fault })
		m.turn(t, "/parameters/deaf", 0)
		m.turn(t, "/parameters/stall", 0)
		m.picture(t)
		stream.await(t, true)
		m.awaitKnob(t, "/parameters/bitrate", 6_000_000) // as it was set before the restart
	})
}

// awaitRate reads the stream until a frame is as large as the bit rate makes them.
func (v *viewer) awaitRate(t *testing.T, rate int) {
	t.Helper()
	want := len(pictures.Frame(0, rate/8/30))
	for got := 0; got < want*99/100 || got > want*101/100; {
		_, jpg := v.picture(t)
		got = len(jpg)
	}
}

// controlsState is the part of /state that is about controls.
type controlsState struct {
	Camera   camera.State                 `json:"camera"`
	Controls map[string]v4l2.ControlState `json:"controls"`
	Settings struct {
		Controls v4l2.Controls `json:"controls"`
		Trouble  string        `json:"trouble"`
	} `json:"settings"`
}

func (m *machine) controls(t *testing.T) (s controlsState) {
	t.Helper()
	code, _, body, err := m.get("/state", getTimeout)
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	if err != nil || code != http.StatusOK {
		t.Fatalf("/state: status %d, %v", code, err)
	}
	return s
}

// readmeControls runs what the README says about controls.
func (m *machine) readmeControls(t *testing.T) {
	t.Helper()
	need(t, "curl", "bash")
	text, err := os.ReadFile(filepath.Join(checkout(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`(?m)^curl -u owner:.*/api/controls$`).FindAllString(string(text), -1)
	if len(commands) != 2 {
		t.Fatalf("the README has the commands %q, want two", commands)
	}
	r := strings.NewReplacer("curl", "curl --fail-with-body -sS", "PASSWORD", "'"+password+"'", "http://pushcam.local", m.url)
	for _, command := range commands {
		said, err := exec.CommandContext(t.Context(), "bash", "-c", r.Replace(command)).CombinedOutput()
		if err != nil || !strings.Contains(string(said), `"value": "6m"`) || !strings.Contains(string(said), `"name": "rotate"`) {
			t.Errorf("%s: %v: %s", command, err, said)
		}
	}
}

// setControls sets controls as the owner.
func (m *machine) setControls(t *testing.T, form string) (code int, said string) {
	t.Helper()
	code, _, body, err := m.do(http.MethodPost, "/api/controls", getTimeout, func(r *http.Request) {
		r.SetBasicAuth("owner", password)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Body = io.NopCloser(strings.NewReader(form))
		r.ContentLength = int64(len(form))
	})
	if err != nil {
		t.Fatal(err)
	}
	return code, string(body)
}
