//go:build linux && cgo

package v4l2_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest/usbcam"
	"github.com/pushcam/pushcam/camera/v4l2"
)

// What an owner changes on the page reaches a webcam through uvcvideo while it streams, and
// what the webcam refuses harms nothing.
func TestRigControls(t *testing.T) {
	t.Attr("fault", "camera | a control of the camera is refused, by its limits or by the camera itself | the owner is told why, and the stream goes on | –")
	ctx := inRig(t)
	const bad = 77
	w := &usbcam.Webcam{
		Modes: []usbcam.Mode{{Width: 640, Height: 480, FPS: []float64{30, 15}}, {Width: 1280, Height: 720, FPS: []float64{10}}},
		Controls: usbcam.Controls{
			Brightness: &usbcam.Level{Min: -10, Max: 100, Step: 1, Default: 5},
			Exposure:   &usbcam.Level{Min: 1, Max: 5000, Step: 1, Default: 156},
			Refuse:     func(_ usbcam.Level, v int32) bool { return v == bad },
		},
	}
	plug(t, ctx, w)
	send(t, ctx, w, good)
	source := new(v4l2.Source)
	l := watch(t, ctx, source)
	l.frame(t, ctx)

	control := func(name string) v4l2.Control {
		t.Helper()
		all, err := source.DeviceControls()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			if c.Name == name {
				return c
			}
		}
		t.Fatalf("the webcam has no %s: %v", name, all)
		return v4l2.Control{}
	}
	least, most, step := int32(-10), int32(100), int32(1)
	want := v4l2.Control{Name: "brightness", Value: "5", Default: "5", Minimum: &least, Maximum: &most, Step: &step}
	if diff := cmp.Diff(want, control("brightness")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c := control("exposure_time_absolute"); !c.Inactive {
		t.Errorf("with automatic exposure the time is %+v", c)
	}
	set := func(c v4l2.Controls) {
		t.Helper()
		if err := source.SetControls(c); err != nil {
			t.Fatal(err)
		}
	}
	set(v4l2.Controls{"brightness": "60", "exposure": "10ms"})
	if w.Brightness() != 60 || w.Exposure() != 100 || control("brightness").Value != "60" {
		t.Errorf("the webcam has brightness %d and exposure %d, and says %s", w.Brightness(), w.Exposure(), control("brightness").Value)
	}
	if c := control("exposure_time_absolute"); c.Inactive || c.Value != "100" {
		t.Errorf("with a time the time is %+v", c)
	}
	var refused v4l2.ControlErrors
	if err := source.SetControls(v4l2.Controls{"brightness": "101", "exposure": "10ms"}); !errors.As(err, &refused) || refused["brightness"] != `brightness is from -10 to 100, not "101"` || w.Brightness() != 60 {
		t.Errorf("out of its limits: %v, and it is %d", err, w.Brightness())
	}
	if err := source.SetControls(v4l2.Controls{"brightness": "77", "exposure": "20ms"}); !errors.As(err, &refused) || len(refused) != 1 || refused["brightness"] == "" || w.Brightness() != 60 || w.Exposure() != 100 {
		t.Errorf("refused by the webcam: %v, and it is %d and %d", err, w.Brightness(), w.Exposure())
	} else {
		t.Log(err)
	}
	for range 10 {
		l.frame(t, ctx)
	}
	if s := l.State(); s.Phase != camera.Live || s.Restarts != 0 {
		t.Errorf("after all that: %+v", s)
	}
	set(v4l2.Controls{})
	if w.Brightness() != 5 {
		t.Errorf("put back it is %d", w.Brightness())
	}

	modes, err := source.Modes()
	if diff := cmp.Diff([]v4l2.Mode{{"MJPG", 640, 480, []float64{30, 15}}, {"MJPG", 1280, 720, []float64{10}}}, modes); err != nil || diff != "" {
		t.Errorf("modes: %v (-want +got):\n%s", err, diff)
	}
	source.Ask("", camera.Settings{Width: 1280, Height: 720, FPS: 10}, "MJPG")
	l.Reopen()
	for f := l.State().Format; f.Width != 1280 || f.FPS != 10; f = l.State().Format {
		l.frame(t, ctx)
	}
	if s := l.State(); s.Restarts != 0 || s.Stalls != 0 {
		t.Errorf("to change the size counts as trouble: %+v", s)
	}
}
