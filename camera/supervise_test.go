package camera_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest"
)

func TestStall(t *testing.T) {
	t.Attr("fault", "camera | no frames, or only damaged ones, for 3 s or 10 frame times | a fault with the reason | by the steps of the recovery, one after the other")
	tests := []struct {
		name    string
		fps     float64
		arrange func(*cameratest.Source)
		within  time.Duration
		want    string
	}{
		{"at 25 fps", 25, func(s *cameratest.Source) { s.Stall(true) }, 3 * time.Second,
			"camera stalled: it gave no frame for 3s"},
		{"at 1 fps", 1, func(s *cameratest.Source) { s.Stall(true) }, 10 * time.Second,
			"camera stalled: it gave no frame for 10s"},
		{"only damaged frames", 25, func(s *cameratest.Source) { s.Damage(camera.DropTruncated) }, 3 * time.Second,
			"camera stalled: it gave only damaged frames for 3s (truncated)"},
		{"damaged ones long ago", 25, func(s *cameratest.Source) {
			s.Damage(camera.DropTruncated)
			after(time.Second)
			s.Damage("")
			after(time.Second)
			s.Stall(true)
		}, 3 * time.Second, "camera stalled: it gave no frame for 3s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &cameratest.Source{Format: camera.Format{PixelFormat: "MJPG", Width: 640, Height: 480, FPS: tt.fps}}
				b := start(t, src, nil)
				b.SetDemand(true)
				after(20 * time.Second) // a frame has just come
				tt.arrange(src)
				after(tt.within - time.Nanosecond)
				if got := b.State().Phase; got != camera.Live {
					t.Errorf("phase %s before the time is over, want live", got)
				}
				after(2 * time.Nanosecond)
				s := b.State()
				if s.Phase != camera.Fault || s.Reason != tt.want || s.Stalls != 1 {
					t.Errorf("%s: %q, %d stalls; want fault: %q, 1", s.Phase, s.Reason, s.Stalls, tt.want)
				}
				if err := b.Health(); !errors.Is(err, camera.ErrStalled) {
					t.Errorf("Health() = %v, want ErrStalled", err)
				}
				src.Stall(false)
				src.Damage("")
				after(minBackoff + time.Second)
				if s := b.State(); s.Phase != camera.Live || s.Restarts != 1 {
					t.Errorf("phase %s, %d restarts after the stall; want live, 1", s.Phase, s.Restarts)
				}
			})
		})
	}
}

// A program that stood still for longer than a camera may give no frame does not
// take that for the camera's fault.
func TestUnseenTimeIsNoStall(t *testing.T) {
	t.Attr("fault", "camera | a program that was stopped for a while | that is no fault of the camera | at once")
	synctest.Test(t, func(t *testing.T) {
		src := new(cameratest.Source)
		stood := false
		b := start(t, src, func(c *camera.Camera) {
			c.OnState = func(s camera.State) {
				if !stood && s.Phase == camera.Idle && s.Frames > 0 {
					stood = true
					src.Stall(true)
					time.Sleep(10 * time.Second)
					src.Stall(false)
				}
			}
		})
		b.SetDemand(true)
		after(5 * time.Second)
		b.SetDemand(false) // has the loop call OnState
		after(time.Second)
		b.SetDemand(true)
		after(20 * time.Second)
		if s := b.State(); !stood || s.Stalls != 0 || s.Restarts != 0 || s.Phase != camera.Live {
			t.Errorf("after it stood still: %+v", s)
		}
		src.Stall(true)
		after(4 * time.Second)
		if s := b.State(); s.Stalls != 1 || s.Phase != camera.Fault {
			t.Errorf("after a real stall: %+v", s)
		}
	})
}

// What a run gives after it was given up is not shown: it would stand in front of
// the reason why there is no picture, for as long as the driver takes to stop.
func TestFramesOfARunThatIsOver(t *testing.T) {
	t.Attr("fault", "camera | frames of a driver that was given up | they are not shown | –")
	for name, end := range map[string]func(b *bench){
		"stalled": func(*bench) {},
		"closed":  func(b *bench) { b.SetPrivacy(camera.ErrPrivate) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &lateSource{late: 5}
				var last uint64
				b := start(t, nil, func(c *camera.Camera) {
					c.Source = src
					c.Deliver = func(f *camera.Frame) { last = f.Seq }
				})
				b.SetDemand(true)
				after(time.Second)
				end(b)
				after(6 * time.Second)
				if s := b.State(); last != 1 || s.Frames != 1 {
					t.Errorf("%d frames were shown, %d counted; want the one from before it was over", last, s.Frames)
				}
			})
		})
	}
}

