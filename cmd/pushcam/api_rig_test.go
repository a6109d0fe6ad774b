//go:build linux && cgo

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/jpeg"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest/usbcam"
	"github.com/pushcam/pushcam/pusher/api/apitest"
)

// The whole program, a real kernel and its uvcvideo: what the owner changes by the API reaches
// the webcam, what that refuses is said, and the stream goes on.
func TestRigAPI(t *testing.T) {
	inRig(t)
	w := &usbcam.Webcam{
		Modes: []usbcam.Mode{{Width: 640, Height: 480, FPS: []float64{30, 15}}, {Width: 1280, Height: 720, FPS: []float64{10}}},
		Controls: usbcam.Controls{
			Brightness: &usbcam.Level{Min: -10, Max: 100, Step: 1, Default: 5},
			Exposure:   &usbcam.Level{Min: 1, Max: 5000, Step: 1, Default: 156},
			Refuse:     func(_ usbcam.Level, v int32) bool { return v == 77 },
		},
	}
	second := &usbcam.Webcam{Name: "Second Webcam", Modes: []usbcam.Mode{{Width: 640, Height: 480, FPS: []float64{15}}}}
	ctx := plugged(t, w, second)
	p := ownedRig(t)
	live := func(width int) (name string) {
		t.Helper()
		for ctx.Err() == nil {
			var c struct {
				Phase  string
				Device camera.Device
				Format struct{ Width int }
			}
			_, _, text := p.ask("GET", "/api/camera", "")
			if err := json.Unmarshal([]byte(text), &c); err != nil {
				t.Fatal(err)
			}
			if c.Format.Width == width && c.Phase != "starting" {
				return c.Device.Name
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatalf("no picture of %d pixels: %v", width, ctx.Err())
		return ""
	}
	live(1280)
	for _, s := range []struct {
		method, path, body string
		code               int
		says               string
		brightness         int32
	}{
		{"PATCH", "/api/controls", `{"brightness":60,"exposure":"10ms"}`, 200, `"60"`, 60},
		{"PATCH", "/api/controls", `{"brightness":101}`, 422, `brightness is from -10 to 100, not \"101\"`, 60},
		{"PATCH", "/api/controls", `{"brightness":77}`, 422, "the camera refuses 77", 60},
		{"PATCH", "/api/controls", `{"sparkle":1}`, 422, "no such control", 60},
		{"GET", "/api/controls", "", 200, `"minimum": -10`, 60},
		{"GET", "/api/camera", "", 200, `"640x480"`, 60},
		{"PATCH", "/api/settings", `{"size":"640x480","fps":15}`, 200, `"640x480"`, 60},
		{"DELETE", "/api/controls", "", 200, `"set": {}`, 5},
	} {
		code, _, body := p.ask(s.method, s.path, s.body, "If-Match", "*")
		if code != s.code || !strings.Contains(body, s.says) || w.Brightness() != s.brightness {
			t.Errorf("%s %s %s: %d %s, and the webcam has %d; want %d with %q, and %d", s.method, s.path, s.body, code, body, w.Brightness(), s.code, s.says, s.brightness)
		}
	}
	first := live(640)
	for _, device := range []string{`"second"`, "null"} {
		want := map[bool]string{true: first, false: "Second Webcam"}[device == "null"]
		if code, _, text := p.ask("PATCH", "/api/settings", `{"device":`+device+`}`, "If-Match", "*"); code != 200 {
			t.Fatal(text)
		}
		for live(640) != want {
			time.Sleep(50 * time.Millisecond)
		}
	}
	if _, _, text := p.ask("GET", "/api/camera", ""); strings.Count(text, `"Second Webcam"`) != 1 {
		t.Errorf("the cameras are %s", text)
	}
	if _, _, text := p.ask("GET", "/api/state", ""); !strings.Contains(text, `"restarts": 0`) || !strings.Contains(text, `"stalls": 0`) {
		t.Errorf("the camera was in trouble: %s", text)
	}
}

func inRig(t *testing.T) {
	t.Helper()
	if os.Getenv("PUSHCAM_RIG") == "" {
		t.Skip(`needs a real kernel with a webcam: run it with "go run ./hack/rig test"`)
	}
}

// plugged plugs webcams in, which send pictures until the test ends, or ctx.
func plugged(t *testing.T, webcams ...*usbcam.Webcam) (ctx context.Context) {
	t.Helper()
	var picture bytes.Buffer
	if err := jpeg.Encode(&picture, image.NewGray(image.Rect(0, 0, 640, 480)), nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	var streams sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		streams.Wait()
		for _, w := range webcams {
			w.Unplug()
		}
	})
	for _, w := range webcams {
		if err := w.Plug(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Node(ctx); err != nil {
			t.Fatal(err)
		}
		streams.Go(func() {
			w.Stream(ctx, 0, func(int) usbcam.Picture { return usbcam.Picture{Data: picture.Bytes()} })
		})
	}
	return ctx
}

// ownedRig is the program in the rig, with the webcam that it finds.
func ownedRig(t *testing.T, args ...string) *ownedPC {
	t.Helper()
	socket := t.TempDir() + "/socket"
	_, stop := startOn(t, noSystem, append([]string{"-listen", "unix:" + socket, "-source", "v4l2", "-always-on", "-state-dir", t.TempDir(), "-owner-password", pcOwner}, args...)...)
	spec, err := apitest.Load()
	if err != nil {
		t.Fatal(err)
	}
	p := &ownedPC{t: t, url: "http://localhost", spec: spec, stop: stop, web: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}}
	t.Cleanup(p.web.CloseIdleConnections)
	return p
}
