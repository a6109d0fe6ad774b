package camera_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a Camera over a test source, inside a synctest bubble, and what it did.
type bench struct {
	*camera.Camera
	src  *cameratest.Source
	stop func() error // ends Run and waits for it
	log  *bytes.Buffer

	mu     sync.Mutex
	states []string // "1.25s live", since the bench began
	seqs   []uint64
	began  time.Time
}

// start runs a Camera until the test ends. It must be called in a bubble, which
// fails the test when a goroutine is left in it.
func start(t *testing.T, src *cameratest.Source, configure func(*camera.Camera)) *bench {
	t.Helper()
	b := &bench{src: src, log: new(bytes.Buffer), began: time.Now()}
	b.Camera = &camera.Camera{
		Source: src,
		Deliver: func(f *camera.Frame) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.seqs = append(b.seqs, f.Seq)
		},
		OnState: func(s camera.State) {
			b.mu.Lock()
			defer b.mu.Unlock()
			line := fmt.Sprintf("%v %s", time.Since(b.began).Round(time.Millisecond), s.Phase)
			if s.Reason != "" {
				line += ": " + s.Reason
			}
			_, what, _ := strings.Cut(line, " ")
			if n := len(b.states); n > 0 && strings.HasSuffix(b.states[n-1], " "+what) {
				return // only device or format changed
			}
			b.states = append(b.states, line)
		},
		Log: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			},
		})),
	}
	if configure != nil {
		configure(b.Camera)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	b.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := b.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	return b
}

// after lets d pass, and everything that then has to happen.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (b *bench) wantStates(t *testing.T, want ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := cmp.Diff(want, b.states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

func (b *bench) frames() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.seqs)
}

func TestDemandStartsAndHoldStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, new(cameratest.Source), nil)
		after(time.Minute)
		if got := b.src.Runs(); got != 0 {
			t.Errorf("%d runs without demand, want none", got)
		}
		b.SetDemand(true)
		after(time.Second)
		if got := b.frames(); got < 29 || 30 < got {
			t.Errorf("%d frames in a second, want 30", got)
		}
		b.SetDemand(false)
		after(10*time.Second - time.Nanosecond)
		if !b.src.Running() {
			t.Error("the source was stopped before IdleHold")
		}
		after(time.Nanosecond)
		if b.src.Running() {
			t.Error("the source runs after IdleHold")
		}
		after(time.Minute)
		b.wantStates(t,
			"0s starting", // not yet known
			"0s idle",
			"1m0s starting",
			"1m0.033s live",
			"1m1s idle",
		)
		want := make([]uint64, b.frames())
		for i := range want {
			want[i] = uint64(i + 1)
		}
		if diff := cmp.Diff(want, b.seqs); diff != "" {
			t.Errorf("sequence (-want +got):\n%s", diff)
		}
		if s := b.State(); s.Frames != uint64(len(want)) || s.Restarts != 0 || s.Stalls != 0 {
			t.Errorf("state counts %d frames, %d restarts, %d stalls; want %d, 0, 0", s.Frames, s.Restarts, s.Stalls, len(want))
		}
	})
}

func TestDemandWithinHoldCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, new(cameratest.Source), func(c *camera.Camera) { c.IdleHold = time.Minute })
		for range 10 {
			b.SetDemand(true)
			after(time.Minute)
			b.SetDemand(false)
			after(59 * time.Second)
		}
		if got := b.src.Runs(); got != 1 {
			t.Errorf("%d runs, want 1", got)
		}
		if got := b.State().Phase; got != camera.Idle {
			t.Errorf("phase %s in the hold, want idle", got)
		}
	})
}

func TestAlwaysOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, new(cameratest.Source), func(c *camera.Camera) { c.AlwaysOn = true })
		after(time.Minute)
		b.SetDemand(true)
		after(time.Second)
		b.SetDemand(false)
		after(time.Hour)
		if got := b.src.Runs(); got != 1 || !b.src.Running() {
			t.Errorf("%d runs, running %v; want 1, true", got, b.src.Running())
		}
		b.wantStates(t, "0s starting", "33ms idle", "1m0s live", "1m1s idle")
	})
}

func TestLogCountsRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &cameratest.Source{Format: camera.Format{PixelFormat: "MJPG", Width: 640, Height: 480, FPS: 25, Adjusted: "asked for more"}}
		b := start(t, src, func(c *camera.Camera) { c.IdleHold = 9990 * time.Millisecond })
		b.SetDemand(true)
		after(20 * time.Second)
		src.Fail(errors.New("broken"))
		after(22 * time.Second) // tries after 0.25, 0.75, 1.75, 3.75, 7.75, 12.75, 17.75 s
		src.Fail(errors.New("in use by motion"))
		after(10 * time.Second)
		src.Plug()
		after(20 * time.Second)
		b.SetDemand(false)
		after(20 * time.Second)
		want := []string{
			`level=INFO msg="camera started" camera="/dev/video0 (test camera)" driver="" format="MJPG 640×480 at 25 fps" adjusted="asked for more"`,
			`level=WARN msg="camera trouble" reason=broken`,
			`level=INFO msg="camera trouble came more than once" reason=broken times=8`,
			`level=WARN msg="camera trouble" reason="in use by motion"`,
			`level=INFO msg="camera works again" camera="/dev/video0 (test camera)" driver="" format="MJPG 640×480 at 25 fps" adjusted="asked for more" tries=2`,
			`level=INFO msg="camera stopped" why="nobody watches" frames=749`,
		}
		got := strings.Split(strings.TrimSpace(b.log.String()), "\n")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

func TestDeviceAndFormatArePublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		src := new(cameratest.Source)
		b := start(t, src, func(c *camera.Camera) {
			c.OnState = func(s camera.State) {
				got = append(got, fmt.Sprintf("%s, %s, %s", s.Phase, s.Device, s.Format))
			}
		})
		b.SetDemand(true)
		after(time.Second)
		src.Unplug()
		after(time.Second)
		src.Plug()
		after(time.Second)
		const none, test = " 0×0 at 0 fps", "MJPG 640×480 at 30 fps"
		want := []string{
			"starting, , " + none,
			"idle, /dev/video0 (test camera), " + none,
			"starting, /dev/video0 (test camera), " + none,
			"starting, /dev/video0 (test camera), " + test,
			"live, /dev/video0 (test camera), " + test,
			"no-camera, , " + test,
			"no-camera, /dev/video0 (test camera), " + test,
			"live, /dev/video0 (test camera), " + test,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
	})
}

func TestStateIsAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, new(cameratest.Source), nil)
		b.SetDemand(true)
		b.src.Damage(camera.DropEmpty)
		after(time.Second)
		before := b.State()
		before.Dropped[camera.DropNoSOI] = 7
		after(time.Second)
		now := b.State()
		if now.Dropped[camera.DropNoSOI] != 0 || now.Dropped[camera.DropEmpty] <= before.Dropped[camera.DropEmpty] {
			t.Errorf("Dropped is shared: %v, then %v", before.Dropped, now.Dropped)
		}
	})
}
