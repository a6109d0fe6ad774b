//go:build linux && cgo

package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/camera/cameratest/usbcam"
	"github.com/pushcam/pushcam/camera/v4l2"
)

// controlsAnswer is what /api/controls says.
type controlsAnswer struct {
	Error  string
	Fields map[string]string
	Set    map[string]v4l2.ControlState
	Camera []v4l2.Control
}

func (p *ownedPC) controls(method, body string, header ...string) (code int, tag string, a controlsAnswer) {
	p.t.Helper()
	code, head, text := p.ask(method, "/api/controls", body, header...)
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		p.t.Fatal(err)
	}
	return code, head.Get("ETag"), a
}

// cameraHas waits until the camera runs, and has a control.
func (p *ownedPC) cameraHas(ctx context.Context, name string) controlsAnswer {
	p.t.Helper()
	for ctx.Err() == nil {
		var state struct{ Camera struct{ Phase string } }
		_, _, text := p.ask("GET", "/api/state", "")
		if err := json.Unmarshal([]byte(text), &state); err != nil {
			p.t.Fatal(err)
		}
		_, _, a := p.controls("GET", "")
		running := state.Camera.Phase == "idle" || state.Camera.Phase == "live"
		if running && slices.ContainsFunc(a.Camera, func(c v4l2.Control) bool { return c.Name == name }) {
			return a
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.t.Fatalf("no camera has %s: %v", name, ctx.Err())
	return controlsAnswer{}
}

func level(name, value, byDefault string, least, most, step int32) v4l2.Control {
	return v4l2.Control{Name: name, Value: value, Default: byDefault, Minimum: &least, Maximum: &most, Step: &step}
}

func inactive(c v4l2.Control) v4l2.Control { c.Inactive = true; return c }

func choice(name, value, byDefault string, choices ...string) v4l2.Control {
	return v4l2.Control{Name: name, Value: value, Default: byDefault, Choices: choices}
}

// Each control of a webcam that has them all, as the owner sets it by the API: it has the
// webcam's own limits, and uvcvideo and the webcam say what cannot be.
func TestRigAPIControls(t *testing.T) {
	inRig(t)
	t.Attr("fault", "camera | one of several controls is refused by the camera, or ruled by its automatic | the owner hears of each, none of them is set, and the stream goes on | –")
	w := &usbcam.Webcam{
		Modes: []usbcam.Mode{{Width: 640, Height: 480, FPS: []float64{15}}},
		Controls: usbcam.Controls{
			Brightness:   &usbcam.Level{Min: -10, Max: 100, Step: 1, Default: 5},
			Contrast:     &usbcam.Level{Max: 64, Step: 1, Default: 32},
			Exposure:     &usbcam.Level{Min: 1, Max: 5000, Step: 1, Default: 156},
			WhiteBalance: &usbcam.Level{Min: 2800, Max: 6500, Step: 10, Default: 4600},
			Focus:        &usbcam.Level{Max: 250, Step: 5},
			PowerLine:    &usbcam.Level{Max: 2, Step: 1, Default: 1},
			Refuse:       func(_ usbcam.Level, v int32) bool { return v == 77 || v == 13 },
		},
	}
	ctx := plugged(t, w)
	p := ownedRig(t)
	want := []v4l2.Control{
		level("brightness", "5", "5", -10, 100, 1),
		level("contrast", "32", "32", 0, 64, 1),
		choice("white_balance_automatic", "on", "on", "off", "on"),
		choice("power_line_frequency", "50_hz", "50_hz", "disabled", "50_hz", "60_hz"),
		inactive(level("white_balance_temperature", "4600", "4600", 2800, 6500, 10)),
		choice("auto_exposure", "aperture_priority_mode", "aperture_priority_mode", "manual_mode", "aperture_priority_mode"),
		inactive(level("exposure_time_absolute", "156", "156", 1, 5000, 1)),
		inactive(level("focus_absolute", "0", "0", 0, 250, 5)),
		choice("focus_automatic_continuous", "on", "on", "off", "on"),
	}
	if diff := cmp.Diff(want, p.cameraHas(ctx, "brightness").Camera); diff != "" {
		t.Errorf("the camera has (-want +got):\n%s", diff)
	}

	// has is what the webcam itself has.
	type has struct {
		Brightness, Contrast, Exposure, WhiteBalance, Focus, PowerLine int32
		Automatic                                                      string // what is ruled
	}
	now := func() has {
		c := w.Controls
		h := has{w.Level(c.Brightness), w.Level(c.Contrast), w.Level(c.Exposure), w.Level(c.WhiteBalance), w.Level(c.Focus), w.Level(c.PowerLine), ""}
		for i, l := range []*usbcam.Level{c.Exposure, c.WhiteBalance, c.Focus} {
			if w.Automatic(l) {
				h.Automatic += "ewf"[i : i+1]
			}
		}
		return h
	}
	const ruled = " cannot be set now: another control of the camera rules it"
	const refuses = ": VIDIOC_S_CTRL: numerical result out of range"
	type fields = map[string]string
	for _, s := range []struct {
		method, body string
		refused      fields
		has          has
	}{
		{"PATCH", `{"power_line_frequency":"60"}`, nil, has{5, 32, 156, 4600, 0, 2, "ewf"}},
		{"PATCH", `{"power_line_frequency":"disabled","brightness":-10}`, nil, has{-10, 32, 156, 4600, 0, 0, "ewf"}},
		{"PATCH", `{"power_line_frequency":"70_hz"}`, fields{"power_line_frequency": `power_line_frequency is disabled, 50_hz, 60_hz, not "70_hz"`}, has{-10, 32, 156, 4600, 0, 0, "ewf"}},
		{"PATCH", `{"white_balance_temperature":4000,"focus_absolute":30,"contrast":20}`, fields{"white_balance_temperature": "white_balance_temperature" + ruled, "focus_absolute": "focus_absolute" + ruled}, has{-10, 32, 156, 4600, 0, 0, "ewf"}},
		{"PATCH", `{"white_balance":"4000K"}`, nil, has{-10, 32, 156, 4000, 0, 0, "ef"}},
		{"PATCH", `{"white_balance":"2790"}`, fields{"white_balance": `white_balance is from 2800 to 6500, not "2790"`}, has{-10, 32, 156, 4000, 0, 0, "ef"}},
		{"PATCH", `{"focus_absolute":32,"focus_automatic_continuous":false}`, nil, has{-10, 32, 156, 4000, 30, 0, "e"}},
		{"PATCH", `{"exposure":"10ms"}`, nil, has{-10, 32, 100, 4000, 30, 0, ""}},
		{"PATCH", `{"brightness":101,"contrast":-1,"focus_absolute":60}`, fields{"brightness": `brightness is from -10 to 100, not "101"`, "contrast": `contrast is from 0 to 64, not "-1"`}, has{-10, 32, 100, 4000, 30, 0, ""}},
		{"PATCH", `{"brightness":77,"contrast":13,"focus_absolute":60,"power_line":"50"}`, fields{"brightness": "the camera refuses 77" + refuses, "contrast": "the camera refuses 13" + refuses}, has{-10, 32, 100, 4000, 30, 0, ""}},
		{"PATCH", `{"white_balance":null,"power_line_frequency":null}`, nil, has{-10, 32, 100, 4600, 30, 1, "w"}},
		{"PATCH", `{"power_line":"60"}`, nil, has{-10, 32, 100, 4600, 30, 2, "w"}},
		{"PATCH", `{"power_line_frequency":"50_hz"}`, nil, has{-10, 32, 100, 4600, 30, 1, "w"}},
		{"PATCH", `{"sparkle":1,"brightness":8}`, fields{"sparkle": "the camera has no such control as sparkle; it has brightness, contrast, white_balance_automatic, power_line_frequency, white_balance_temperature, auto_exposure, exposure_time_absolute, focus_absolute, focus_automatic_continuous"}, has{-10, 32, 100, 4600, 30, 1, "w"}},
	} {
		code, _, a := p.controls(s.method, s.body)
		wanted := 200
		if s.refused != nil {
			wanted = 422
		}
		if diff := cmp.Diff(s.refused, a.Fields) + cmp.Diff(s.has, now()); code != wanted || diff != "" {
			t.Errorf("%s %s: %d %s, want %d (-want +got):\n%s", s.method, s.body, code, a.Error, wanted, diff)
		}
		if said := strings.HasSuffix(a.Error, "; the others stay as they were"); said != (strings.Count(s.body, ":") > len(s.refused) && s.refused != nil) {
			t.Errorf("%s %s: of the others it says %q", s.method, s.body, a.Error)
		}
	}
	_, tag, _ := p.controls("GET", "")
	if code, newer, _ := p.controls("PATCH", `{"contrast":33}`, "If-Match", tag); code != 200 || newer == tag {
		t.Errorf("%d, and the version is %s after %s", code, newer, tag)
	}
	if code, _, a := p.controls("PATCH", `{"contrast":34}`, "If-Match", tag); code != 412 || now().Contrast != 33 {
		t.Errorf("by an older version: %d %s, and the contrast is %d", code, a.Error, now().Contrast)
	}

	// A webcam that comes back, and is as it was made, is set again.
	before := now()
	if err := w.Unplug(); err != nil {
		t.Fatal(err)
	}
	plugged(t, w)
	p.cameraHas(ctx, "focus_absolute")
	for now() != before {
		if ctx.Err() != nil {
			t.Fatalf("the webcam that came back has %+v, and had %+v", now(), before)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if code, _, a := p.controls("DELETE", ""); code != 200 || len(a.Set) > 0 || now() != (has{5, 32, 156, 4600, 0, 1, "ewf"}) {
		t.Errorf("put back: %d %s, set is %v, and the webcam has %+v", code, a.Error, a.Set, now())
	}
}
