//go:build linux

package usbcam

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// inRig skips a test outside of hack/rig's virtual machine.
func inRig(t *testing.T) context.Context {
	t.Helper()
	if os.Getenv("PUSHCAM_RIG") == "" {
		t.Skip("needs vhci-hcd and uvcvideo: run it with \"go run ./hack/rig test\"")
	}
	goleak.VerifyNone(t)
	t.Cleanup(func() { goleak.VerifyNone(t) })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func plug(t *testing.T, w *Webcam) {
	t.Helper()
	if err := w.Plug(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Unplug(); err != nil {
			t.Error(err)
		}
	})
}

func node(t *testing.T, ctx context.Context, w *Webcam) string {
	t.Helper()
	path, err := w.Node(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLifeOfAWebcam plugs in, streams, unplugs while streaming, and comes back.
func TestRigLifeOfAWebcam(t *testing.T) {
	ctx := inRig(t)
	w := &Webcam{Serial: "rig-1"}
	plug(t, w)
	path := node(t, ctx, w)

	const frames = 30
	var want [frames][]byte
	for i := range want {
		want[i] = numbered(i)
	}
	r := capture(t, path, 640, 480)
	got, err := w.Started(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if wanted := (Negotiated{MJPEG, 640, 480, 30}); got != wanted {
		t.Errorf("negotiated %+v, want %+v", got, wanted)
	}
	for i, jpg := range want {
		if err := w.Send(ctx, Picture{Data: jpg}); err != nil {
			t.Fatalf("send frame %d: %v", i, err)
		}
		frame, damaged, err := r.next(ctx)
		if err != nil || damaged || !bytes.Equal(frame, jpg) {
			t.Fatalf("frame %d: %d bytes, damaged %v, %v; want the %d bytes that were sent", i, len(frame), damaged, err, len(jpg))
		}
	}

	if err := w.Unplug(); err != nil {
		t.Fatal(err)
	}
	if err := WaitNodeGone(ctx, path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.next(ctx); !errors.Is(err, unix.ENODEV) {
		t.Errorf("reading after unplug: %v, want ENODEV", err)
	}
	if err := w.Send(ctx, Picture{Data: want[0]}); !errors.Is(err, ErrUnplugged) {
		t.Errorf("Send after unplug: %v, want ErrUnplugged", err)
	}

	// r still holds the old node, so its number is taken.
	w.Port = 3
	if err := w.Plug(); err != nil {
		t.Fatal(err)
	}
	again := node(t, ctx, w)
	if again == path {
		t.Errorf("came back as %s although that is still open", again)
	}
	r.stop()
	r = capture(t, again, 640, 480)
	if _, err := w.Started(ctx); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if err := w.Stopped(ctx); err != nil {
		t.Fatal(err)
	}
	if got := w.Streams(); got != 2 {
		t.Errorf("%d streams, want 2", got)
	}
}

func TestRigTwoWebcams(t *testing.T) {
	ctx := inRig(t)
	a, b := &Webcam{Name: "A"}, &Webcam{Name: "B", Modes: []Mode{{Width: 320, Height: 240}}}
	plug(t, a)
	plug(t, b)
	ra, rb := capture(t, node(t, ctx, a), 640, 480), capture(t, node(t, ctx, b), 320, 240)
	defer ra.stop()
	defer rb.stop()
	for _, c := range []struct {
		w *Webcam
		r *reader
		n int
	}{{a, ra, 1}, {b, rb, 2}} {
		if _, err := c.w.Started(ctx); err != nil {
			t.Fatal(err)
		}
		jpg := numbered(c.n)
		if err := c.w.Send(ctx, Picture{Data: jpg}); err != nil {
			t.Fatal(err)
		}
		if frame, _, err := c.r.next(ctx); err != nil || !bytes.Equal(frame, jpg) {
			t.Errorf("webcam %s: %d bytes, %v; want the frame that was sent", c.w.Name, len(frame), err)
		}
	}
}

// TestFaults shows what uvcvideo makes of each: the frame, or nothing, after
// which the good frame that follows is the first to arrive.
func TestRigFaults(t *testing.T) {
	ctx := inRig(t)
	w := &Webcam{}
	plug(t, w)
	path := node(t, ctx, w)
	bad := numbered(2)
	tests := []struct {
		name    string
		picture Picture
		arrives []byte // nil when it does not
	}{
		{"half", Picture{Data: Half(bad)}, Half(bad)},
		{"no tables", Picture{Data: WithoutDHT(bad)}, WithoutDHT(bad)},
		{"empty", Picture{}, nil},
		{"no end", Picture{Data: bad, NoEnd: true}, bad},
		{"error", Picture{Data: bad, Error: true}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sendFault(t, ctx, w, path, test.picture, test.arrives, false)
		})
	}
}

func TestRigKeepDamaged(t *testing.T) {
	ctx := inRig(t)
	if err := KeepDamaged(true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := KeepDamaged(false); err != nil {
			t.Error(err)
		}
	})
	w := &Webcam{}
	plug(t, w)
	bad := numbered(2)
	sendFault(t, ctx, w, node(t, ctx, w), Picture{Data: bad, Error: true}, bad, true)
}

// sendFault sends one picture and a good one, and looks at what arrives of them.
func sendFault(t *testing.T, ctx context.Context, w *Webcam, path string, p Picture, arrives []byte, wantDamaged bool) {
	t.Helper()
	good := numbered(1)
	r := capture(t, path, 640, 480)
	defer r.stop()
	if _, err := w.Started(ctx); err != nil {
		t.Fatal(err)
	}
	for _, p := range []Picture{p, {Data: good}} {
		if err := w.Send(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	if arrives != nil {
		frame, damaged, err := r.next(ctx)
		if err != nil || damaged != wantDamaged || !bytes.Equal(frame, arrives) {
			t.Errorf("got %d bytes, damaged %v, %v; want %d, %v", len(frame), damaged, err, len(arrives), wantDamaged)
		}
	}
	if frame, damaged, err := r.next(ctx); err != nil || damaged || !bytes.Equal(frame, good) {
		t.Errorf("after it: %d bytes, damaged %v, %v; want the good frame", len(frame), damaged, err)
	}
}

// TestStream lets the pump run over two streams of the host.
func TestRigStream(t *testing.T) {
	ctx := inRig(t)
	w := &Webcam{}
	plug(t, w)
	path := node(t, ctx, w)
	jpg := numbered(7)
	ended := make(chan error)
	go func() {
		ended <- w.Stream(ctx, 200, func(int) Picture { return Picture{Data: jpg} })
	}()
	for range 2 {
		r := capture(t, path, 640, 480)
		for range 5 {
			if frame, _, err := r.next(ctx); err != nil || !bytes.Equal(frame, jpg) {
				t.Fatalf("%d bytes, %v; want the frame that was sent", len(frame), err)
			}
		}
		r.stop()
		if err := w.Stopped(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Unplug(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrUnplugged) {
		t.Errorf("Stream ended with %v, want ErrUnplugged", err)
	}
}

// TestStall ends a stream of a webcam that hangs: the kernel gives up on it.
func TestRigStall(t *testing.T) {
	ctx := inRig(t)
	w := &Webcam{}
	plug(t, w)
	path := node(t, ctx, w)
	r := capture(t, path, 640, 480)
	if _, err := w.Started(ctx); err != nil {
		t.Fatal(err)
	}
	w.Stall(true)
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := w.Send(short, Picture{Data: numbered(1)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Send while stalled: %v", err)
	}
	r.stop() // returns although the webcam does not answer
	w.Stall(false)
	r = capture(t, path, 640, 480)
	defer r.stop()
	if _, err := w.Started(ctx); err != nil {
		t.Fatal(err)
	}
	jpg := numbered(3)
	if err := w.Send(ctx, Picture{Data: jpg}); err != nil {
		t.Fatal(err)
	}
	if frame, _, err := r.next(ctx); err != nil || !bytes.Equal(frame, jpg) {
		t.Errorf("after the stall: %d bytes, %v", len(frame), err)
	}
}
