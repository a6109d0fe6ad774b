package camera_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest"
)

// pattern stands for the test pattern: it runs until it is told to stop, and
// remembers why it was made.
type pattern struct {
	caption string
	runs    *[]string
}

func (p pattern) Check() (camera.Device, error) { return camera.Device{Name: "pattern"}, nil }

func (p pattern) Run(ctx context.Context, sink camera.Sink) error {
	*p.runs = append(*p.runs, p.caption)
	sink.Started(camera.Device{Name: "pattern"}, camera.Format{FPS: 1})
	for ctx.Err() == nil {
		sink.Frame(new(camera.Frame))
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx)
}

func TestFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		webcam := new(cameratest.Source)
		webcam.Fail(fmt.Errorf("%w: nothing in /dev", camera.ErrNoCamera))
		var stoodIn []string
		b := start(t, webcam, func(c *camera.Camera) {
			c.Source = &camera.Fallback{Source: webcam, Otherwise: func(why error) camera.Source { return pattern{why.Error(), &stoodIn} }}
		})
		b.SetDemand(true)
		after(10 * time.Second)
		if got := b.State(); got.Phase != camera.Live || got.Device.Name != "pattern" || got.Frames < 9 {
			t.Errorf("without a camera: %+v", got)
		}

		webcam.Fail(errors.New("it offers YUYV only"))
		after(10 * time.Second)
		if diff := cmp.Diff([]string{"no camera: nothing in /dev", "it offers YUYV only"}, stoodIn); diff != "" {
			t.Errorf("reasons that were shown (-want +got):\n%s", diff)
		}

		webcam.Plug()
		after(5 * time.Second)
		if got := b.State(); got.Phase != camera.Live || got.Device.Name == "pattern" || got.Restarts != 0 {
			t.Errorf("after a camera was plugged in: %+v", got)
		}

		webcam.Unplug()
		after(10 * time.Second)
		if got := b.State(); got.Phase != camera.NoCamera {
			t.Errorf("after it was unplugged: %+v; want no-camera, and not the pattern again", got)
		}
		webcam.Plug()
		after(10 * time.Second)
		if got := b.State(); got.Phase != camera.Live {
			t.Errorf("after it was plugged in again: %+v", got)
		}
	})
}

// The time of a camera to its first frame counts from its own start, not from
// the last frame of what stood in for it.
func TestFallbackSlowCamera(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		webcam := &cameratest.Source{Format: camera.Format{FPS: 30}}
		webcam.Fail(camera.ErrNoCamera)
		webcam.Delay(true)
		webcam.Stall(true)
		b := start(t, webcam, func(c *camera.Camera) {
			c.Source = &camera.Fallback{Source: webcam, Otherwise: func(error) camera.Source { return pattern{runs: new([]string)} }}
		})
		b.SetDemand(true)
		after(10 * time.Second)
		webcam.Plug()
		after(2 * time.Second)
		webcam.Delay(false)
		after(2500 * time.Millisecond)
		webcam.Stall(false)
		after(time.Second)
		if got := b.State(); got.Phase != camera.Live || got.Device.Name == "pattern" || got.Stalls != 0 {
			t.Errorf("a camera that took 4.5 s to its first frame: %+v", got)
		}
	})
}

// Nobody watches: what Check says is the stand-in's until there was a camera.
func TestFallbackCheck(t *testing.T) {
	webcam := new(cameratest.Source)
	webcam.Fail(camera.ErrNoCamera)
	f := &camera.Fallback{Source: webcam, Otherwise: func(error) camera.Source { return pattern{} }}
	if d, err := f.Check(); err != nil || d.Name != "pattern" {
		t.Errorf("without a camera: %+v, %v", d, err)
	}
	webcam.Plug()
	if d, err := f.Check(); err != nil || d.Name == "pattern" {
		t.Errorf("with a camera: %+v, %v", d, err)
	}
	webcam.Fail(camera.ErrNoCamera)
	if _, err := f.Check(); !errors.Is(err, camera.ErrNoCamera) {
		t.Errorf("after it was lost: %v", err)
	}
}