// lateSource gives one frame, and some more when it is to end.
type lateSource struct {
	cameratest.Source
	late int
}

func (s *lateSource) Run(ctx context.Context, sink camera.Sink) error {
	sink.Started(camera.Device{}, camera.Format{FPS: 30})
	sink.Frame(new(camera.Frame))
	<-ctx.Done()
	for range s.late {
		sink.Frame(new(camera.Frame))
	}
	time.Sleep(4 * time.Second) // as a driver that is slow to answer
	return ctx.Err()
}

// The back-off of a Camera, as its documentation says.
const (
	minBackoff = 250 * time.Millisecond
	maxBackoff = 5 * time.Second
)

func TestNeverStarted(t *testing.T) {
	t.Attr("fault", "camera | a camera that is slow to start | a fault after 10 s; the start goes on | live with its first frame")
	synctest.Test(t, func(t *testing.T) {
		src := new(cameratest.Source)
		src.Delay(true)
		b := start(t, src, nil)
		b.SetDemand(true)
		after(12 * time.Second)
		src.Delay(false)
		after(10 * time.Second)
		b.wantStates(t,
			"0s starting",
			"0s idle",
			"0s starting",
			"10s fault: camera stalled: it did not start within 10s",
			"12.017s live",
		)
		if s := b.State(); s.Restarts != 0 || s.Stalls != 1 {
			t.Errorf("%d restarts, %d stalls; want 0, 1", s.Restarts, s.Stalls)
		}
	})
}

func TestBackoff(t *testing.T) {
	t.Attr("fault", "camera | a camera that fails at once, again and again | tries after 0.25 s, then up to 5 s apart | live with the next try")
	synctest.Test(t, func(t *testing.T) {
		src := new(cameratest.Source)
		src.Fail(errors.New("broken"))
		// Without its Wait, or Plug would end the back-off.
		b := start(t, nil, func(c *camera.Camera) { c.Source = struct{ camera.Source }{src} })
		b.SetDemand(true)
		var at []time.Duration
		began := time.Now()
		for last := 0; len(at) < 9; time.Sleep(time.Millisecond) {
			if n := src.Runs(); n != last {
				last = n
				at = append(at, time.Since(began).Round(50*time.Millisecond))
			}
		}
		ms := time.Millisecond
		want := []time.Duration{0, 250 * ms, 750 * ms, 1750 * ms, 3750 * ms, 7750 * ms, 12750 * ms, 17750 * ms, 22750 * ms}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Errorf("times of the tries (-want +got):\n%s", diff)
		}

		again := func() (tries int) {
			src.Fail(errors.New("broken"))
			synctest.Wait()
			runs := src.Runs()
			after(minBackoff)
			return src.Runs() - runs
		}
		src.Plug()
		after(maxBackoff + 4*time.Second)
		if got := again(); got != 0 {
			t.Errorf("%d tries at once after frames for 9 s, want none", got)
		}
		src.Plug()
		after(maxBackoff + 11*time.Second)
		if got := again(); got != 1 {
			t.Errorf("%d tries at once after frames for more than 10 s, want 1", got)
		}
	})
}

// startsAndEnds is a source that starts and is lost at once.
type startsAndEnds struct{ runs int }

func (*startsAndEnds) Check() (camera.Device, error) { return camera.Device{Name: "loose plug"}, nil }

func (s *startsAndEnds) Run(_ context.Context, sink camera.Sink) error {
	s.runs++
	sink.Started(camera.Device{Name: fmt.Sprint("loose plug ", s.runs)}, camera.Format{})
	sink.Frame(new(camera.Frame)) // while OnState is told of the device
	return errors.New("lost")
}

// TestBackoffAfterStart: what a run said before it was lost must not end the
// pause after it.
func TestBackoffAfterStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := new(startsAndEnds)
		b := start(t, nil, func(c *camera.Camera) {
			c.Source = src
			c.OnState = func(camera.State) { time.Sleep(time.Millisecond) }
		})
		b.SetDemand(true)
		after(60 * time.Second)
		// After 0, 0.25, 0.75, 1.75, 3.75 and 7.75 s, then every 5 s.
		if src.runs != 16 {
			t.Errorf("%d tries in a minute, want 16", src.runs)
		}
	})
}

