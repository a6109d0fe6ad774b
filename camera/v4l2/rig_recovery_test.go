//go:build linux && cgo

package v4l2_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest/usbcam"
	"github.com/pushcam/pushcam/camera/v4l2"
)

// resetPort is the rung of a USB reset, sooner than the program has it: the rig's
// time is emulated.
func resetPort(source *v4l2.Source) camera.Rung {
	return camera.Rung{Name: "reset", After: 8 * time.Second, Every: time.Hour,
		Do: func(ctx context.Context, _ error) error { return source.Reset(ctx) }}
}

// reached is a rung that ends the test's wait. In the program it ends the program,
// or the system.
func reached(name string, after time.Duration) (camera.Rung, <-chan error) {
	why := make(chan error, 1)
	return camera.Rung{Name: name, After: after, Every: time.Hour,
		Do: func(_ context.Context, err error) error { why <- err; return nil }}, why
}

// live1 is a webcam that has given a picture.
func live1(t *testing.T, ctx context.Context, w *usbcam.Webcam, source *v4l2.Source, ladder ...camera.Rung) *live {
	t.Helper()
	plug(t, ctx, w)
	send(t, ctx, w, good)
	l := watch(t, ctx, source, ladder...)
	l.frame(t, ctx)
	l.state(t, ctx, camera.Live)
	return l
}

// A webcam whose firmware hangs, as long as its port is not reset: to start its
// stream again does not help, nor to open it again.
func TestRigResetHelps(t *testing.T) {
	t.Attr("fault", "camera | a webcam that hangs until its USB port is reset | the steps of the recovery are taken in order, and counted | live after the USB reset")
	ctx := inRig(t)
	w, source := new(usbcam.Webcam), new(v4l2.Source)
	l := live1(t, ctx, w, source, resetPort(source))
	w.StallUntilReset()
	l.state(t, ctx, camera.Fault)
	s := l.state(t, ctx, camera.Live)
	t.Logf("live again: %+v", s.Recovery)
	l.frame(t, ctx)
	if s.Recovery[camera.RungStream] == 0 || s.Recovery[camera.RungReopen] == 0 || s.Recovery["reset"] != 1 {
		t.Errorf("counted %v; want the stream restarted, the device opened again, and one reset", s.Recovery)
	}
}

// A webcam that nothing brings back, not even a reset, by which it vanishes.
func TestRigDeadWebcam(t *testing.T) {
	t.Attr("fault", "camera | a USB reset after which the webcam is gone | the next step of the recovery is taken | the program is started anew")
	ctx := inRig(t)
	w, source := new(usbcam.Webcam), new(v4l2.Source)
	restart, why := reached("restart", 20*time.Second)
	l := live1(t, ctx, w, source, resetPort(source), restart)
	w.Stall(true)
	select {
	case err := <-why:
		t.Logf("the next rung is reached, because of %q", err)
	case <-ctx.Done():
		t.Fatalf("the rung after the reset was not reached: %+v", l.State())
	}
	if s := l.State(); s.Recovery["reset"] != 1 || s.Recovery["restart"] != 1 {
		t.Errorf("counted %v, want one reset and one restart", s.Recovery)
	}
}

// A driver in which calls hang where nothing can interrupt them. No other call is
// made into it, and the ladder is climbed all the same.
func TestRigDriverHangs(t *testing.T) {
	t.Attr("fault", "camera | a driver in which calls hang where nothing interrupts them | no other call is made into it, and the later steps of the recovery are taken all the same | live when it is plugged in again")
	ctx := inRig(t)
	w, source := new(usbcam.Webcam), new(v4l2.Source)
	restart, why := reached("restart", 20*time.Second)
	l := live1(t, ctx, w, source, restart)
	if v4l2.Hangs(ctx, "/") {
		t.Error("a thread hangs in the kernel before anything is wrong")
	}
	w.Freeze(true)
	select {
	case err := <-why:
		t.Logf("the rung is reached, because of %q", err)
	case <-ctx.Done():
		t.Fatalf("the rung was not reached: %+v", l.State())
	}
	if s := l.State(); s.Reason != "the camera driver does not answer" {
		t.Errorf("%s: %q, want that the driver does not answer", s.Phase, s.Reason)
	}
	if !v4l2.Hangs(ctx, "/") {
		t.Error("no thread hangs in the kernel, although the driver does not answer")
	}
	if err := w.Unplug(); err != nil { // which ends the call
		t.Fatal(err)
	}
	l.state(t, ctx, camera.NoCamera)
	replug(t, ctx, w)
	send(t, ctx, w, good)
	l.state(t, ctx, camera.Live)
}

func TestRigResetNothing(t *testing.T) {
	ctx := inRig(t)
	source := new(v4l2.Source)
	if err := source.Reset(ctx); err == nil {
		t.Error("there is no camera, and it was reset")
	}
	w := new(usbcam.Webcam)
	plug(t, ctx, w)
	if _, err := source.Check(); err != nil {
		t.Fatal(err)
	}
	if err := w.Unplug(); err != nil {
		t.Fatal(err)
	}
	if err := source.Reset(ctx); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Reset() = %v of a webcam that was unplugged, want ErrNotExist", err)
	}
}
