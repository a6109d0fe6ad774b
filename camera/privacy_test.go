package camera_test

import (
	"context"
	"errors"
	"sync/atomic"
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

// A driver may take seconds to stop, or never do. The owner sees at once that the camera
// is closed, and goes on seeing that, and not that it does not work.
func TestPrivacyWhileNothingAnswers(t *testing.T) {
	t.Attr("fault", "camera | it is closed by its owner while its driver hangs | it is closed, and says so | at once")
	for name, prepare := range map[string]func(*bench){
		"the stream is stopped for privacy": func(b *bench) {
			b.SetDemand(true)
			after(time.Second)
			b.src.Hang(true)
		},
		"the stream is stopped already": func(b *bench) {
			b.SetDemand(true)
			after(time.Second)
			b.src.Hang(true)
			after(4 * time.Second)
		},
		"the trouble is known": func(b *bench) {
			b.SetDemand(true)
			after(time.Second)
			b.src.Hang(true)
			after(20 * time.Second)
		},
		"nobody watches": func(b *bench) {
			b.src.Hang(true)
			after(20 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, new(cameratest.Source), nil)
				prepare(b)
				defer b.src.Hang(false)
				b.SetPrivacy(camera.ErrPrivate)
				synctest.Wait()
				b.wantPhase(t, camera.Privacy, "right after it was closed")
				after(time.Minute)
				b.wantPhase(t, camera.Privacy, "a minute later")
				b.SetPrivacy(nil)
				synctest.Wait()
				if got := b.State().Phase; got == camera.Privacy {
					t.Errorf("phase %s after it was opened again", got)
				}
				b.SetPrivacy(camera.ErrPrivate)
				b.src.Hang(false)
				after(time.Minute)
				b.wantPhase(t, camera.Privacy, "when the driver answers again")
				if b.src.Running() {
					t.Error("the camera runs")
				}
			})
		})
	}
}

// A rung may take half a minute.
func TestPrivacyOnARung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, new(cameratest.Source), func(c *camera.Camera) {
			c.Ladder = []camera.Rung{{Name: "reset", Do: func(ctx context.Context, _ error) error { <-ctx.Done(); return ctx.Err() }}}
		})
		b.src.Fail(errors.New("it gives nothing"))
		b.SetDemand(true)
		after(time.Second)
		b.SetPrivacy(camera.ErrPrivate)
		synctest.Wait()
		b.wantPhase(t, camera.Privacy, "right after it was closed")
	})
}

func (b *bench) wantPhase(t *testing.T, want camera.Phase, when string) {
	t.Helper()
	if got := b.State().Phase; got != want {
		t.Errorf("phase %s %s, want %s", got, when, want)
	}
}

// torrent is a source that gives frames as fast as they are taken.
type torrent struct{}

func (torrent) Check() (camera.Device, error) { return camera.Device{}, nil }

func (torrent) Run(ctx context.Context, sink camera.Sink) error {
	sink.Started(camera.Device{Name: "torrent"}, camera.Format{FPS: 1000})
	for ctx.Err() == nil {
		sink.Frame(&camera.Frame{Time: time.Now()})
	}
	return ctx.Err()
}

// Who has closed the camera has it closed when SetPrivacy returns, and not a frame later.
func TestPrivacyTakesNoFrameMore(t *testing.T) {
	var closed atomic.Bool
	var frames, late atomic.Int64
	c := &camera.Camera{Source: torrent{}, Deliver: func(*camera.Frame) {
		frames.Add(1)
		if closed.Load() {
			late.Add(1)
		}
	}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	c.SetDemand(true)
	for range 100 {
		for n := frames.Load(); frames.Load() == n; {
			time.Sleep(time.Millisecond)
		}
		c.SetPrivacy(camera.ErrPrivate)
		closed.Store(true)
		for c.State().Phase != camera.Privacy {
			time.Sleep(time.Millisecond)
		}
		closed.Store(false)
		c.SetPrivacy(nil)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := late.Load(); n > 0 {
		t.Errorf("%d frames after the camera was closed", n)
	}
}
