package camera_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest"
)

// climber is a ladder that notes what of it was climbed when.
type climber struct {
	began   time.Time
	mu      sync.Mutex
	climbed []string // "30s reset"
	do      map[string]func(context.Context) error
}

func newClimber() *climber {
	return &climber{began: time.Now(), do: map[string]func(context.Context) error{}}
}

func (l *climber) rung(name string, after, every time.Duration) camera.Rung {
	return camera.Rung{Name: name, After: after, Every: every, Do: func(ctx context.Context, why error) error {
		l.mu.Lock()
		l.climbed = append(l.climbed, fmt.Sprintf("%v %s", time.Since(l.began).Truncate(15*time.Second), name))
		l.mu.Unlock()
		if do := l.do[name]; do != nil {
			return do(ctx)
		}
		return nil
	}}
}

func (l *climber) ladder() []camera.Rung {
	return []camera.Rung{
		l.rung("reset", 30*time.Second, 10*time.Minute),
		l.rung("restart", 2*time.Minute, time.Hour),
		l.rung("reboot", 5*time.Minute, time.Hour),
	}
}

func (l *climber) want(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, l.climbed); diff != "" {
		t.Errorf("climbed (-want +got):\n%s", diff)
	}
}

func TestLadder(t *testing.T) {
	t.Attr("fault", "camera | a camera that nothing brings back, with viewers who wait | stream, device, USB reset, program, system: after 3 s, at once, 30 s, 2 min, 5 min; a reboot at most once an hour | live after whichever step helps")
	all := []string{"30s reset", "2m0s restart", "5m0s reboot"}
	tests := []struct {
		name string
		do   func(*bench, *climber)
		want []string
	}{
		{"no frames", func(b *bench, _ *climber) {
			b.src.Stall(true)
			b.SetDemand(true)
			after(9 * time.Minute)
		}, all},
		{"it fails at once", func(b *bench, _ *climber) {
			b.src.Fail(errors.New("input/output error"))
			b.SetDemand(true)
			after(9 * time.Minute)
		}, all},
		{"the driver hangs", func(b *bench, _ *climber) {
			b.SetDemand(true)
			after(time.Second)
			b.src.Hang(true)
			after(9 * time.Minute)
			b.src.Hang(false)
		}, all},
		{"the driver hangs before anybody watches", func(b *bench, l *climber) {
			b.src.Hang(true)
			after(time.Hour)
			l.began = time.Now()
			b.SetDemand(true)
			after(9 * time.Minute)
			b.src.Hang(false)
		}, all},
		{"for a day", func(b *bench, l *climber) {
			b.src.Stall(true)
			b.SetDemand(true)
			after(24 * time.Hour)
			count := map[string]uint64{}
			for _, c := range l.climbed {
				_, name, _ := strings.Cut(c, " ")
				count[name]++
			}
			got := b.State().Recovery
			if count["reboot"] != 24 || count["restart"] != 24 || count["reset"] < 100 || got["reset"] != count["reset"] || got["reboot"] != 24 || got[camera.RungReopen] < 1000 {
				t.Errorf("in a day %v, counted %v; want 24 reboots", count, got)
			}
			l.climbed = nil
		}, nil},
		{"a reset helps", func(b *bench, l *climber) {
			l.do["reset"] = func(context.Context) error { b.src.Stall(false); return nil }
			b.src.Stall(true)
			b.SetDemand(true)
			after(9 * time.Minute)
			if got := b.State().Phase; got != camera.Live {
				t.Errorf("phase %s, want live", got)
			}
		}, all[:1]},
		{"it vanishes by a reset", func(b *bench, l *climber) {
			l.do["reset"] = func(context.Context) error { b.src.Unplug(); return nil }
			b.src.Stall(true)
			b.SetDemand(true)
			after(9 * time.Minute)
		}, all},
		{"a rung fails", func(b *bench, l *climber) {
			l.do["reset"] = func(context.Context) error { return errors.New("operation not permitted") }
			b.src.Stall(true)
			b.SetDemand(true)
			after(9 * time.Minute)
			if !strings.Contains(b.log.String(), `rung=reset err="operation not permitted"`) {
				t.Errorf("the log does not tell that the reset failed:\n%s", b.log)
			}
		}, all},
		{"a rung hangs", func(b *bench, l *climber) {
			hung := make(chan struct{})
			l.do["reset"] = func(context.Context) error { <-hung; return nil }
			b.src.Stall(true)
			b.SetDemand(true)
			after(20 * time.Minute)
			close(hung)
			synctest.Wait()
			after(time.Minute)
		}, append(append([]string{}, all...), "20m0s reset")},
		{"nobody watches", func(b *bench, _ *climber) {
			b.src.Stall(true)
			b.SetDemand(true)
			after(10 * time.Second)
			b.SetDemand(false)
			after(time.Hour)
		}, nil},
		{"a viewer leaves and comes back at once", func(b *bench, _ *climber) {
			b.src.Stall(true)
			b.SetDemand(true)
			for range 3 {
				after(9 * time.Second)
				b.SetDemand(false)
				after(time.Second)
				b.SetDemand(true)
			}
			after(10 * time.Second)
		}, all[:1]},
		{"a viewer comes back after a while", func(b *bench, _ *climber) {
			b.src.Stall(true)
			b.SetDemand(true)
			after(20 * time.Second)
			b.SetDemand(false)
			after(20 * time.Second)
			b.SetDemand(true)
			after(35 * time.Second)
		}, []string{"1m0s reset"}},
		{"closed by its owner", func(b *bench, _ *climber) {
			b.src.Stall(true)
			b.SetDemand(true)
			after(10 * time.Second)
			b.SetPrivacy(camera.ErrPrivate)
			after(time.Hour)
			b.SetPrivacy(nil)
			after(10 * time.Second)
		}, nil},
		{"no camera", func(b *bench, _ *climber) {
			b.src.Unplug()
			b.SetDemand(true)
			after(time.Hour)
		}, nil},
		{"unplugged meanwhile", func(b *bench, _ *climber) {
			b.src.Stall(true)
			b.SetDemand(true)
			after(20 * time.Second)
			b.src.Unplug()
			after(time.Minute)
			b.src.Plug()
			after(20 * time.Second)
		}, nil},
		{"another program uses it", func(b *bench, _ *climber) {
			b.src.Fail(fmt.Errorf("in use by motion: %w", camera.ErrBlocked))
			b.SetDemand(true)
			after(time.Hour)
		}, nil},
		{"a frame now and then", func(b *bench, _ *climber) { // each reopening gives one second of frames
			b.SetDemand(true)
			for range 10 {
				b.src.Stall(false)
				after(time.Second)
				b.src.Stall(true)
				after(4 * time.Second)
			}
		}, []string{"30s reset"}},
		{"frames for long enough", func(b *bench, _ *climber) {
			b.SetDemand(true)
			for range 10 {
				b.src.Stall(false)
				after(15 * time.Second)
				b.src.Stall(true)
				after(5 * time.Second)
			}
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newClimber()
				b := start(t, new(cameratest.Source), func(c *camera.Camera) { c.Ladder = l.ladder() })
				tt.do(b, l)
				if err := b.stop(); err != nil {
					t.Errorf("Run() = %v", err)
				}
				l.want(t, tt.want...)
			})
		})
	}
}

