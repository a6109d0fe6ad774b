//go:build linux && cgo

package v4l2_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	go4vl "github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest/usbcam"
	"github.com/pushcam/pushcam/camera/v4l2"
	"github.com/pushcam/pushcam/camera/v4l2/internal/ioctl"
)

// hold streams from a device until stdin is closed.
func hold(t *testing.T, path string) {
	d, err := ioctl.Open(path)
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
	t.Attr("fault", "camera | another program uses the camera | the reason names that | live when that program has left")
	ctx := inRig(t)
	const variable = "PUSHCAM_TEST_HOLD"
	if path := os.Getenv(variable); path != "" {
		hold(t, path)
		return
	}
	w := new(usbcam.Webcam)
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

	l := watch(t, ctx, new(v4l2.Source))
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
	t.Attr("fault", "camera | a hundred starts and stops | no descriptor, goroutine or buffer is left | –")
	ctx := inRig(t)
	w := new(usbcam.Webcam)
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
	source := new(v4l2.Source)
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
func (*firstFrame) Restarted()                           {}

// TestRigEnumeration compares what we read of a device with what go4vl reads.
func TestRigEnumeration(t *testing.T) {
	ctx := inRig(t)
	w := &usbcam.Webcam{
		Formats: []usbcam.PixelFormat{usbcam.YUYV, usbcam.MJPEG},
		Modes: []usbcam.Mode{
			{Width: 320, Height: 240, FPS: []float64{30, 20, 5}},
			{Width: 640, Height: 480},
			{Width: 1280, Height: 720, FPS: []float64{10}},
		},
	}
	d, err := ioctl.Open(plug(t, ctx, w))
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
	var want []ioctl.FormatDescription
	for _, f := range theirs {
		want = append(want, ioctl.FormatDescription{PixelFormat: ioctl.PixelFormat(f.PixelFormat), Description: f.Description})
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
		var want []ioctl.Size
		for _, s := range theirs {
			want = append(want, ioctl.Size{Width: int(s.Size.MinWidth), Height: int(s.Size.MinHeight)})
		}
		if diff := cmp.Diff(want, sizes); diff != "" || len(sizes) != 3 {
			t.Errorf("sizes of %s (-go4vl +ours):\n%s", f.PixelFormat, diff)
		}
		for _, size := range sizes {
			intervals, err := d.Intervals(ioctl.Picture{PixelFormat: f.PixelFormat, Size: size})
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
				if want := (ioctl.Fraction{Numerator: their.Interval.Min.Numerator, Denominator: their.Interval.Min.Denominator}); interval != want {
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
	if diff := cmp.Diff(ioctl.Picture{PixelFormat: ioctl.PixelFormat(their.PixelFormat), Size: ioctl.Size{Width: int(their.Width), Height: int(their.Height)}, BytesPerLine: int(their.BytesPerLine)}, picture); diff != "" {
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
	raw := &usbcam.Webcam{Name: "Raw Webcam", Formats: []usbcam.PixelFormat{usbcam.YUYV}}
	rawPath := plug(t, ctx, raw)

	w := &usbcam.Webcam{Name: "Good Webcam", Serial: "G7"}
	path := plug(t, ctx, w)
	for _, want := range []string{"", path, "good web", "g7"} {
		d, err := (&v4l2.Source{Device: want}).Check()
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
		_, err := (&v4l2.Source{Device: node}).Check()
		if err == nil || !strings.Contains(err.Error(), "cannot be used: it gives metadata, not pictures") {
			t.Errorf("Check() of %s = %v; want it refused as metadata", node, err)
		}
	}
}
