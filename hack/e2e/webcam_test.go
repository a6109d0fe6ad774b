//go:build linux

package e2e

import (
	"context"
	"errors"
	"image"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pushcam/pushcam/camera/cameratest/usbcam"
	"github.com/pushcam/pushcam/hack/e2e/pictures"
)

// fps is the webcam's rate.
const fps = 15

// A webcam is a simulated USB webcam that can be plugged into a machine.
type webcam struct {
	usbcam.Webcam
	next   int                    // the number of the next picture
	stills map[image.Point][]byte // those that it takes instead, by size, if it is not nil
	ended  chan error             // of its stream

	mu   sync.Mutex
	last time.Time // when a picture was taken
	gaps []gap
}

// A gap is a time in which the webcam took no picture although it should have.
type gap struct{ from, to time.Time }

// longPause is a little less than the 3 s after which the product says that its camera
// has stalled.
const longPause = 2 * time.Second

// take notes that a picture is taken now.
func (w *webcam) take() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if now.Sub(w.last) > longPause {
		w.gaps = append(w.gaps, gap{w.last, now})
	}
	w.last = now
}

// paused tells whether the webcam itself has stood still for so long since then that
// the product rightly says that it has stalled. It does if this program or QEMU gets no
// processor time.
func (w *webcam) paused(since time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range append(slices.Clone(w.gaps), gap{w.last, time.Now()}) {
		if g.from.After(since) && g.to.Sub(g.from) > longPause {
			return true
		}
	}
	return false
}

func newWebcam() *webcam {
	w := new(webcam)
	w.Name, w.Serial = "Webcam that is not there", "e2e-1"
	w.Modes = []usbcam.Mode{{Width: pictures.Width, Height: pictures.Height, FPS: []float64{fps}}}
	return w
}

// plug plugs the webcam into a machine. unplug must be called in the end.
func (w *webcam) plug(t *testing.T, m *machine) {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "unix", m.webcam)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.PlugRedir(conn); err != nil {
		t.Fatal(err)
	}
	m.cam = w
	w.ended = make(chan error, 1)
	go func() {
		w.ended <- w.Stream(context.Background(), 0, func(int) usbcam.Picture {
			w.next++
			w.take()
			if w.stills != nil {
				now := w.Negotiated()
				return usbcam.Picture{Data: w.stills[image.Pt(now.Width, now.Height)]}
			}
			return usbcam.Picture{Data: pictures.Frame(w.next, 0)}
		})
	}()
}

// unplug unplugs the webcam, if it is plugged in.
func (w *webcam) unplug(t *testing.T) {
	t.Helper()
	if w.ended == nil {
		return
	}
	if err := w.Unplug(); err != nil {
		t.Error(err)
	}
	if err := <-w.ended; !errors.Is(err, usbcam.ErrUnplugged) {
		t.Errorf("the webcam's stream ended with: %v", err)
	}
	w.ended = nil
}