// What programs before this one did counts too.
func TestLadderGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newClimber()
		b := start(t, new(cameratest.Source), func(c *camera.Camera) {
			c.Ladder = l.ladder()
			restart := &c.Ladder[1]
			restart.Last, restart.Count = time.Now().Add(-time.Minute), 3
		})
		if got := b.State().Recovery["restart"]; got != 3 {
			t.Errorf("%d restarts at the beginning, want 3", got)
		}
		b.src.Stall(true)
		b.SetDemand(true)
		after(9 * time.Minute)
		if err := b.stop(); err != nil {
			t.Errorf("Run() = %v", err)
		}
		l.want(t, "30s reset", "5m0s reboot")
		want := map[string]uint64{"stream": 0, "reopen": b.State().Recovery["reopen"], "reset": 1, "restart": 3, "reboot": 1}
		if diff := cmp.Diff(want, b.State().Recovery); diff != "" || want["reopen"] < 50 {
			t.Errorf("counted (-want +got):\n%s", diff)
		}
	})
}

// A rung that ends the program has worked, although it does not return before that.
func TestLadderEndsTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newClimber()
		b := start(t, new(cameratest.Source), func(c *camera.Camera) { c.Ladder = l.ladder() })
		l.do["restart"] = func(ctx context.Context) error {
			go b.stop()
			<-ctx.Done()
			return ctx.Err()
		}
		b.src.Stall(true)
		b.SetDemand(true)
		after(9 * time.Minute)
		l.want(t, "30s reset", "2m0s restart")
		if log := b.log.String(); strings.Contains(log, "that did not work") {
			t.Errorf("it says that the end of the program did not work:\n%s", log)
		}
	})
}

// restartable is a source whose stream can be started again.
type restartable struct {
	cameratest.Source
	asked []time.Time
	helps bool
}

func (r *restartable) RestartStream() bool {
	r.asked = append(r.asked, time.Now())
	if r.helps {
		r.Stall(false)
	}
	return true
}

func TestStreamRestart(t *testing.T) {
	for _, helps := range []bool{true, false} {
		t.Run(fmt.Sprintf("helps %v", helps), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &restartable{helps: helps}
				b := start(t, &src.Source, func(c *camera.Camera) { c.Source = src })
				b.SetDemand(true)
				after(time.Second)
				src.Stall(true)
				after(5 * time.Second)
				if len(src.asked) != 1 || time.Since(src.asked[0]) > 2500*time.Millisecond || src.Runs() != 1 {
					t.Errorf("stream restarts %v and %d runs, want one after 3 s, and no other run yet", src.asked, src.Runs())
				}
				after(5 * time.Second)
				s := b.State()
				if helps && (s.Phase != camera.Live || src.Runs() != 1 || s.Restarts != 0 || s.Stalls != 1 || s.Recovery[camera.RungReopen] != 0) {
					t.Errorf("%+v after %d runs, want live in the first", s, src.Runs())
				}
				if !helps && (s.Phase != camera.Fault || src.Runs() != 3 || len(src.asked) != 1 || s.Recovery[camera.RungReopen] != 2) {
					t.Errorf("%+v after %d runs, %d stream restarts; want a fault, 3 and 1", s, src.Runs(), len(src.asked))
				}
				if helps { // and again, the next time
					after(time.Second)
					src.Stall(true)
					after(5 * time.Second)
					if len(src.asked) != 2 || src.Runs() != 1 {
						t.Errorf("%d stream restarts and %d runs, want 2 and 1", len(src.asked), src.Runs())
					}
				}
			})
		})
	}
}
