//go:build linux && cgo

package v4l2_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"strings"
	"testing"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest/usbcam"
	"github.com/pushcam/pushcam/camera/v4l2"
)

// TestRigHabits has webcams that send each frame in a way that browsers, ffmpeg
// and libjpeg take, and strict readers do not.
func TestRigHabits(t *testing.T) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 160, 120)), nil); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		habit func(jpg []byte) []byte
		noEOI bool
	}{
		{"no EOI", usbcam.WithoutEOI, true},
		{"half an EOI", func(jpg []byte) []byte { return jpg[:len(jpg)-1] }, true},
		{"padding for EOI", func(jpg []byte) []byte {
			return append(usbcam.WithoutEOI(jpg)[:len(jpg)-2:len(jpg)-2], make([]byte, 500)...)
		}, true},
		{"SOI twice", usbcam.DoubleSOI, false},
		{"bytes before SOI", func(jpg []byte) []byte { return append(make([]byte, 4), jpg...) }, false},
		{"bytes between segments", usbcam.WithJunk, false},
		{"half a picture before each", func(jpg []byte) []byte { return append(usbcam.Half(jpg)[:len(jpg)/2:len(jpg)/2], jpg...) }, false},
		{"a thumbnail", func(jpg []byte) []byte { return usbcam.WithThumbnail(jpg, b.Bytes()) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := inRig(t)
			w := &usbcam.Webcam{Name: "Cheap Webcam", Serial: "N1"}
			plug(t, ctx, w)
			send(t, ctx, w, func(n int) usbcam.Picture { return usbcam.Picture{Data: tt.habit(numbered(n))} })
			l := watch(t, ctx, &v4l2.Source{})
			// Longer than it takes to believe a camera that sends no EOI, and than
			// one without good frames is left alone.
			frames := 0
			for first := l.frame(t, ctx); ; {
				f := l.frame(t, ctx)
				frames++
				if n := number(t, f.JPEG); !bytes.Equal(f.JPEG, numbered(n)) {
					t.Fatalf("frame %d was delivered with other bytes than a clean one has", n)
				}
				if f.Time.Sub(first.Time) > 6*time.Second {
					break
				}
			}
			s := l.State()
			t.Logf("%d frames, dropped %v, %q", frames, s.Dropped, s.Format.Adjusted)
			if s.Phase != camera.Live || s.Restarts != 0 || s.Stalls != 0 {
				t.Errorf("phase %s, %d restarts, %d stalls; want live, 0, 0", s.Phase, s.Restarts, s.Stalls)
			}
			for _, kind := range []camera.DropKind{camera.DropTruncated, camera.DropMalformed, camera.DropNoSOI} {
				if n := s.Dropped[kind]; n > 0 {
					t.Errorf("%d frames were dropped as %s", n, kind)
				}
			}
			if got := strings.Contains(s.Format.Adjusted, "EOI"); got != tt.noEOI {
				t.Errorf("/state says %q; that EOI is added: %v, want %v", s.Format.Adjusted, got, tt.noEOI)
			}
		})
	}
}

// TestRigLosesItsEnd has a webcam that is cut off now and then: none of that is
// shown, and no EOI is added.
func TestRigLosesItsEnd(t *testing.T) {
	t.Attr("fault", "camera | frames that are cut off now and then | none of them is shown | the next whole frame")
	ctx := inRig(t)
	w := &usbcam.Webcam{Name: "Bad Cable", Serial: "N2"}
	plug(t, ctx, w)
	send(t, ctx, w, func(n int) usbcam.Picture {
		p := good(n)
		if n%5 == 0 {
			p.Data = p.Data[:len(p.Data)-200]
		}
		return p
	})
	l := watch(t, ctx, &v4l2.Source{})
	for first := l.frame(t, ctx); ; {
		f := l.frame(t, ctx)
		if n := number(t, f.JPEG); n%5 == 0 {
			t.Fatalf("frame %d was delivered although it was cut off", n)
		}
		if f.Time.Sub(first.Time) > 6*time.Second {
			break
		}
	}
	if s := l.State(); s.Dropped[camera.DropTruncated] == 0 || s.Restarts != 0 || s.Format.Adjusted != "" {
		t.Errorf("%d truncated, %d restarts, adjusted %q; want some, 0, nothing", s.Dropped[camera.DropTruncated], s.Restarts, s.Format.Adjusted)
	}
}