func TestReplugEndsBackoff(t *testing.T) {
	t.Attr("fault", "camera | a camera that is plugged in during a pause | the pause is over | at once")
	synctest.Test(t, func(t *testing.T) {
		b := start(t, new(cameratest.Source), nil)
		b.SetDemand(true)
		after(time.Second)
		b.src.Unplug()
		after(100 * time.Second) // in the longest back-off
		b.src.Plug()
		after(50 * time.Millisecond)
		b.SetDemand(false)
		after(time.Second)
		b.wantStates(t,
			"0s starting",
			"0s idle",
			"0s starting",
			"33ms live",
			"1s no-camera: no camera: unplugged by the test",
			"1m41.033s live",
			"1m41.05s idle",
		)
		if s := b.State(); s.Restarts != 1 || s.Stalls != 0 {
			t.Errorf("%d restarts, %d stalls; want 1, 0", s.Restarts, s.Stalls)
		}
		if !slices.IsSorted(b.seqs) || b.seqs[len(b.seqs)-1] != uint64(len(b.seqs)) {
			t.Errorf("the sequence has gaps over the restart: %d frames, the last is %d", len(b.seqs), b.seqs[len(b.seqs)-1])
		}
	})
}

func TestUnwatchedCameraIsLookedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := new(cameratest.Source)
		src.Unplug()
		b := start(t, src, nil)
		if err := b.Health(); !errors.Is(err, camera.ErrNoCamera) {
			t.Errorf("Health() = %v, want ErrNoCamera", err)
		}
		after(61 * time.Second)
		if got := src.Checks(); got < 12 || 61 < got {
			t.Errorf("%d checks in a minute, want one every few seconds", got)
		}
		src.Plug() // noticed at once
		synctest.Wait()
		if err := b.Health(); err != nil {
			t.Errorf("Health() = %v, want nil", err)
		}
		after(time.Second)
		src.Fail(errors.New("no rights"))
		after(4 * time.Second)
		b.wantStates(t,
			"0s starting",
			"0s no-camera: no camera: unplugged by the test",
			"1m1s idle",
			"1m4s fault: no rights",
		)
		if got := src.Runs(); got != 0 {
			t.Errorf("%d runs, want none", got)
		}
	})
}

func TestDemandEndsWhileLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, new(cameratest.Source), nil)
		b.SetDemand(true)
		after(time.Second)
		b.src.Unplug()
		after(time.Second)
		b.SetDemand(false)
		after(maxBackoff)
		runs := b.src.Runs()
		after(time.Minute)
		if got := b.src.Runs() - runs; got != 0 {
			t.Errorf("%d tries although nobody watches, want none", got)
		}
		if got := b.State().Phase; got != camera.NoCamera {
			t.Errorf("phase %s, want no-camera", got)
		}
	})
}

// What does not work does not become well because nobody looks: only a run can
// tell, or the hand that plugs it in again.
func TestFaultStaysWhileUnwatched(t *testing.T) {
	const fault = "fault: camera stalled: it gave no frame for 3s"
	tests := []struct {
		name   string
		repair func(*bench)
		want   []string
	}{
		{"it works again", func(b *bench) {
			b.src.Stall(false)
			after(time.Minute)
			b.SetDemand(true)
			after(time.Second)
			b.SetDemand(false)
			after(time.Minute)
		}, []string{"2m5.033s live", "2m6s idle"}},
		{"it still does not", func(b *bench) {
			b.SetDemand(true)
			after(time.Second)
			b.SetDemand(false)
			after(time.Minute)
		}, nil},
		{"unplugged", func(b *bench) {
			b.src.Unplug()
			after(10 * time.Second)
			b.src.Plug()
			after(time.Second)
		}, []string{"1m6.75s no-camera: no camera: unplugged by the test", "1m15s idle"}},
		{"plugged in again at once", func(b *bench) {
			b.src.Unplug()
			synctest.Wait()
			b.src.Plug()
			synctest.Wait()
		}, []string{"1m5s idle"}},
		{"closed and opened", func(b *bench) {
			b.SetPrivacy(camera.ErrPrivate)
			after(time.Second)
			b.SetPrivacy(nil)
			after(time.Second)
		}, []string{"1m5s privacy: " + closedByOwner, "1m6s " + fault}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, new(cameratest.Source), nil)
				b.src.Stall(true)
				b.SetDemand(true)
				after(5 * time.Second)
				b.SetDemand(false)
				after(time.Minute)
				if err := b.Health(); !errors.Is(err, camera.ErrStalled) {
					t.Errorf("Health() = %v, want ErrStalled", err)
				}
				tt.repair(b)
				b.wantStates(t, append([]string{"0s starting", "0s idle", "0s starting", "3s " + fault}, tt.want...)...)
			})
		})
	}
}

// endsAtOnce is a source that returns without an error and without frames.
type endsAtOnce struct{ cameratest.Source }

