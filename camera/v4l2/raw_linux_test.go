//go:build cgo

package v4l2

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2/internal/ioctl"
)

// The left half of each test picture is this red, the right half this blue, as
// BT.601 has them in full range.
var (
	red  = color.YCbCr{Y: 76, Cb: 85, Cr: 255}
	blue = color.YCbCr{Y: 29, Cb: 255, Cr: 107}
)

// rawPicture draws red and blue in a pixel format, with padding behind each row.
func rawPicture(p ioctl.PixelFormat, w, h, stride int, full bool) []byte {
	level := func(v byte, top float64) byte {
		if full {
			return v
		}
		return byte(16 + float64(v)*(top-16)/255 + 0.5)
	}
	at := func(x int) color.YCbCr {
		c := red
		if x >= w/2 {
			c = blue
		}
		return color.YCbCr{Y: level(c.Y, 235), Cb: level(c.Cb, 240), Cr: level(c.Cr, 240)}
	}
	var raw []byte
	rows := func(n, stride, step int, pixel func(x int) []byte) {
		for range n {
			var row []byte
			for x := 0; x < w; x += step {
				row = append(row, pixel(x)...)
			}
			raw = append(raw, append(row, bytes.Repeat([]byte{0xee}, stride-len(row))...)...)
		}
	}
	luma := func(x int) []byte { return []byte{at(x).Y} }
	switch p {
	case pixelGrey:
		rows(h, stride, 1, luma)
	case pixelYUYV:
		rows(h, stride, 2, func(x int) []byte { return []byte{at(x).Y, at(x).Cb, at(x + 1).Y, at(x).Cr} })
	case pixelUYVY:
		rows(h, stride, 2, func(x int) []byte { return []byte{at(x).Cb, at(x).Y, at(x).Cr, at(x + 1).Y} })
	case pixelNV12:
		rows(h, stride, 1, luma)
		rows(h/2, stride, 2, func(x int) []byte { return []byte{at(x).Cb, at(x).Cr} })
	case pixelYU12:
		rows(h, stride, 1, luma)
		rows(h/2, stride/2, 2, func(x int) []byte { return []byte{at(x).Cb} })
		rows(h/2, stride/2, 2, func(x int) []byte { return []byte{at(x).Cr} })
	}
	return raw
}

func eighty() int { return 80 }

// TestEncodedColours has each pixel format come out in the colours that went in.
func TestEncodedColours(t *testing.T) {
	const w, h = 64, 32
	for _, p := range rawFormats {
		for _, full := range []bool{false, true} {
			for _, padding := range []int{0, 32} {
				t.Run(fmt.Sprintf("%s, full range %v, padding %d", p, full, padding), func(t *testing.T) {
					stride := rowBytes(p, w) + padding
					e, err := newRawEncoder(ioctl.Picture{PixelFormat: p, Size: ioctl.Size{Width: w, Height: h}, BytesPerLine: stride, FullRange: full}, eighty)
					if err != nil {
						t.Fatal(err)
					}
					raw := rawPicture(p, w, h, stride, full || p == pixelGrey)
					if kind := e.load(raw[:len(raw)-1]); kind != camera.DropTruncated {
						t.Errorf("a picture that lacks a byte is dropped as %q; want %q", kind, camera.DropTruncated)
					}
					if kind := e.load(raw); kind != "" {
						t.Fatalf("a whole picture is dropped as %q", kind)
					}
					f, err := e.encode(time.Now())
					if err != nil {
						t.Fatal(err)
					}
					m, err := jpeg.Decode(bytes.NewReader(f.JPEG))
					if err != nil {
						t.Fatal(err)
					}
					if m.Bounds() != image.Rect(0, 0, w, h) || f.Width != w || f.Height != h {
						t.Fatalf("it is %v, and called %d×%d; want %d×%d", m.Bounds(), f.Width, f.Height, w, h)
					}
					for x, want := range map[int]color.YCbCr{w / 4: red, 3 * w / 4: blue} {
						if p == pixelGrey {
							want.Cb, want.Cr = 128, 128
						}
						got := color.YCbCrModel.Convert(m.At(x, h/2)).(color.YCbCr)
						if !near(got.Y, want.Y) || !near(got.Cb, want.Cb) || !near(got.Cr, want.Cr) {
							t.Errorf("at %d it is %v; want %v", x, got, want)
						}
					}
				})
			}
		}
	}
}

