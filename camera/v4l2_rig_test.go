//go:build linux && cgo

package camera_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	go4vl "github.com/vladimirvivien/go4vl/v4l2"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest"
	"github.com/pushcam/pushcam/camera/internal/v4l2"
)

// inRig skips a test outside of hack/rig's virtual machine. Its context bounds
// every wait of the test.
func inRig(t *testing.T) context.Context {
	t.Helper()
	if os.Getenv("PUSHCAM_RIG") == "" {
		t.Skip("needs a real kernel with a webcam: run it with \"go run ./hack/rig test ./camera\"")
	}
	t.Cleanup(func() { goleak.VerifyNone(t) })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// plug plugs the webcam in until the test ends.
func plug(t *testing.T, ctx context.Context, w *cameratest.Webcam) (path string) {
	t.Helper()
	t.Cleanup(func() {
		if err := w.Unplug(); err != nil {
			t.Error(err)
		}
	})
	return replug(t, ctx, w)
}

func replug(t *testing.T, ctx context.Context, w *cameratest.Webcam) (path string) {
	t.Helper()
	if err := w.Plug(); err != nil {
		t.Fatal(err)
	}
	path, err := w.Node(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// send lets the webcam send pictures, next(0), next(1), …, until the test ends
// or it is unplugged.
func send(t *testing.T, ctx context.Context, w *cameratest.Webcam, next func(n int) cameratest.Picture) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Stream(ctx, 0, next) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) && !errors.Is(err, cameratest.ErrUnplugged) {
			t.Errorf("sending: %v", err)
		}
	})
}

// good sends nothing but good pictures.
func good(n int) cameratest.Picture { return cameratest.Picture{Data: numbered(n)} }

// plain is a JPEG of 640×480.
var plain = sync.OnceValue(func() []byte {
	img := image.NewGray(image.Rect(0, 0, 640, 480))
	for i := range img.Pix {
		img.Pix[i] = byte(i * i >> 7)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
})

// numbered is plain with a number in a comment behind SOI.
func numbered(n int) []byte {
	jpg := append([]byte{0xff, 0xd8, 0xff, 0xfe, 0, 6}, binary.BigEndian.AppendUint32(nil, uint32(n))...)
	return append(jpg, plain()[2:]...)
}

// number reads the number of such a JPEG.
func number(t *testing.T, jpg []byte) int {
	t.Helper()
	if len(jpg) < 10 {
		t.Fatalf("a frame of %d bytes", len(jpg))
	}
	return int(binary.BigEndian.Uint32(jpg[6:]))
}

// live is a Camera over a V4L2 source that somebody watches.
type live struct {
	*camera.Camera
	source *camera.V4L2
	log    *bytes.Buffer // to be read after stop
	stop   func()

	frames chan *camera.Frame
	states chan camera.State
}

func watch(t *testing.T, ctx context.Context, source *camera.V4L2) *live {
	t.Helper()
	l := &live{
		source: source,
		log:    new(bytes.Buffer),
		frames: make(chan *camera.Frame, 10_000),
		states: make(chan camera.State, 1000),
	}
	log := slog.New(slog.NewTextHandler(l.log, nil))
	source.Log = log
	l.Camera = &camera.Camera{
		Source: source,
		Log:    log,
		Deliver: func(f *camera.Frame) {
			select {
			case l.frames <- f:
			default: // nobody reads any more
			}
		},
		OnState: func(s camera.State) { l.states <- s },
	}
	l.SetDemand(true)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", l.log)
		}
	})
	t.Cleanup(l.stop)
	return l
}

func (l *live) frame(t *testing.T, ctx context.Context) *camera.Frame {
	t.Helper()
	select {
	case f := <-l.frames:
		return f
	case <-ctx.Done():
		t.Fatalf("no frame: %v; the state is %+v", ctx.Err(), l.State())
		return nil
	}
}