func (*endsAtOnce) Run(context.Context, camera.Sink) error { return nil }

func TestSourceEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &camera.Camera{Source: new(endsAtOnce)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		c.SetDemand(true)
		after(time.Second)
		if s := c.State(); s.Phase != camera.Fault || s.Reason != "the camera ended by itself" {
			t.Errorf("%s: %q, want fault: the camera ended by itself", s.Phase, s.Reason)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	})
}

func TestSourceHangs(t *testing.T) {
	t.Attr("fault", "camera | a driver that does not answer, also at the end of the program | it is not called again; the program ends within 5 s | live when it answers")
	const hangs = "the camera driver does not answer"
	t.Run("while streaming", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, new(cameratest.Source), nil)
			b.SetDemand(true)
			after(time.Second)
			b.src.Hang(true)
			after(time.Minute)
			if got := b.src.Runs(); got != 1 {
				t.Errorf("%d runs, want 1: a source that has not returned must not be run again", got)
			}
			b.src.Hang(false)
			after(time.Second)
			b.wantStates(t,
				"0s starting",
				"0s idle",
				"0s starting",
				"33ms live",
				"4s fault: camera stalled: it gave no frame for 3s",
				"9s fault: "+hangs,
				"1m1.283s live",
			)
		})
	})
	t.Run("while nobody watches", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, new(cameratest.Source), nil)
			after(time.Second)
			b.src.Hang(true)
			after(time.Minute)
			b.src.Hang(false)
			synctest.Wait()
			b.wantStates(t, "0s starting", "0s idle", "8s fault: "+hangs, "1m1s idle")
		})
	})
	for _, watched := range []bool{false, true} {
		t.Run(fmt.Sprintf("at the end, watched %v", watched), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := new(cameratest.Source)
				c := &camera.Camera{Source: src}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- c.Run(ctx) }()
				c.SetDemand(watched)
				after(time.Second)
				src.Hang(true)
				after(2500 * time.Millisecond) // also into the second Check
				cancel()
				stopping := time.Now()
				if err := <-ended; err == nil || err.Error() != hangs {
					t.Errorf("Run() = %v, want %q", err, hangs)
				}
				if got := time.Since(stopping); got != 5*time.Second {
					t.Errorf("Run returned %v after its context was done, want 5s", got)
				}
				src.Hang(false) // or the bubble would never end
			})
		})
	}
}

func TestStop(t *testing.T) {
	tests := []struct {
		name    string
		arrange func(*bench)
	}{
		{"idle", func(*bench) {}},
		{"live", func(b *bench) { b.SetDemand(true) }},
		{"in the hold", func(b *bench) { b.SetDemand(true); after(time.Second); b.SetDemand(false) }},
		{"no camera", func(b *bench) { b.src.Unplug() }},
		{"in the back-off", func(b *bench) { b.SetDemand(true); after(time.Second); b.src.Unplug() }},
		{"stalled", func(b *bench) { b.SetDemand(true); after(time.Second); b.src.Stall(true); after(2 * time.Second) }},
		{"never started", func(b *bench) { b.src.Delay(true); b.SetDemand(true) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, new(cameratest.Source), nil)
				tt.arrange(b)
				after(time.Second)
				before := time.Now()
				if err := b.stop(); err != nil {
					t.Errorf("Run() = %v, want nil", err)
				}
				if got := time.Since(before); got != 0 {
					t.Errorf("it took %v to stop, want no time", got)
				}
				if got := b.State().Phase; got != camera.Stopping {
					t.Errorf("phase %s, want stopping", got)
				}
				if b.src.Running() {
					t.Error("the source still runs")
				}
				if b.Health() == nil {
					t.Error("Health() = nil after the end")
				}
			})
		})
	}
}

// TestStopIsNoTrouble stops while the loop is busy, so that it finds its context
// done and its source ended in the same moment.
func TestStopIsNoTrouble(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, new(cameratest.Source), func(c *camera.Camera) {
				note := c.OnState
				c.OnState = func(s camera.State) {
					note(s)
					if s.Phase == camera.Live {
						time.Sleep(time.Second)
					}
				}
			})
			b.SetDemand(true)
			after(500 * time.Millisecond)
			if err := b.stop(); err != nil {
				t.Errorf("Run() = %v, want nil", err)
			}
			b.wantStates(t, "0s starting", "0s idle", "0s starting", "33ms live", "1.033s stopping")
			if strings.Contains(b.log.String(), "trouble") {
				t.Errorf("the log tells of trouble:\n%s", b.log)
			}
		})
	}
}
