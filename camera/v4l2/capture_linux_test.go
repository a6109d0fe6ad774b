//go:build cgo

package v4l2

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	go4vl "github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2/internal/ioctl"
)

func TestStampTime(t *testing.T) {
	now := time.Now()
	const monotonic = time.Hour
	tests := []struct {
		name  string
		stamp time.Duration
		age   time.Duration
	}{
		{"fresh", monotonic - 40*time.Millisecond, 40 * time.Millisecond},
		{"this moment", monotonic, 0},
		{"from the future", monotonic + time.Microsecond, 0},
		{"none", 0, 0},
		{"Unix time", time.Duration(1_800_000_000) * time.Second, 0},
		{"stale beyond belief", monotonic - maxAge - 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := new(stamps).time(tt.stamp, monotonic, now)
			if age := now.Sub(got); age != tt.age {
				t.Errorf("age %v, want %v", age, tt.age)
			}
			if wall := now.Round(0).Sub(got.Round(0)); wall != tt.age {
				t.Errorf("age by the wall clock %v, want %v", wall, tt.age)
			}
		})
	}
}

// Stamps that do not advance are not those of the frames.
func TestStampsThatStandStill(t *testing.T) {
	const ms, start = time.Millisecond, time.Hour
	type frame struct{ comes, stamp, age time.Duration } // after the stream's start
	for _, tt := range []struct {
		name   string
		frames []frame
	}{
		{"advancing", []frame{{40 * ms, 10 * ms, 30 * ms}, {80 * ms, 50 * ms, 30 * ms}, {120 * ms, 90 * ms, 30 * ms}}},
		{"stills with the stream's start", []frame{{300 * ms, 0, 300 * ms}, {600 * ms, 0, 0}, {900 * ms, 0, 0}, {9900 * ms, 0, 0}}},
		{"started again", []frame{{300 * ms, 0, 300 * ms}, {600 * ms, 0, 0}, {1300 * ms, 1000 * ms, 300 * ms}, {1600 * ms, 1000 * ms, 0}}},
		{"one without a stamp of its own", []frame{{40 * ms, 10 * ms, 30 * ms}, {80 * ms, 10 * ms, 0}, {120 * ms, 90 * ms, 30 * ms}}},
		{"backwards", []frame{{80 * ms, 50 * ms, 30 * ms}, {120 * ms, 10 * ms, 0}, {160 * ms, 130 * ms, 30 * ms}}},
		{"one from the future", []frame{{40 * ms, 10 * ms, 30 * ms}, {80 * ms, time.Hour, 0}, {120 * ms, 90 * ms, 30 * ms}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s stamps
			now := time.Now()
			for i, f := range tt.frames {
				if age := now.Sub(s.time(start+f.stamp, start+f.comes, now)); age != f.age {
					t.Errorf("frame %d has an age of %v, want %v", i, age, f.age)
				}
			}
		})
	}
}

// drops is a sink that only counts.
type drops map[camera.DropKind]int

func (drops) Started(camera.Device, camera.Format) {}
func (drops) Frame(*camera.Frame)                  {}
func (d drops) Drop(kind camera.DropKind, n int)   { d[kind] += n }
func (drops) Restarted()                           {}

func TestCountLost(t *testing.T) {
	tests := []struct {
		name      string
		sequences []uint32
		want      int
	}{
		{"none", []uint32{0, 1, 2, 3}, 0},
		{"it does not begin at 0", []uint32{17, 18}, 0},
		{"gaps", []uint32{0, 2, 3, 7}, 4},
		{"over the end of the numbers", []uint32{0xfffffffe, 1}, 2},
		{"backwards", []uint32{100, 3, 4, 6}, 1},
		{"a leap", []uint32{0, 1_000_000, 1_000_001}, 0},
		{"a driver that does not number", []uint32{0, 0, 0}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := drops{}
			c := capture{sink: d}
			for _, s := range tt.sequences {
				c.countLost(ioctl.Buffer{Sequence: s})
			}
			if d[camera.DropLost] != tt.want {
				t.Errorf("%d lost, want %d", d[camera.DropLost], tt.want)
			}
		})
	}
}