func near(a, b byte) bool { return max(a, b)-min(a, b) <= 6 }

func TestEncodedSizeIsWhole(t *testing.T) {
	e, err := newRawEncoder(ioctl.Picture{PixelFormat: pixelYUYV, Size: ioctl.Size{Width: 33, Height: 17}}, eighty)
	if err != nil {
		t.Fatal(err)
	}
	if want := (ioctl.Size{Width: 32, Height: 16}); e.layout.Size != want {
		t.Errorf("33×17 is encoded as %v; want %v, whole samples of colour", e.layout.Size, want)
	}
	if kind := e.load(make([]byte, 2*33*17)); kind != "" {
		t.Errorf("its picture is dropped as %q", kind)
	}
	for _, size := range []ioctl.Size{{}, {Width: 1, Height: 1}, {Width: 640, Height: -2}, {Width: 65535, Height: 65535}, {Width: 1<<32 - 1, Height: 1<<32 - 1}} {
		if _, err := newRawEncoder(ioctl.Picture{PixelFormat: pixelYUYV, Size: size}, eighty); err == nil {
			t.Errorf("raw pictures of %v are taken", size)
		}
	}
}

// TestEncodingShare has a machine on which each picture takes 50 ms, and which
// may spend half of a processor.
func TestEncodingShare(t *testing.T) {
	now := time.Unix(0, 0)
	e, err := newRawEncoder(ioctl.Picture{PixelFormat: pixelGrey, Size: ioctl.Size{Width: 16, Height: 16}}, func() int {
		now = now.Add(50 * time.Millisecond) // encode asks for its quality once
		return 80
	})
	if err != nil {
		t.Fatal(err)
	}
	e.now, e.share = func() time.Time { return now }, 0.5
	encoded := 0
	for end := now.Add(10 * time.Second); now.Before(end); now = now.Truncate(10 * time.Millisecond).Add(10 * time.Millisecond) {
		if !e.due() {
			continue
		}
		if kind := e.load(make([]byte, 16*16)); kind != "" {
			t.Fatal(kind)
		}
		if _, err := e.encode(now); err != nil {
			t.Fatal(err)
		}
		encoded++
	}
	if encoded < 80 || encoded > 100 {
		t.Errorf("%d pictures of 50 ms were encoded in 10 s; want nearly 100, and no more", encoded)
	}
}

