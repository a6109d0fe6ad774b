package camera_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest"
)

const closedByOwner = "the camera is closed until its owner opens it again"

func TestPrivacyWhileLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, new(cameratest.Source), nil)
		after(time.Second)
		b.SetDemand(true)
		after(time.Second)
		b.SetPrivacy(camera.ErrPrivate)
		synctest.Wait()
		if b.src.Running() {
			t.Error("the camera runs on after it was closed")
		}
		if err := b.Health(); err == nil || err.Error() != closedByOwner {
			t.Errorf("health: %v", err)
		}
		frames := b.State().Frames
		after(time.Hour)
		if got := b.State().Frames; got != frames {
			t.Errorf("%d frames came out of a closed camera", got-frames)
		}
		b.SetPrivacy(nil)
		after(time.Second)
		if b.State().Frames == frames {
			t.Error("no frames after it was opened again")
		}
		b.wantStates(t, "0s starting", "0s idle", "1s starting", "1.033s live", "2s privacy: "+closedByOwner, "1h0m2s starting", "1h0m2.033s live")
	})
}

// The setting survives a restart: then the camera is never opened, not even to
// look what it is.
func TestPrivacyFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, new(cameratest.Source), func(c *camera.Camera) { c.SetPrivacy(camera.ErrPrivate); c.AlwaysOn = true })
		b.SetDemand(true)
		after(time.Minute)
		if b.src.Runs() != 0 || b.src.Checks() != 0 {
			t.Errorf("%d runs, %d checks of a closed camera", b.src.Runs(), b.src.Checks())
		}
		b.wantStates(t, "0s starting", "0s privacy: "+closedByOwner)
	})
}

// It does not wait for the end of a back-off, nor for the next look at an idle
// camera.
func TestPrivacyAtOnce(t *testing.T) {
	t.Attr("fault", "camera | the camera is closed by its owner while it fails | it is closed at once | at once")
	for name, prepare := range map[string]func(*bench){
		"in trouble":     func(b *bench) { b.src.Fail(errors.New("in use by motion")); b.SetDemand(true) },
		"nobody watches": func(*bench) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, new(cameratest.Source), nil)
				prepare(b)
				after(61 * time.Second)
				b.SetPrivacy(camera.ErrPrivate)
				synctest.Wait()
				if got := b.State().Phase; got != camera.Privacy {
					t.Errorf("phase %s right after the camera was closed", got)
				}
			})
		})
	}
}