func TestAdjusted(t *testing.T) {
	t.Attr("fault", "camera | a camera that gives another size, rate or format than was asked for | what it gives is used, and said | –")
	got := camera.Format{PixelFormat: "MJPG", Width: 640, Height: 480, FPS: 29.97}
	tests := []struct {
		name  string
		want  camera.Settings
		pixel string
		text  string
	}{
		{"the device's own choice", camera.Settings{}, "", ""},
		{"as asked", camera.Settings{Width: 640, Height: 480, FPS: 30}, "", ""},
		{"another size", camera.Settings{Width: 641, Height: 479}, "", "asked for 641×479, the camera gives 640×480; it offers much"},
		{"another rate", camera.Settings{Width: 640, Height: 480, FPS: 7}, "", "asked for 7 fps, the camera gives 29.97 fps; it offers much"},
		{"another pixel format", camera.Settings{Width: 640, Height: 480, FPS: 30}, "JPEG", "asked for JPEG, the camera gives MJPG; it offers much"},
		{"both", camera.Settings{Width: 641, Height: 479, FPS: 7}, "", "asked for 641×479 at 7 fps, the camera gives 640×480 at 29.97 fps; it offers much"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if text := adjusted(tt.want, tt.pixel, got, func() string { return "much" }); text != tt.text {
				t.Errorf("got %q, want %q", text, tt.text)
			}
		})
	}
}

// script is a stream that answers from a list, one entry for each call of
// Dequeue, and EAGAIN for a nil one. Wait ends with ErrCanceled after the last.
type script struct {
	answers []any // v4l2.Buffer, error, or nil
	queued  []int
	starts  int
}

func (s *script) Wait() error {
	if len(s.answers) == 0 {
		return ioctl.ErrCanceled
	}
	return nil
}

func (s *script) Dequeue() (ioctl.Buffer, error) {
	if len(s.answers) == 0 {
		return ioctl.Buffer{}, unix.EAGAIN
	}
	answer := s.answers[0]
	s.answers = s.answers[1:]
	switch a := answer.(type) {
	case ioctl.Buffer:
		return a, nil
	case error:
		return ioctl.Buffer{}, a
	}
	return ioctl.Buffer{}, unix.EAGAIN
}

func (s *script) Queue(i int) error { s.queued = append(s.queued, i); return nil }
func (s *script) Restart() error    { s.starts++; return nil }

// took is a sink that notes everything in words.
type took []string

func (*took) Started(camera.Device, camera.Format) {}
func (w *took) Frame(f *camera.Frame)              { *w = append(*w, fmt.Sprintf("frame of %d bytes", len(f.JPEG))) }
func (w *took) Drop(kind camera.DropKind, number int) {
	*w = append(*w, fmt.Sprintf("%d %s", number, kind))
}
func (w *took) Restarted() { *w = append(*w, "restarted") }

