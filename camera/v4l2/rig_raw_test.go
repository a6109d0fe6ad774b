//go:build linux && cgo

package v4l2_test

import (
	"bytes"
	"image/color"
	"image/jpeg"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/camera/cameratest/usbcam"
	"github.com/pushcam/pushcam/camera/v4l2"
)

// TestRigRaw has a webcam that does not compress: its pictures are encoded.
func TestRigRaw(t *testing.T) {
	ctx := inRig(t)
	const width, height = 160, 120
	w := &usbcam.Webcam{Name: "Raw Webcam", Formats: []usbcam.PixelFormat{usbcam.YUYV}, Modes: []usbcam.Mode{{Width: width, Height: height}}}
	plug(t, ctx, w)
	// Red on the left and blue on the right, in the levels of video (BT.601).
	half := func(y, cb, cr byte) []byte { return bytes.Repeat([]byte{y, cb, y, cr}, width/4) }
	picture := bytes.Repeat(append(half(81, 90, 240), half(41, 240, 110)...), height)
	send(t, ctx, w, func(n int) usbcam.Picture {
		if n%3 == 1 {
			return usbcam.Picture{Data: picture[:len(picture)/2]} // the driver drops it
		}
		return usbcam.Picture{Data: picture}
	})
	l := watch(t, ctx, new(v4l2.Source))
	for range 10 {
		f := l.frame(t, ctx)
		m, err := jpeg.Decode(bytes.NewReader(f.JPEG))
		if err != nil {
			t.Fatal(err)
		}
		if b := m.Bounds(); b.Dx() != width || b.Dy() != height || f.Width != width || f.Height != height {
			t.Fatalf("a frame is %v, and called %d×%d; want %d×%d", b, f.Width, f.Height, width, height)
		}
		r, g, b, _ := m.At(width/4, height/2).RGBA()
		r2, g2, b2, _ := m.At(3*width/4, height/2).RGBA()
		if r>>8 < 240 || g>>8 > 15 || b>>8 > 15 || r2>>8 > 15 || g2>>8 > 15 || b2>>8 < 240 {
			t.Fatalf("its left is %v and its right %v; want red and blue", color.RGBAModel.Convert(m.At(width/4, height/2)), color.RGBAModel.Convert(m.At(3*width/4, height/2)))
		}
	}
	s := l.State()
	if s.Format.PixelFormat != "YUYV" || !strings.HasPrefix(s.Format.Adjusted, "the camera does not compress its pictures, so this computer does: 160×120 at up to ") {
		t.Errorf("the format is %+v; want YUYV, and that it is encoded here", s.Format)
	}
	t.Logf("%s; dropped %v", s.Format.Adjusted, s.Dropped)
	l.stop()

	// One that compresses is taken instead, although it came later.
	good := &usbcam.Webcam{Name: "Good Webcam"}
	path := plug(t, ctx, good)
	if d, err := new(v4l2.Source).Check(); err != nil || d.Path != path {
		t.Errorf("Check() = %+v, %v; want %s, which gives MJPG", d, err, path)
	}
}