// state waits for a phase.
func (l *live) state(t *testing.T, ctx context.Context, phase camera.Phase) camera.State {
	t.Helper()
	for {
		select {
		case s := <-l.states:
			if s.Phase == phase {
				return s
			}
		case <-ctx.Done():
			t.Fatalf("never %s: %v; the state is %+v", phase, ctx.Err(), l.State())
		}
	}
}

// TestRigFrames takes 300 frames from a webcam that sends much else.
func TestRigFrames(t *testing.T) {
	ctx := inRig(t)
	if err := cameratest.KeepDamaged(true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cameratest.KeepDamaged(false); err != nil {
			t.Error(err)
		}
	})
	w := &cameratest.Webcam{Name: "Faulty Webcam", Serial: "F1"}
	path := plug(t, ctx, w)
	send(t, ctx, w, func(n int) cameratest.Picture {
		p := good(n)
		switch n % 10 {
		case 2:
			p.Data = cameratest.Half(p.Data)
		case 4:
			p.Data = append(p.Data, make([]byte, 500)...) // padding
		case 5:
			p.Data = cameratest.WithoutDHT(p.Data)
			p.Data = append(p.Data[:len(p.Data):len(p.Data)], 0)
		case 6:
			p.Error = true
		case 7:
			p.Data = nil
		case 8:
			p.Data = p.Data[1:]
		}
		return p
	})
	l := watch(t, ctx, &camera.V4L2{})
	last, withoutDHT := -1, 0
	began := time.Now()
	for range 300 {
		f := l.frame(t, ctx)
		n := number(t, f.JPEG)
		if n <= last {
			t.Fatalf("frame %d came after frame %d", n, last)
		}
		last = n
		want := numbered(n)
		switch n % 10 {
		case 5:
			withoutDHT++
			// Where its tables are may differ; that they are there, and that all
			// else is as it was, may not.
			if !bytes.Contains(f.JPEG, []byte{0xff, 0xc4}) || !bytes.Equal(cameratest.WithoutDHT(f.JPEG), cameratest.WithoutDHT(want)) {
				t.Fatalf("frame %d was sent without tables and is damaged, or still without", n)
			}
		case 2, 6, 7, 8:
			t.Fatalf("frame %d was delivered although it was damaged", n)
		default:
			if !bytes.Equal(f.JPEG, want) {
				t.Fatalf("frame %d was delivered with other bytes than were sent", n)
			}
		}
		if age := time.Since(f.Time); age < 0 || age > 30*time.Second {
			t.Fatalf("frame %d is %v old", n, age)
		}
		if f.Width != 640 || f.Height != 480 {
			t.Fatalf("frame %d is %d×%d, want 640×480", n, f.Width, f.Height)
		}
	}
	s := l.State()
	t.Logf("300 of %d frames sent, in %v; dropped %v", last+1, time.Since(began).Round(time.Millisecond), s.Dropped)
	for _, kind := range []camera.DropKind{camera.DropTruncated, camera.DropFlagged, camera.DropNoSOI} {
		if s.Dropped[kind] == 0 {
			t.Errorf("no frame was dropped as %s", kind)
		}
	}
	if withoutDHT == 0 {
		t.Error("no frame came that was sent without tables")
	}
	want := camera.Device{Name: "Faulty Webcam", Path: path, Driver: "uvcvideo", Bus: s.Device.Bus, Serial: "F1"}
	if diff := cmp.Diff(want, s.Device); diff != "" || !strings.HasPrefix(s.Device.Bus, "usb-vhci_hcd") {
		t.Errorf("device (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(camera.Format{PixelFormat: "MJPG", Width: 640, Height: 480, FPS: 30}, s.Format); diff != "" {
		t.Errorf("format (-want +got):\n%s", diff)
	}
	if s.Phase != camera.Live || s.Restarts != 0 {
		t.Errorf("phase %s, %d restarts; want live, 0", s.Phase, s.Restarts)
	}
}