func TestCapture(t *testing.T) {
	picture := func(comment int) []byte {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8)), nil); err != nil {
			t.Fatal(err)
		}
		jpg := b.Bytes()
		jpg = append([]byte{0xff, 0xd8, 0xff, 0xfe, 0, byte(2 + comment)}, append(make([]byte, comment), jpg[2:]...)...)
		return jpg
	}
	var (
		plain = len(picture(0))
		buf   = func(i int, sequence uint32, data []byte) ioctl.Buffer {
			return ioctl.Buffer{Index: i, Sequence: sequence, Data: data}
		}
		full = func(i int, sequence uint32, data []byte) ioctl.Buffer {
			return ioctl.Buffer{Index: i, Sequence: sequence, Data: data, Full: true}
		}
		at = func(i int, ms time.Duration) ioctl.Buffer {
			return ioctl.Buffer{Index: i, Data: picture(0), Stamp: ms * time.Millisecond}
		}
		pis         = quirks["bcm2835 mmal"]
		flagged     = ioctl.Buffer{Index: 2, Sequence: 1, Data: picture(2), Flags: go4vl.BufFlagError}
		eio         = fmt.Errorf("VIDIOC_DQBUF: %w", unix.EIO)
		frame       = func(comment int) string { return fmt.Sprintf("frame of %d bytes", plain+comment) }
		canceled    = ioctl.ErrCanceled
		interrupted = fmt.Errorf("poll: %w", ioctl.ErrInterrupted)
	)
	tests := []struct {
		name    string
		answers []any
		took    took
		queued  []int
		starts  int
		err     error
		quirk   quirk
	}{
		{"one at a time", []any{buf(0, 0, picture(0)), nil, buf(1, 1, picture(1)), nil},
			took{frame(0), frame(1)}, []int{0, 1}, 0, canceled, quirk{}},
		{"the newest of those ready", []any{buf(0, 0, picture(0)), buf(1, 1, picture(1)), buf(2, 2, picture(2)), nil},
			took{"1 stale", "1 stale", frame(2)}, []int{0, 1, 2}, 0, canceled, quirk{}},
		{"no longer than there are buffers", []any{
			buf(0, 0, picture(0)), buf(1, 1, picture(1)), buf(2, 2, picture(2)), buf(3, 3, picture(3)), buf(0, 4, picture(4)), nil,
		}, took{"1 stale", "1 stale", "1 stale", frame(3), frame(4)}, []int{0, 1, 2, 3, 0}, 0, canceled, quirk{}},
		{"flagged", []any{buf(0, 0, picture(0)), flagged, nil},
			took{"1 flagged", frame(0)}, []int{2, 0}, 0, canceled, quirk{}},
		{"without bytes", []any{buf(3, 0, nil), nil},
			took{"1 empty"}, []int{3}, 0, canceled, quirk{}},
		{"half", []any{buf(1, 0, picture(9)[:30]), nil},
			took{"1 truncated"}, []int{1}, 0, canceled, quirk{}},
		{"lost ones", []any{buf(0, 0, picture(0)), nil, buf(1, 4, picture(1)), nil},
			took{frame(0), "3 lost", frame(1)}, []int{0, 1}, 0, canceled, quirk{}},
		{"one that comes too late", []any{buf(0, 0, picture(0)), nil, buf(1, 2, picture(2)), nil, buf(2, 1, picture(1)), nil, buf(3, 3, picture(3)), nil},
			took{frame(0), "1 lost", frame(2), "1 stale", frame(3)}, []int{0, 1, 2, 3}, 0, canceled, quirk{}},
		{"two at once in the wrong order", []any{buf(0, 0, picture(0)), nil, buf(2, 2, picture(2)), buf(1, 1, picture(1)), nil},
			took{frame(0), "1 lost", "1 stale", frame(2)}, []int{0, 1, 2}, 0, canceled, quirk{}},
		{"a driver that does not number", []any{buf(0, 0, picture(0)), nil, buf(1, 0, picture(1)), nil},
			took{frame(0), frame(1)}, []int{0, 1}, 0, canceled, quirk{}},
		{"a driver that counts anew", []any{buf(0, 50, picture(0)), nil, buf(1, 0, picture(1)), nil},
			took{frame(0), frame(1)}, []int{0, 1}, 0, canceled, quirk{}},
		{"nothing ready", []any{nil, nil}, nil, nil, 0, canceled, quirk{}},
		{"interrupted", []any{buf(0, 7, picture(0)), nil, interrupted, interrupted, buf(0, 20, picture(1)), nil},
			took{frame(0), "restarted", "restarted", frame(1)}, []int{0, 0}, 2, canceled, quirk{}},
		{"EIO, and well again", []any{buf(0, 7, picture(0)), nil, eio, buf(0, 20, picture(1)), nil, eio, buf(1, 0, picture(2)), nil},
			took{frame(0), "restarted", frame(1), "restarted", frame(2)}, []int{0, 0, 1}, 2, canceled, quirk{}},
		{"EIO while one is held", []any{buf(0, 0, picture(0)), eio, buf(0, 0, picture(1)), nil},
			took{"restarted", frame(1)}, []int{0}, 1, canceled, quirk{}},
		{"EIO again", []any{eio, buf(0, 0, nil), nil, eio}, took{"restarted", "1 empty"}, []int{0}, 1, unix.EIO, quirk{}},
		{"too large", []any{full(0, 0, picture(9)[:30]), nil}, took{"1 too-large"}, []int{0}, 0, canceled, quirk{}},
		{"as large as a buffer, and whole", []any{full(0, 0, picture(9)), nil, buf(1, 1, picture(1)), nil},
			took{frame(9), frame(1)}, []int{0, 1}, 0, canceled, pis},
		{"the rest comes in the next buffers", []any{
			full(0, 0, picture(9)[:30]), nil, full(1, 1, picture(9)[30:60]), nil, buf(2, 2, picture(9)[60:]), nil, buf(3, 3, picture(1)), nil,
		}, took{"1 too-large", frame(1)}, []int{0, 1, 2, 3}, 0, canceled, pis},
		{"the rest is lost", []any{full(0, 0, picture(9)[:30]), nil, buf(1, 1, picture(1)), nil},
			took{"1 too-large", frame(1)}, []int{0, 1}, 0, canceled, pis},
		{"lost ones that are not numbered", []any{at(0, 0), nil, at(1, 100), nil, at(2, 500), nil, at(3, 600), nil},
			took{frame(0), frame(0), frame(0), "3 lost", frame(0)}, []int{0, 1, 2, 3}, 0, canceled, pis},
		{"time goes on in a restart", []any{at(0, 0), nil, at(1, 100), nil, eio, at(2, 500), nil, at(3, 600), nil},
			took{frame(0), frame(0), "restarted", frame(0), frame(0)}, []int{0, 1, 2, 3}, 1, canceled, pis},
		{"unplugged", []any{buf(0, 0, picture(0)), fmt.Errorf("VIDIOC_DQBUF: %w", unix.ENODEV)},
			nil, nil, 0, unix.ENODEV, quirk{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{answers: tt.answers}
			var got took
			c := newCapture(s, &got, slog.New(slog.DiscardHandler), tt.quirk, camera.Format{PixelFormat: "MJPG", FPS: 10})
			if err := c.run(); !errors.Is(err, tt.err) {
				t.Errorf("run() = %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.took, got); diff != "" {
				t.Errorf("the sink took (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.queued, s.queued); diff != "" {
				t.Errorf("buffers given back (-want +got):\n%s", diff)
			}
			if s.starts != tt.starts {
				t.Errorf("%d restarts, want %d", s.starts, tt.starts)
			}
		})
	}
}

// endless is a stream of pictures without EOI at 10 fps.
type endless struct {
	data []byte
	left int
}

func (s *endless) Wait() error {
	time.Sleep(100 * time.Millisecond)
	if s.left--; s.left < 0 {
		return ioctl.ErrCanceled
	}
	return nil
}

func (s *endless) Dequeue() (ioctl.Buffer, error) {
	return ioctl.Buffer{Data: s.data, Sequence: uint32(-s.left)}, nil
}

func (*endless) Queue(int) error { return nil }
func (*endless) Restart() error  { return nil }

func TestCaptureNoEOI(t *testing.T) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8)), nil); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		d, said := drops{}, 0
		c := newCapture(&endless{b.Bytes()[:b.Len()-2], 70}, d, slog.New(slog.DiscardHandler), quirk{}, camera.Format{PixelFormat: "MJPG", FPS: 10})
		began, after := time.Now(), time.Duration(0)
		c.noEOI = func() { said, after = said+1, time.Since(began) }
		if err := c.run(); !errors.Is(err, ioctl.ErrCanceled) {
			t.Error(err)
		}
		if said != 1 || after != 5100*time.Millisecond {
			t.Errorf("said %d times, after %v; want once, 5 s after the first frame", said, after)
		}
		delete(d, camera.DropStale)
		if len(d) != 0 {
			t.Errorf("dropped %v", d)
		}
	})
}
