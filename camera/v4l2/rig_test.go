//go:build linux && cgo

package v4l2_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest/usbcam"
	"github.com/pushcam/pushcam/camera/v4l2"
)

// TestRigFrames takes 300 frames from a webcam that sends much else.
func TestRigFrames(t *testing.T) {
	t.Attr("fault", "camera | damaged frames, empty ones and ones that are flagged by the driver, among good ones | none of them is shown, each is counted by its kind | the next good frame")
	ctx := inRig(t)
	if err := usbcam.KeepDamaged(true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := usbcam.KeepDamaged(false); err != nil {
			t.Error(err)
		}
	})
	w := &usbcam.Webcam{Name: "Faulty Webcam", Serial: "F1"}
	path := plug(t, ctx, w)
	send(t, ctx, w, func(n int) usbcam.Picture {
		p := good(n)
		switch n % 10 {
		case 2:
			p.Data = usbcam.Half(p.Data)
		case 4:
			p.Data = append(p.Data, make([]byte, 500)...) // padding
		case 5:
			p.Data = usbcam.WithoutDHT(p.Data)
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
	l := watch(t, ctx, &v4l2.Source{})
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
			if !bytes.Contains(f.JPEG, []byte{0xff, 0xc4}) || !bytes.Equal(usbcam.WithoutDHT(f.JPEG), usbcam.WithoutDHT(want)) {
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
	t.Attr("fault", "camera | a webcam is unplugged while it streams | the reason says so; the frames go on with the next number, none is shown twice | live when it is plugged in, under any path")
	tests := []struct {
		name   string
		byPath bool          // Source.Device is the path
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
			w := &usbcam.Webcam{Serial: "U1"}
			path := plug(t, ctx, w)
			source := new(v4l2.Source)
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
			// That it does not wait for the end of the back-off, TestReplugEndsBackoff shows.
			t.Logf("live again %v after %s appeared", time.Since(back).Round(time.Millisecond), again)
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
	t.Attr("fault", "camera | a webcam stops sending, or hangs altogether | a fault after 3 s, which says so | live after the stream is started again")
	for _, hangs := range []bool{false, true} {
		t.Run(fmt.Sprintf("hangs %v", hangs), func(t *testing.T) {
			ctx := inRig(t)
			w := new(usbcam.Webcam)
			plug(t, ctx, w)
			l := watch(t, ctx, new(v4l2.Source))
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
			if want := "camera stalled: it gave no frame for 3s"; s.Reason != want || s.Stalls != 1 || s.Recovery[camera.RungStream] > 1 {
				t.Errorf("reason %q, %d stalls; want %q, 1", s.Reason, s.Stalls, want)
			}
			w.Stall(false)
			send(t, ctx, w, good)
			began = time.Now()
			s = l.state(t, ctx, camera.Live)
			t.Logf("live again after %v", time.Since(began).Round(time.Millisecond))
			if s.Recovery[camera.RungStream] == 0 {
				t.Errorf("no restart of the stream was counted: %v", s.Recovery)
			}
		})
	}
}

func TestRigAdjusts(t *testing.T) {
	ctx := inRig(t)
	w := &usbcam.Webcam{Modes: []usbcam.Mode{
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
			l := watch(t, ctx, &v4l2.Source{Settings: tt.settings})
			l.frame(t, ctx)
			if diff := cmp.Diff(tt.want, l.State().Format); diff != "" {
				t.Errorf("format (-want +got):\n%s", diff)
			}
			got, err := w.Started(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if want := (usbcam.Negotiated{Format: usbcam.MJPEG, Width: tt.want.Width, Height: tt.want.Height, FPS: tt.want.FPS}); got != want {
				t.Errorf("the webcam was told %+v, want %+v", got, want)
			}
			l.stop()
			const noQuality = "the camera has no such control as quality"
			if strings.Contains(l.log.String(), noQuality) != (tt.settings.Quality > 0) {
				t.Errorf("the log says %q or does not:\n%s", noQuality, l.log)
			}
			if err := w.Stopped(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
}