func TestRigUnplug(t *testing.T) {
	tests := []struct {
		name   string
		byPath bool          // V4L2.Device is the path
		held   bool          // so that the webcam comes back under another path
		away   time.Duration // longer than 8 s is in the longest back-off
	}{
		{"comes back", false, false, 9 * time.Second},
		{"comes back under another path", false, true, 0},
		{"comes back under another path than was asked for", true, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := inRig(t)
			w := &cameratest.Webcam{Serial: "U1"}
			path := plug(t, ctx, w)
			source := new(camera.V4L2)
			if tt.byPath {
				source.Device = path
			}
			send(t, ctx, w, good)
			l := watch(t, ctx, source)
			l.frame(t, ctx)
			l.state(t, ctx, camera.Live)
			if tt.held {
				holder, err := os.OpenFile(path, os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer holder.Close()
			}

			unplugged := time.Now()
			if err := w.Unplug(); err != nil {
				t.Fatal(err)
			}
			s := l.state(t, ctx, camera.NoCamera)
			t.Logf("%q %v after the unplug", s.Reason, time.Since(unplugged).Round(time.Millisecond))
			if want := fmt.Sprintf("no camera: %s (Simulated Webcam) was unplugged", path); s.Reason != want {
				t.Errorf("reason %q, want %q", s.Reason, want)
			}
			if err := l.Health(); !errors.Is(err, camera.ErrNoCamera) {
				t.Errorf("Health() = %v, want ErrNoCamera", err)
			}
			before := l.State().Frames
			time.Sleep(tt.away)

			again := replug(t, ctx, w)
			back := time.Now()
			send(t, ctx, w, good)
			if (again != path) != tt.held {
				t.Fatalf("it was %s and came back as %s", path, again)
			}
			l.state(t, ctx, camera.Live)
			took := time.Since(back)
			t.Logf("live again %v after %s appeared", took.Round(time.Millisecond), again)
			if took > 3*time.Second {
				t.Errorf("that is more than 3 s")
			}
			var f *camera.Frame
			for f = l.frame(t, ctx); f.Seq <= before; f = l.frame(t, ctx) {
			}
			if f.Seq != before+1 {
				t.Errorf("the first frame is number %d, want %d", f.Seq, before+1)
			}
			s = l.State()
			if s.Device.Path != again || s.Restarts != 1 || s.Stalls != 0 {
				t.Errorf("device %s, %d restarts, %d stalls; want %s, 1, 0", s.Device.Path, s.Restarts, s.Stalls, again)
			}
			l.stop()
			if err := l.Health(); err == nil {
				t.Error("Health() = nil after the end")
			}
		})
	}
}

// TestRigStall has a webcam that stops sending, and one that hangs altogether.
func TestRigStall(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		t.Run(fmt.Sprintf("hangs %v", hangs), func(t *testing.T) {
			ctx := inRig(t)
			w := new(cameratest.Webcam)
			plug(t, ctx, w)
			l := watch(t, ctx, new(camera.V4L2))
			if _, err := w.Started(ctx); err != nil {
				t.Fatal(err)
			}
			if err := w.Send(ctx, good(1)); err != nil {
				t.Fatal(err)
			}
			l.state(t, ctx, camera.Live)
			began := time.Now()
			w.Stall(hangs)
			s := l.state(t, ctx, camera.Fault)
			t.Logf("%q after %v", s.Reason, time.Since(began).Round(time.Millisecond))
			if want := "camera stalled: it gave no frame for 3s"; s.Reason != want || s.Stalls != 1 {
				t.Errorf("reason %q, %d stalls; want %q, 1", s.Reason, s.Stalls, want)
			}
			w.Stall(false)
			send(t, ctx, w, good)
			began = time.Now()
			s = l.state(t, ctx, camera.Live)
			t.Logf("live again after %v", time.Since(began).Round(time.Millisecond))
			if s.Restarts == 0 {
				t.Error("no restart was counted")
			}
		})
	}
}

