//go:build linux && cgo

package v4l2_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/jpeg"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest/usbcam"
	"github.com/pushcam/pushcam/camera/v4l2"
)

// inRig skips a test outside of hack/rig's virtual machine. Its context bounds
// every wait of the test.
func inRig(t *testing.T) context.Context {
	t.Helper()
	if os.Getenv("PUSHCAM_RIG") == "" {
		t.Skip("needs a real kernel with a webcam: run it with \"go run ./hack/rig test ./camera\"")
	}
	t.Cleanup(func() { goleak.VerifyNone(t) })
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// plug plugs the webcam in until the test ends.
func plug(t *testing.T, ctx context.Context, w *usbcam.Webcam) (path string) {
	t.Helper()
	t.Cleanup(func() {
		if err := w.Unplug(); err != nil {
			t.Error(err)
		}
	})
	return replug(t, ctx, w)
}

func replug(t *testing.T, ctx context.Context, w *usbcam.Webcam) (path string) {
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
func send(t *testing.T, ctx context.Context, w *usbcam.Webcam, next func(n int) usbcam.Picture) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Stream(ctx, 0, next) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) && !errors.Is(err, usbcam.ErrUnplugged) {
			t.Errorf("sending: %v", err)
		}
	})
}

// good sends nothing but good pictures.
func good(n int) usbcam.Picture { return usbcam.Picture{Data: numbered(n)} }

// plain is a JPEG of 640×480 that takes three USB transfers.
var plain = sync.OnceValue(func() []byte {
	img := image.NewGray(image.Rect(0, 0, 640, 480))
	for i := range img.Pix[:640*100] { // noise
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
	source *v4l2.Source
	log    *bytes.Buffer // to be read after stop
	stop   func()

	frames chan *camera.Frame
	states chan camera.State
}

func watch(t *testing.T, ctx context.Context, source *v4l2.Source, ladder ...camera.Rung) *live {
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
		Ladder: ladder,
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