func TestEncodable(t *testing.T) {
	sizes := []ioctl.Size{{Width: 640, Height: 480}, {Width: 1920, Height: 1080}, {Width: 320, Height: 240}, {Width: 1280, Height: 720}}
	for name, test := range map[string]struct {
		sizes         []ioctl.Size
		want          camera.Settings
		pixels        float64 // a second
		width, height int
		fps           float64
	}{
		"a fast machine":                                 {sizes, camera.Settings{}, 100e6, 1280, 720, 30},
		"a fast machine, and all is wanted":              {sizes, camera.Settings{Width: 1920, Height: 1080, FPS: 25}, 100e6, 1920, 1080, 25},
		"a slower one takes a smaller size":              {sizes, camera.Settings{Width: 1920, Height: 1080}, 10e6, 1280, 720, 10e6 / (1280 * 720)},
		"a board":                                        {sizes, camera.Settings{}, 5e6, 640, 480, 5e6 / (640 * 480)},
		"a low rate lets it be larger":                   {sizes, camera.Settings{FPS: 2}, 2e6, 1280, 720, 2},
		"no larger than wanted":                          {sizes, camera.Settings{Width: 640, Height: 480}, 100e6, 640, 480, 30},
		"nothing fits: the smallest, as fast as it goes": {sizes, camera.Settings{}, 76_800, 320, 240, 1},
		"a range":  {nil, camera.Settings{Width: 800, Height: 600}, 100e6, 800, 600, 30},
		"nonsense": {[]ioctl.Size{{Width: -1, Height: 5}, {}}, camera.Settings{}, 100e6, 1280, 720, 30},
	} {
		t.Run(name, func(t *testing.T) {
			want := camera.Settings{Width: test.width, Height: test.height, FPS: test.fps}
			if diff := cmp.Diff(want, encodable(test.sizes, test.want, test.pixels)); diff != "" {
				t.Errorf("encodable (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEncodedPixels(t *testing.T) {
	if n := encodedPixels(); n <= 0 {
		t.Errorf("this machine encodes %v pixels per second", n)
	}
	if n := encodingProcessors(); n <= 0 || n > 1 {
		t.Errorf("encoding may take %v of a processor", n)
	}
}

func TestEncodedQuality(t *testing.T) {
	format := camera.Format{PixelFormat: "YUYV", Width: 640, Height: 480, FPS: 30}
	for value, trouble := range map[string]string{
		"": "", "default": "", "70": "",
		"0": `quality is from 1 to 100, not "0"`, "high": `quality is from 1 to 100, not "high"`,
	} {
		settings, troubles := controlSet{}.plan(Controls{"quality": value}, quirk{}, format)
		if len(settings) != 0 || troubles["quality"] != trouble {
			t.Errorf("quality %q sets %v of the camera, with the trouble %q; want none of it, and %q", value, settings, troubles["quality"], trouble)
		}
	}
	v := &Source{Controls: Controls{"quality": "33"}}
	if got := v.encodedQuality(); got != encodedQuality {
		t.Errorf("before the camera was started the quality is %d; want %d", got, encodedQuality)
	}
	if err := v.startControls(node{file: "/dev/video0"}, &panel{}, format); err != nil {
		t.Fatal(err)
	}
	if got := v.encodedQuality(); got != 33 {
		t.Errorf("the quality is %d; want 33", got)
	}
}

// TestCaptureEncodes has pictures that come faster than there is time for.
func TestCaptureEncodes(t *testing.T) {
	picture := rawPicture(pixelGrey, 16, 16, 16, true)
	buf := func(i int, data []byte) ioctl.Buffer {
		return ioctl.Buffer{Index: i, Sequence: uint32(i), Data: data}
	}
	s := &script{answers: []any{buf(0, picture), nil, buf(1, picture), nil, buf(2, picture[:9]), nil, buf(3, picture), nil}}
	now := time.Now()
	e, err := newRawEncoder(ioctl.Picture{PixelFormat: pixelGrey, Size: ioctl.Size{Width: 16, Height: 16}}, func() int {
		now = now.Add(time.Second)
		return 80
	})
	if err != nil {
		t.Fatal(err)
	}
	// It takes a second, after which there is none left for another second.
	e.share, e.now = 0.5, func() time.Time { now = now.Add(300 * time.Millisecond); return now }
	var got took
	c := newCapture(s, &got, slog.New(slog.DiscardHandler), quirk{}, camera.Format{PixelFormat: "GREY"})
	c.raw = e
	if err := c.run(); !errors.Is(err, ioctl.ErrCanceled) {
		t.Fatal(err)
	}
	for i := range got {
		got[i], _, _ = strings.Cut(got[i], " of ") // how long a JPEG is, is its encoder's business
	}
	want := took{"frame", "1 paced", "1 paced", "1 paced"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the sink took (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{0, 1, 2, 3}, s.queued); diff != "" {
		t.Errorf("buffers given back (-want +got):\n%s", diff)
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, size := range []ioctl.Size{{Width: 640, Height: 480}, {Width: 1280, Height: 720}} {
		b.Run(fmt.Sprintf("%d×%d", size.Width, size.Height), func(b *testing.B) {
			e, err := newRawEncoder(ioctl.Picture{PixelFormat: pixelYUYV, Size: size}, eighty)
			if err != nil {
				b.Fatal(err)
			}
			raw := make([]byte, e.pictureBytes())
			for i := range raw {
				raw[i] = byte(i/5 ^ i>>9)
			}
			for b.Loop() {
				e.load(raw)
				if _, err := e.encode(e.began); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