func TestRigAdjusts(t *testing.T) {
	ctx := inRig(t)
	w := &cameratest.Webcam{Modes: []cameratest.Mode{
		{Width: 640, Height: 480, FPS: []float64{30, 10}},
		{Width: 1280, Height: 720, FPS: []float64{15}},
	}}
	plug(t, ctx, w)
	send(t, ctx, w, good)
	tests := []struct {
		settings camera.Settings
		want     camera.Format
	}{
		{camera.Settings{}, camera.Format{PixelFormat: "MJPG", Width: 640, Height: 480, FPS: 30}},
		{camera.Settings{Width: 1280, Height: 720, FPS: 15, Quality: 80}, camera.Format{PixelFormat: "MJPG", Width: 1280, Height: 720, FPS: 15}},
		{camera.Settings{Width: 641, Height: 479, FPS: 7}, camera.Format{PixelFormat: "MJPG", Width: 640, Height: 480, FPS: 10,
			Adjusted: "asked for 641×479 at 7 fps, the camera gives 640×480 at 10 fps; it offers 640×480, 1280×720; 30, 10 fps at 640×480"}},
		{camera.Settings{Width: 1280, Height: 720, FPS: 60}, camera.Format{PixelFormat: "MJPG", Width: 1280, Height: 720, FPS: 15,
			Adjusted: "asked for 60 fps, the camera gives 15 fps; it offers 640×480, 1280×720; 15 fps at 1280×720"}},
		{camera.Settings{Width: 640, Height: 480, FPS: 10}, camera.Format{PixelFormat: "MJPG", Width: 640, Height: 480, FPS: 10}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%+v", tt.settings), func(t *testing.T) {
			l := watch(t, ctx, &camera.V4L2{Settings: tt.settings})
			l.frame(t, ctx)
			if diff := cmp.Diff(tt.want, l.State().Format); diff != "" {
				t.Errorf("format (-want +got):\n%s", diff)
			}
			got, err := w.Started(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if want := (cameratest.Negotiated{Format: cameratest.MJPEG, Width: tt.want.Width, Height: tt.want.Height, FPS: tt.want.FPS}); got != want {
				t.Errorf("the webcam was told %+v, want %+v", got, want)
			}
			l.stop()
			const noQuality = "camera has no JPEG quality to set"
			if strings.Contains(l.log.String(), noQuality) != (tt.settings.Quality > 0) {
				t.Errorf("the log says %q or does not:\n%s", noQuality, l.log)
			}
			if err := w.Stopped(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// hold streams from a device until stdin is closed.
func hold(t *testing.T, path string) {
	d, err := v4l2.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Start(2); err != nil {
		t.Fatal(err)
	}
	fmt.Println("holding")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		t.Error(err)
	}
}

// TestRigTwoOpeners runs itself as the other program.
func TestRigTwoOpeners(t *testing.T) {
	ctx := inRig(t)
	const variable = "PUSHCAM_TEST_HOLD"
	if path := os.Getenv(variable); path != "" {
		hold(t, path)
		return
	}
	w := new(cameratest.Webcam)
	path := plug(t, ctx, w)
	send(t, ctx, w, good)

	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.CommandContext(ctx, program, "-test.run=^TestRigTwoOpeners$")
	other.Env = append(os.Environ(), variable+"="+path)
	stdin, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 64)
	if n, err := stdout.Read(said); err != nil || !strings.HasPrefix(string(said[:n]), "holding") {
		t.Fatalf("the other program says %q, %v", said[:n], err)
	}

	l := watch(t, ctx, new(camera.V4L2))
	s := l.state(t, ctx, camera.Fault)
	t.Log(s.Reason)
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", other.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%s (Simulated Webcam) is in use by %s (process %d): stop that program, or choose another camera",
		path, strings.TrimSpace(string(comm)), other.Process.Pid)
	if !strings.HasPrefix(s.Reason, want) || !errors.Is(l.Health(), unix.EBUSY) {
		t.Errorf("reason %q, Health() = %v\nwant %q, EBUSY", s.Reason, l.Health(), want)
	}
	stdin.Close()
	if err := other.Wait(); err != nil {
		t.Errorf("the other program: %v", err)
	}
	l.state(t, ctx, camera.Live)
}

// TestRigLeavesNothing starts and stops a hundred times, and counts what the
// process holds.
func TestRigLeavesNothing(t *testing.T) {
	ctx := inRig(t)
	w := new(cameratest.Webcam)
	path := plug(t, ctx, w)
	send(t, ctx, w, good)
	held := func() (descriptors []string, mappings int) {
		links, err := filepath.Glob("/proc/self/fd/*")
		if err != nil {
			t.Fatal(err)
		}
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			if target, err := os.Readlink(link); err == nil { // else Glob's own
				descriptors = append(descriptors, target)
			}
		}
		return descriptors, strings.Count(string(maps), path)
	}
	source := new(camera.V4L2)
	var before []string
	began := time.Now()
	for i := range 100 {
		run, cancel := context.WithCancel(ctx)
		first := new(firstFrame)
		first.cancel = func() {
			if _, mappings := held(); mappings == 0 && i == 0 {
				t.Errorf("no mapping of %s while it streams: this test looks for the wrong thing", path)
			}
			cancel()
		}
		if err := source.Run(run, first); !errors.Is(err, context.Canceled) {
			t.Fatalf("run %d: %v", i, err)
		}
		cancel()
		descriptors, mappings := held()
		if i == 0 {
			before = descriptors // with what the runtime opened for itself
		}
		if len(descriptors) > len(before) || mappings != 0 {
			t.Fatalf("after run %d: %d mappings, want 0; descriptors (-before +after):\n%s", i, mappings, cmp.Diff(before, descriptors))
		}
	}
	t.Logf("100 starts and stops in %v; descriptors: %v", time.Since(began).Round(time.Millisecond), before)
}

// firstFrame is a sink that cancels at the first frame.
type firstFrame struct{ cancel func() }

func (*firstFrame) Started(camera.Device, camera.Format) {}
func (f *firstFrame) Frame(*camera.Frame)                { f.cancel() }
func (*firstFrame) Drop(camera.DropKind, int)            {}

// TestRigEnumeration compares what we read of a device with what go4vl reads.
func TestRigEnumeration(t *testing.T) {
	ctx := inRig(t)
	w := &cameratest.Webcam{
		Formats: []cameratest.PixelFormat{cameratest.YUYV, cameratest.MJPEG},
		Modes: []cameratest.Mode{
			{Width: 320, Height: 240, FPS: []float64{30, 20, 5}},
			{Width: 640, Height: 480},
			{Width: 1280, Height: 720, FPS: []float64{10}},
		},
	}
	d, err := v4l2.Open(plug(t, ctx, w))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()

	formats, err := d.Formats()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := unmoved(func() ([]go4vl.FormatDescription, error) { return go4vl.GetAllFormatDescriptions(d.FD()) })
	if err != nil {
		t.Fatal(err)
	}
	var want []v4l2.FormatDescription
	for _, f := range theirs {
		want = append(want, v4l2.FormatDescription{PixelFormat: v4l2.PixelFormat(f.PixelFormat), Description: f.Description})
	}
	if diff := cmp.Diff(want, formats); diff != "" || len(formats) != 2 {
		t.Errorf("formats (-go4vl +ours):\n%s", diff)
	}

	compared := 0
	for _, f := range formats {
		sizes, err := d.Sizes(f.PixelFormat)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := unmoved(func() ([]go4vl.FrameSizeEnum, error) {
			return go4vl.GetFormatFrameSizes(d.FD(), go4vl.FourCCType(f.PixelFormat))
		})
		if err != nil {
			t.Fatal(err)
		}
		var want []v4l2.Size
		for _, s := range theirs {
			want = append(want, v4l2.Size{Width: int(s.Size.MinWidth), Height: int(s.Size.MinHeight)})
		}
		if diff := cmp.Diff(want, sizes); diff != "" || len(sizes) != 3 {
			t.Errorf("sizes of %s (-go4vl +ours):\n%s", f.PixelFormat, diff)
		}
		for _, size := range sizes {
			intervals, err := d.Intervals(v4l2.Picture{PixelFormat: f.PixelFormat, Size: size})
			if err != nil {
				t.Fatal(err)
			}
			for i, interval := range intervals {
				their, err := unmoved(func() (go4vl.FrameIntervalEnum, error) {
					return go4vl.GetFormatFrameInterval(d.FD(), uint32(i), go4vl.FourCCType(f.PixelFormat), uint32(size.Width), uint32(size.Height))
				})
				if err != nil {
					t.Fatal(err)
				}
				if want := (v4l2.Fraction{Numerator: their.Interval.Min.Numerator, Denominator: their.Interval.Min.Denominator}); interval != want {
					t.Errorf("interval %d of %s at %v: %v, and go4vl says %v", i, f.PixelFormat, size, interval, want)
				}
				compared++
			}
		}
	}
	if compared != 2*(3+3+1) {
		t.Errorf("%d intervals compared, want 14", compared)
	}
	picture, err := d.Picture()
	if err != nil {
		t.Fatal(err)
	}
	their, err := unmoved(func() (go4vl.PixFormat, error) { return go4vl.GetPixFormat(d.FD()) })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v4l2.Picture{PixelFormat: v4l2.PixelFormat(their.PixelFormat), Size: v4l2.Size{Width: int(their.Width), Height: int(their.Height)}}, picture); diff != "" {
		t.Errorf("picture (-go4vl +ours):\n%s", diff)
	}
}

