package camera

import (
	"bytes"
	"context"
	"errors"
	"image/jpeg"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var errEnough = errors.New("enough frames")

// A tape records what a source gives, and ends it after some frames.
type tape struct {
	t       *testing.T
	limit   int
	stop    context.CancelCauseFunc
	onFrame func(n int) // called for frame n, from 1

	device  Device
	format  Format
	started int
	frames  []*Frame
	at      []time.Duration // when, after the first
	drops   map[DropKind]int
}

func (s *tape) Started(d Device, f Format) {
	s.started++
	s.device, s.format = d, f
}

func (s *tape) Frame(f *Frame) {
	if s.started == 0 {
		s.t.Error("a frame before Started")
	}
	if !f.Time.Equal(time.Now()) {
		s.t.Errorf("frame of %v at %v", f.Time, time.Now())
	}
	s.frames = append(s.frames, f)
	s.at = append(s.at, f.Time.Sub(s.frames[0].Time))
	if s.onFrame != nil {
		s.onFrame(len(s.frames))
	}
	if len(s.frames) == s.limit {
		s.stop(errEnough)
	}
}

func (s *tape) Drop(kind DropKind, n int) { s.drops[kind] += n }

func (s *tape) Restarted() {}

// record runs src for so many frames in a bubble, in which drawing and reading
// take no time.
func record(t *testing.T, src Source, frames int, onFrame func(n int)) (s *tape, err error) {
	t.Helper()
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancelCause(t.Context())
		defer stop(nil)
		s = &tape{t: t, limit: frames, stop: stop, onFrame: onFrame, drops: make(map[DropKind]int)}
		err = src.Run(ctx, s)
	})
	return s, err
}

func TestPattern(t *testing.T) {
	p := &Pattern{Settings: Settings{Width: 96, Height: 64, FPS: 30}}
	s, err := record(t, p, 301, nil)
	if !errors.Is(err, errEnough) {
		t.Fatalf("error %v, want the cause %v", err, errEnough)
	}
	want := Format{PixelFormat: "JPEG", Width: 96, Height: 64, FPS: 30}
	if diff := cmp.Diff(want, s.format); diff != "" || s.started != 1 || s.device != (Device{Name: "test pattern"}) {
		t.Errorf("started %d times, %v (-want +got):\n%s", s.started, s.device, diff)
	}
	for n, at := range s.at {
		if want := time.Duration(float64(n) / 30 * 1e9); at != want {
			t.Fatalf("frame %d after %v, want %v", n, at, want)
		}
	}
	if len(s.drops) != 0 {
		t.Errorf("drops %v", s.drops)
	}
	for _, n := range []int{0, 1, 300} {
		f := s.frames[n]
		c, err := jpeg.DecodeConfig(bytes.NewReader(f.JPEG))
		if err != nil || c.Width != f.Width || c.Height != f.Height || f.Width != 96 || f.Height != 64 {
			t.Errorf("frame %d is %d×%d, says %d×%d: %v", n, c.Width, c.Height, f.Width, f.Height, err)
		}
		if checked, kind := NewFrame(f.JPEG, f.Time); kind != "" || cmp.Diff(checked, f) != "" {
			t.Errorf("frame %d does not pass the check of cameras' frames: %s", n, kind)
		}
	}
	if bytes.Equal(s.frames[0].JPEG, s.frames[1].JPEG) {
		t.Error("nothing moves")
	}
}

// TestPatternLate holds the sink up: what was missed is left out and counted,
// and the frames after it are on the old schedule.
func TestPatternLate(t *testing.T) {
	p := &Pattern{Settings: Settings{Width: 64, Height: 48, FPS: 10}}
	s, err := record(t, p, 6, func(n int) {
		if n == 2 { // slot 1; slots 2 and 3 pass, slot 4 is late
			time.Sleep(350 * time.Millisecond)
		}
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	want := []time.Duration{0, 100e6, 450e6, 500e6, 600e6, 700e6}
	if diff := cmp.Diff(want, s.at); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[DropKind]int{DropLost: 2}, s.drops); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
}

func TestPatternFormat(t *testing.T) {
	const limits = "; the test pattern has sides of 32 to 4096 pixels, at 0.1 to 120 fps"
	tests := []struct {
		name  string
		asked Settings
		want  Format
	}{
		{"nothing", Settings{}, Format{"JPEG", 1280, 720, 30, ""}},
		{"all", Settings{640, 481, 12.5, 50}, Format{"JPEG", 640, 481, 12.5, ""}},
		{"half a size", Settings{Width: 640}, Format{"JPEG", 1280, 720, 30, ""}},
		{"too small", Settings{1, 48, 30, 0}, Format{"JPEG", 32, 48, 30, "asked for 1×48 at 30 fps" + limits}},
		{"too large", Settings{100_000, -5, 30, 0}, Format{"JPEG", 4096, 32, 30, "asked for 100000×-5 at 30 fps" + limits}},
		{"too fast", Settings{64, 48, 1000, 0}, Format{"JPEG", 64, 48, 120, "asked for 64×48 at 1000 fps" + limits}},
		{"too slow", Settings{64, 48, 0.001, 0}, Format{"JPEG", 64, 48, 0.1, "asked for 64×48 at 0.001 fps" + limits}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &Pattern{Settings: tt.asked}
			if diff := cmp.Diff(tt.want, p.format()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPatternQuality(t *testing.T) {
	last := 0
	for _, quality := range []int{20, 0, 95, 100} { // 0 is 80
		s, err := record(t, &Pattern{Settings: Settings{Width: 160, Height: 120, Quality: quality}}, 1, nil)
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		if n := len(s.frames[0].JPEG); n <= last {
			t.Errorf("%d bytes in quality %d, %d in the one below", n, quality, last)
		} else {
			last = n
		}
	}
}

func TestPatternStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancelCause(t.Context())
		s := &tape{t: t, stop: stop, drops: make(map[DropKind]int)}
		p := &Pattern{Settings: Settings{Width: 64, Height: 48, FPS: 0.1}}
		done := make(chan error)
		go func() { done <- p.Run(ctx, s) }()
		time.Sleep(time.Second) // it waits for its second frame now
		began := time.Now()
		stop(ErrStalled)
		if err := <-done; !errors.Is(err, ErrStalled) || !time.Now().Equal(began) {
			t.Errorf("%v after %v, want %v at once", err, time.Since(began), ErrStalled)
		}
	})
}

func TestPlaceholder(t *testing.T) {
	tests := []struct {
		name          string
		width, height int
		wantW, wantH  int
	}{
		{"camera's size", 640, 360, 640, 360},
		{"size not known", 0, 0, 1280, 720},
		{"too small", 1, 1, 32, 32},
		{"too large", 5000, 40, 4096, 40},
		{"nonsense", -3, 50, 32, 50},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Placeholder(tt.width, tt.height, "No camera", "Is it plugged in?")
			if err != nil {
				t.Fatal(err)
			}
			if f.Width != tt.wantW || f.Height != tt.wantH {
				t.Errorf("%d×%d, want %d×%d", f.Width, f.Height, tt.wantW, tt.wantH)
			}
			if checked, kind := NewFrame(f.JPEG, f.Time); kind != "" || cmp.Diff(checked, f) != "" {
				t.Errorf("does not pass the check of cameras' frames: %s", kind)
			}
		})
	}
}
