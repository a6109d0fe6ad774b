package testcard

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
)

// sizes are widths and heights that are multiples of an MCU and not, with rows
// of a prime number of MCUs (848), and as small as it gets.
var sizes = []image.Point{
	{1280, 720}, {1920, 1080}, {480, 640}, {848, 480}, {321, 241}, {160, 120},
	{64, 48}, {33, 17}, {16, 16}, {15, 1}, {1, 1},
}

func decode(t testing.TB, b []byte) *image.YCbCr {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*image.YCbCr)
}

// whole is what image/jpeg makes of all of canvas, of which the picture is a
// part.
func whole(t testing.TB, m *mosaic) *image.YCbCr {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m.canvas, &m.options); err != nil {
		t.Fatal(err)
	}
	return decode(t, b.Bytes()).SubImage(image.Rect(0, 0, m.width, m.height)).(*image.YCbCr)
}

// wantSame fails unless the two pictures are the same to the last bit.
func wantSame(t testing.TB, got, want *image.YCbCr) {
	t.Helper()
	if got.Rect != want.Rect || got.SubsampleRatio != want.SubsampleRatio {
		t.Fatalf("%v %v, want %v %v", got.Rect, got.SubsampleRatio, want.Rect, want.SubsampleRatio)
	}
	plane := func(name string, w, h int, got, want []byte, gotStride, wantStride int) {
		for y := range h {
			g, w := got[y*gotStride:][:w], want[y*wantStride:][:w]
			if !bytes.Equal(g, w) {
				t.Fatalf("%s differs in row %d:\n%v, want\n%v", name, y, g, w)
			}
		}
	}
	w, h := got.Rect.Dx(), got.Rect.Dy()
	plane("Y", w, h, got.Y, want.Y, got.YStride, want.YStride)
	plane("Cb", (w+1)/2, (h+1)/2, got.Cb, want.Cb, got.CStride, want.CStride)
	plane("Cr", (w+1)/2, (h+1)/2, got.Cr, want.Cr, got.CStride, want.CStride)
}

// TestMosaic draws at random and compares what comes out, after few tiles were
// encoded again, with what image/jpeg makes of the whole canvas.
func TestMosaic(t *testing.T) {
	for _, size := range sizes {
		t.Run(size.String(), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(size.X), uint64(size.Y)))
			m := newMosaic(size.X, size.Y, 70)
			for range 3 {
				b, err := m.encode()
				if err != nil {
					t.Fatal(err)
				}
				if cap(b) != len(b) {
					t.Errorf("%d bytes are kept for %d", cap(b), len(b))
				}
				wantSame(t, decode(t, b), whole(t, m))
				for range 5 {
					x, y := rnd.IntN(size.X), rnd.IntN(size.Y)
					r := image.Rect(x, y, x+rnd.IntN(100), y+rnd.IntN(40))
					c := color.RGBA{uint8(rnd.Uint32()), uint8(rnd.Uint32()), uint8(rnd.Uint32()), 255}
					draw.Draw(m.canvas, r, image.NewUniform(c), image.Point{}, draw.Src)
					m.changed(r)
				}
			}
		})
	}
}

func TestMosaicEncodesOnlyWhatChanged(t *testing.T) {
	m := newMosaic(640, 480, 70)
	before, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	fill(m.canvas, m.canvas.Rect, white)
	m.changed(image.Rect(100, 100, 100, 200)) // nothing
	m.changed(image.Rect(700, 0, 800, 100))   // outside
	after, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Fatal("a tile was encoded that was not said to have changed")
	}
	m.changed(image.Rect(-50, 31, 1, 33))
	after, err = m.encode()
	if err != nil {
		t.Fatal(err)
	}
	got := decode(t, after)
	for y := range 480 {
		for x := range 640 {
			isWhite := got.YCbCrAt(x, y).Y > 200
			if want := x < m.tile.Max.X && y >= 16 && y < 48; isWhite != want {
				t.Fatalf("white at (%d, %d): %v, want %v", x, y, isWhite, want)
			}
		}
	}
}

func TestMosaicBuffersAreTheCallers(t *testing.T) {
	m := newMosaic(64, 48, 70)
	first, _ := m.encode()
	kept := bytes.Clone(first)
	fill(m.canvas, m.canvas.Rect, yellow)
	m.changed(m.canvas.Rect)
	if _, err := m.encode(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, kept) {
		t.Fatal("a picture changed after it was handed out")
	}
}

// TestMosaicInFFmpeg asks a decoder of other people.
func TestMosaicInFFmpeg(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	for _, size := range []image.Point{{1280, 720}, {848, 480}, {322, 242}, {64, 48}} {
		t.Run(size.String(), func(t *testing.T) {
			card := newCard(t, size)
			b := frame(t, card, 42)
			cmd := exec.CommandContext(t.Context(), ffmpeg, "-v", "warning", "-f", "mjpeg", "-i", "-", "-f", "rawvideo", "-pix_fmt", "yuvj420p", "-")
			cmd.Stdin = bytes.NewReader(b)
			var complaints bytes.Buffer
			cmd.Stderr = &complaints
			raw, err := cmd.Output()
			if err != nil || bytes.Contains(complaints.Bytes(), []byte("mjpeg @")) {
				t.Fatalf("ffmpeg: %v\n%s", err, complaints.Bytes())
			}
			want := decode(t, b)
			if n := size.X * size.Y * 3 / 2; len(raw) != n {
				t.Fatalf("ffmpeg gave %d bytes, want %d", len(raw), n)
			}
			plane := func(name string, pix []byte, stride, w, h int) {
				t.Helper()
				for y := range h {
					for x := range w {
						// Decoders may differ by one in the inverse DCT.
						if g, w := int(raw[y*w+x]), int(pix[y*stride+x]); max(g-w, w-g) > 2 {
							t.Fatalf("%s at (%d, %d): ffmpeg %d, image/jpeg %d", name, x, y, g, w)
						}
					}
				}
				raw = raw[w*h:]
			}
			plane("Y", want.Y, want.YStride, size.X, size.Y)
			plane("Cb", want.Cb, want.CStride, size.X/2, size.Y/2)
			plane("Cr", want.Cr, want.CStride, size.X/2, size.Y/2)
		})
	}
}

// BenchmarkFrame compares a frame of the card with encoding all of it.
func BenchmarkFrame(b *testing.B) {
	for _, size := range []image.Point{{1280, 720}, {1920, 1080}} {
		card := newCard(b, size)
		b.Run(fmt.Sprintf("card/%v", size), func(b *testing.B) {
			b.ReportAllocs()
			for n := uint64(1); b.Loop(); n++ {
				frame(b, card, n)
			}
		})
		b.Run(fmt.Sprintf("whole/%v", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var buf bytes.Buffer
				if err := jpeg.Encode(&buf, card.mosaic.canvas, &card.mosaic.options); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("first/%v", size), func(b *testing.B) {
			for b.Loop() {
				frame(b, newCard(b, size), 1)
			}
		})
	}
}
