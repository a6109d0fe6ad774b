//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/pushcam/pushcam/camera/cameratest"
)

const (
	width, height, fps = 1280, 720, 15
)

// quarters are the colours of the webcam's picture: above left and right, below
// left and right.
var quarters = [...]color.RGBA{{200, 0, 0, 255}, {0, 200, 0, 255}, {0, 0, 200, 255}, {200, 200, 0, 255}}

// quarter is where one of them is in a picture of this size.
func quarter(i int, size image.Point) image.Rectangle {
	half := image.Pt(size.X/2, size.Y/2)
	return image.Rectangle{Max: half}.Add(image.Pt(i%2*half.X, i/2*half.Y))
}

var picture = sync.OnceValue(func() []byte {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for i, c := range quarters {
		draw.Draw(img, quarter(i, img.Rect.Size()), &image.Uniform{c}, image.Point{}, draw.Src)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}); err != nil {
		panic(err)
	}
	return b.Bytes()
})

// comment begins a JPEG segment of four bytes.
const comment = "\xff\xfe\x00\x06"

// frame is the webcam's nth: all look the same, and none is the same.
func frame(n int) []byte {
	number := binary.BigEndian.AppendUint32([]byte(comment), uint32(n))
	return slices.Concat(picture()[:2], number, picture()[2:])
}

// number tells the webcam's frames apart, and refuses what is not one of them to
// the byte.
func number(jpg []byte) (int, error) {
	if len(jpg) < 10 || string(jpg[2:6]) != comment {
		return 0, fmt.Errorf("a picture of %d bytes that the webcam did not take: % x…", len(jpg), jpg[:min(len(jpg), 16)])
	}
	n := int(binary.BigEndian.Uint32(jpg[6:]))
	if !bytes.Equal(jpg, frame(n)) {
		return 0, fmt.Errorf("the webcam's picture %d has %d bytes, and arrived with %d, or others", n, len(frame(n)), len(jpg))
	}
	return n, nil
}

// A webcam takes pictures for whoever it is plugged into.
type webcam struct {
	cameratest.Webcam
	next  int        // the number of the next picture
	ended chan error // of its stream
}

func newWebcam() *webcam {
	w := new(webcam)
	w.Name, w.Serial = "Webcam that is not there", "e2e-1"
	w.Modes = []cameratest.Mode{{Width: width, Height: height, FPS: []float64{fps}}}
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
	w.ended = make(chan error, 1)
	go func() {
		w.ended <- w.Stream(context.Background(), 0, func(int) cameratest.Picture {
			w.next++
			return cameratest.Picture{Data: frame(w.next)}
		})
	}()
}

// unplug does nothing to a webcam that is not plugged in.
func (w *webcam) unplug(t *testing.T) {
	t.Helper()
	if w.ended == nil {
		return
	}
	if err := w.Unplug(); err != nil {
		t.Error(err)
	}
	if err := <-w.ended; !errors.Is(err, cameratest.ErrUnplugged) {
		t.Errorf("the webcam's stream ended with: %v", err)
	}
	w.ended = nil
}