// unmoved calls go4vl on a stack that has grown already. go4vl hands the kernel
// the address of a variable on the stack as a number; when the stack grows on
// the way, the answer is lost.
func unmoved[T any](call func() (T, error)) (v T, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		grow(64)
		v, err = call()
	}()
	<-done
	return v, err
}

//go:noinline
func grow(depth int) byte {
	var frame [1024]byte
	frame[depth] = byte(depth)
	if depth == 0 {
		return frame[0]
	}
	return frame[depth] + grow(depth-1)
}

// TestRigChoice has devices that must not be taken for a camera.
func TestRigChoice(t *testing.T) {
	ctx := inRig(t)
	raw := &cameratest.Webcam{Name: "Raw Webcam", Formats: []cameratest.PixelFormat{cameratest.YUYV}}
	rawPath := plug(t, ctx, raw)
	refused := rawPath + " (Raw Webcam): it offers neither MJPG nor JPEG but YUYV"

	_, err := (&camera.V4L2{}).Check()
	if !errors.Is(err, camera.ErrNoCamera) || !strings.Contains(err.Error(), refused) {
		t.Errorf("Check() = %v\nwant ErrNoCamera with %q", err, refused)
	}
	_, err = (&camera.V4L2{Device: rawPath}).Check()
	if err == nil || errors.Is(err, camera.ErrNoCamera) || !strings.Contains(err.Error(), "it offers neither MJPG nor JPEG but YUYV") {
		t.Errorf("Check() of %s = %v; want it refused with what it offers", rawPath, err)
	}

	w := &cameratest.Webcam{Name: "Good Webcam", Serial: "G7"}
	path := plug(t, ctx, w)
	for _, want := range []string{"", path, "good web", "g7"} {
		d, err := (&camera.V4L2{Device: want}).Check()
		if err != nil || d.Path != path || d.Serial != "G7" {
			t.Errorf("Check() of %q = %+v, %v; want %s", want, d, err, path)
		}
	}
	nodes, err := filepath.Glob("/dev/video*")
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes) != 4 {
		t.Errorf("the machine has %v; want two devices for pictures and two for metadata", nodes)
	}
	for _, node := range nodes {
		if node == path || node == rawPath {
			continue
		}
		_, err := (&camera.V4L2{Device: node}).Check()
		if err == nil || !strings.Contains(err.Error(), "cannot be used: it gives metadata, not pictures") {
			t.Errorf("Check() of %s = %v; want it refused as metadata", node, err)
		}
	}
}
