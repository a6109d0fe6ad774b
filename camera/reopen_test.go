package camera_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest"
)

// A camera that its owner has opened anew is neither lost nor in trouble, and one that does
// not run stays so.
func TestReopen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, new(cameratest.Source), nil)
		b.Reopen()
		after(time.Second)
		if b.src.Runs() != 0 {
			t.Error("a camera that nobody watches was started")
		}
		b.SetDemand(true)
		after(time.Second)
		b.Reopen()
		after(time.Second)
		if s := b.State(); b.src.Runs() != 2 || s.Restarts != 0 || s.Stalls != 0 || s.Phase != camera.Live || s.Recovery[camera.RungReopen] != 0 {
			t.Errorf("%d runs, %+v", b.src.Runs(), s)
		}
		b.wantStates(t, "0s starting", "0s idle", "1s starting", "1.033s live", "2s idle", "2s starting", "2.033s live")
	})
}

func TestSetIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, new(cameratest.Source), nil)
		b.SetIdle(time.Second, true)
		after(time.Second)
		if !b.src.Running() {
			t.Error("a camera that is always to run does not")
		}
		b.SetIdle(time.Minute, false)
		after(time.Second)
		if b.src.Running() {
			t.Error("it runs on, though nobody has ever watched")
		}
		b.SetDemand(true)
		after(time.Second)
		b.SetDemand(false)
		after(time.Minute - time.Second)
		b.SetIdle(time.Hour, false)
		after(30 * time.Minute)
		if !b.src.Running() {
			t.Error("it does not run on for as long as it was told")
		}
	})
}
