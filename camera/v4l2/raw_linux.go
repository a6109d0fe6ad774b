//go:build cgo

package v4l2

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/jpeg"
	"runtime"
	"slices"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2/internal/ioctl"
	go4vl "github.com/vladimirvivien/go4vl/v4l2"
)

// Webcams that do not compress (cheap ones, thermal ones) give raw pictures,
// which are encoded here with Go's image/jpeg. libjpeg-turbo is eight times as
// fast (640×480 in quality 80 on amd64: 80 against 10 million pixels per second
// while the machine had other work), but no maintained Go module brings it, and
// every computer that builds a card image would need its library for arm64, for
// webcams that are rare.

// Pixel formats of linux/videodev2.h that go4vl v0.2.0 does not name.
const (
	pixelNV12 ioctl.PixelFormat = 'N' | 'V'<<8 | '1'<<16 | '2'<<24
	pixelYU12 ioctl.PixelFormat = 'Y' | 'U'<<8 | '1'<<16 | '2'<<24
)

var (
	pixelYUYV = ioctl.PixelFormat(go4vl.PixelFmtYUYV)
	pixelUYVY = ioctl.PixelFormat(go4vl.PixelFmtUYVY)
	pixelGrey = ioctl.PixelFormat(go4vl.PixelFmtGrey)
)

// rawFormats are those that can be encoded, in the order in which they are
// preferred: colour before grey, and what needs less of the cable first.
var rawFormats = []ioctl.PixelFormat{pixelNV12, pixelYU12, pixelYUYV, pixelUYVY, pixelGrey}

func isRaw(p ioctl.PixelFormat) bool { return slices.Contains(rawFormats, p) }

// isRawName is isRaw for the name that camera.Format has.
func isRawName(name string) bool {
	return slices.ContainsFunc(rawFormats, func(p ioctl.PixelFormat) bool { return p.String() == name })
}

const (
	// encodingShare is the part of the machine that encoding may take.
	encodingShare = 1.0 / 3
	// minEncodedFPS is what a size must be encoded at to be chosen, in frames per
	// second; a picture that moves is worth more than a larger one.
	minEncodedFPS  = 10
	maxEncodedFPS  = 30 // when nobody asks for another rate
	encodedQuality = 80 // JPEG quality, when nobody asks for another
)

// maxEncodedSize bounds the size when nobody asks for one.
var maxEncodedSize = ioctl.Size{Width: 1280, Height: 720}

// maxEncodedPixels bounds the pictures that are encoded, which takes 1.5 bytes of memory for
// each pixel. A webcam may say 65535×65535 and offer no other size.
const maxEncodedPixels = 16 << 20

// rawEncoder makes JPEGs of raw pictures, and leaves out as many as it takes to
// stay within its share of the machine. It is for one goroutine.
type rawEncoder struct {
	layout  ioctl.Picture
	quality func() int
	share   float64 // of one processor, which is all that one goroutine can use
	now     func() time.Time

	luma, chroma *[256]byte // from the camera's levels to JPEG's
	ycbcr        *image.YCbCr
	grey         *image.Gray
	jpeg         bytes.Buffer
	began        time.Time // with the picture that is loaded
	next         time.Time // pictures before it are left out
}

// newRawEncoder returns an encoder for what a device was set to. The size is
// rounded down to whole samples of colour.
func newRawEncoder(layout ioctl.Picture, quality func() int) (*rawEncoder, error) {
	e := &rawEncoder{layout: layout, quality: quality, share: encodingProcessors(), now: time.Now}
	e.layout.Width &^= 1
	e.layout.Height &^= 1
	if e.layout.Width <= 0 || e.layout.Height <= 0 || e.layout.Width > maxEncodedPixels/e.layout.Height {
		return nil, fmt.Errorf("it gives raw pictures of %d×%d", layout.Width, layout.Height)
	}
	if e.layout.BytesPerLine < rowBytes(layout.PixelFormat, e.layout.Width) {
		e.layout.BytesPerLine = rowBytes(layout.PixelFormat, layout.Width)
	}
	area := image.Rect(0, 0, e.layout.Width, e.layout.Height)
	if layout.PixelFormat == pixelGrey {
		e.grey = image.NewGray(area)
	} else {
		e.ycbcr = image.NewYCbCr(area, image.YCbCrSubsampleRatio420)
	}
	e.luma, e.chroma = &fullRange, &fullRange
	if layout.PixelFormat != pixelGrey && !layout.FullRange {
		e.luma, e.chroma = &limitedLuma, &limitedChroma
	}
	return e, nil
}

// format is what comes out, of a device that gives fps frames per second (0 is
// not known), when there is time for so many.
func (e *rawEncoder) format(fps, time float64) camera.Format {
	if fps == 0 || fps > time {
		fps = time
	}
	return camera.Format{
		PixelFormat: e.layout.PixelFormat.String(), Width: e.layout.Width, Height: e.layout.Height, FPS: fps,
		Adjusted: fmt.Sprintf("the camera does not compress its pictures, so this computer does: %d×%d at up to %.3g fps is what a third of it has time for",
			e.layout.Width, e.layout.Height, time),
	}
}

// encodingProcessors is how many seconds of one processor a second may cost.
func encodingProcessors() float64 { return min(1, encodingShare*float64(runtime.NumCPU())) }

// rowBytes is what a row of the first plane has at least.
func rowBytes(p ioctl.PixelFormat, width int) int {
	if p == pixelYUYV || p == pixelUYVY {
		return 2 * width
	}
	return width
}

// pictureBytes is what a picture has at least.
func (e *rawEncoder) pictureBytes() int {
	plane := e.layout.BytesPerLine * e.layout.Height
	switch e.layout.PixelFormat {
	case pixelNV12, pixelYU12:
		return plane + plane/2
	}
	return plane
}

// due says whether the next picture may be encoded.
func (e *rawEncoder) due() bool { return !e.now().Before(e.next) }

// load takes a picture over out of the driver's memory.
func (e *rawEncoder) load(data []byte) camera.DropKind {
	if len(data) < e.pictureBytes() {
		return camera.DropTruncated
	}
	e.began = e.now()
	w, h, stride := e.layout.Width, e.layout.Height, e.layout.BytesPerLine
	switch e.layout.PixelFormat {
	case pixelGrey:
		e.plane(e.grey.Pix, e.grey.Stride, data, stride, w, h, e.luma)
	case pixelYUYV:
		e.packed(data, 0, 1)
	case pixelUYVY:
		e.packed(data, 1, 0)
	case pixelNV12:
		e.plane(e.ycbcr.Y, e.ycbcr.YStride, data, stride, w, h, e.luma)
		pairs := data[stride*h:]
		for y := range h / 2 {
			row, at := pairs[y*stride:][:w], y*e.ycbcr.CStride
			cb, cr := e.ycbcr.Cb[at:][:w/2], e.ycbcr.Cr[at:][:w/2]
			for x := range cb {
				cb[x], cr[x] = e.chroma[row[2*x]], e.chroma[row[2*x+1]]
			}
		}
	case pixelYU12:
		e.plane(e.ycbcr.Y, e.ycbcr.YStride, data, stride, w, h, e.luma)
		e.plane(e.ycbcr.Cb, e.ycbcr.CStride, data[stride*h:], stride/2, w/2, h/2, e.chroma)
		e.plane(e.ycbcr.Cr, e.ycbcr.CStride, data[stride*h+stride/2*(h/2):], stride/2, w/2, h/2, e.chroma)
	}
	return ""
}

// plane takes over one plane.
func (e *rawEncoder) plane(to []byte, toStride int, from []byte, stride, w, h int, levels *[256]byte) {
	for y := range h {
		row, out := from[y*stride:][:w], to[y*toStride:][:w]
		for x, level := range row {
			out[x] = levels[level]
		}
	}
}

// packed takes over 4:2:2, in which two pixels share a blue and a red: luma and
// chroma are the offsets of the first of each. Every other row of colour is left
// out, because JPEG is 4:2:0.
func (e *rawEncoder) packed(data []byte, luma, chroma int) {
	w := e.layout.Width
	for y := range e.layout.Height {
		row, out := data[y*e.layout.BytesPerLine:][:2*w], e.ycbcr.Y[y*e.ycbcr.YStride:][:w]
		for x := range out {
			out[x] = e.luma[row[2*x+luma]]
		}
		if y%2 == 1 {
			continue
		}
		at := y / 2 * e.ycbcr.CStride
		cb, cr := e.ycbcr.Cb[at:][:w/2], e.ycbcr.Cr[at:][:w/2]
		for x := range cb {
			cb[x], cr[x] = e.chroma[row[4*x+chroma]], e.chroma[row[4*x+chroma+2]]
		}
	}
}

// encode gives the picture that was loaded last; its caller owns the JPEG.
func (e *rawEncoder) encode(captured time.Time) (*camera.Frame, error) {
	var picture image.Image = e.ycbcr
	if e.grey != nil {
		picture = e.grey
	}
	e.jpeg.Reset()
	if err := jpeg.Encode(&e.jpeg, picture, &jpeg.Options{Quality: e.quality()}); err != nil {
		return nil, fmt.Errorf("encoding a picture: %w", err)
	}
	took := e.now().Sub(e.began)
	e.next = e.began.Add(time.Duration(float64(took) / e.share))
	return &camera.Frame{JPEG: slices.Clone(e.jpeg.Bytes()), Time: captured, Width: e.layout.Width, Height: e.layout.Height}, nil
}

// sampleSize is that of the picture with which the machine is measured.
var sampleSize = ioctl.Size{Width: 320, Height: 240}

// encodedPixels measures how many pixels this machine encodes in a second.
func encodedPixels() float64 {
	e, err := newRawEncoder(ioctl.Picture{PixelFormat: pixelYUYV, Size: sampleSize}, func() int { return encodedQuality })
	if err != nil {
		return 0 // cannot be: the size is a good one
	}
	raw := make([]byte, e.pictureBytes())
	for i := range raw { // edges and slopes, as a scene has
		raw[i] = byte(i/5 ^ i>>9)
	}
	best := time.Hour
	for range 3 { // the first warms the caches, and any may be interrupted
		e.load(raw)
		if _, err := e.encode(e.began); err != nil {
			return 0
		}
		best = min(best, time.Since(e.began))
	}
	return float64(sampleSize.Width*sampleSize.Height) / max(best, time.Microsecond).Seconds()
}

// encodable chooses the size and the rate at which pictures are encoded: of the
// sizes that the device offers the largest up to the wanted one that there is time
// for at minEncodedFPS, or at the wanted rate if that is lower. pixels is how many
// there is time for in a second.
func encodable(sizes []ioctl.Size, want camera.Settings, pixels float64) camera.Settings {
	if want.Width <= 0 || want.Height <= 0 {
		want.Width, want.Height = maxEncodedSize.Width, maxEncodedSize.Height
	}
	if want.FPS <= 0 {
		want.FPS = maxEncodedFPS
	}
	area := func(s ioctl.Size) float64 { return float64(s.Width) * float64(s.Height) }
	sizes = slices.DeleteFunc(slices.Clone(sizes), func(s ioctl.Size) bool { return s.Width <= 0 || s.Height <= 0 })
	slices.SortFunc(sizes, func(a, b ioctl.Size) int { return cmp.Compare(area(b), area(a)) })
	if len(sizes) == 0 { // it offers a range, or no list
		sizes = []ioctl.Size{{Width: want.Width, Height: want.Height}}
	}
	chosen := slices.IndexFunc(sizes, func(s ioctl.Size) bool {
		return s.Width <= want.Width && s.Height <= want.Height && area(s)*min(want.FPS, minEncodedFPS) <= pixels
	})
	if chosen < 0 {
		chosen = len(sizes) - 1
	}
	size := sizes[chosen]
	want.Width, want.Height, want.FPS = size.Width, size.Height, min(want.FPS, pixels/area(size))
	return want
}

// fullRange leaves levels as they are. limitedLuma and limitedChroma make 16–235
// and 16–240 of video (BT.601) into the 0–255 of JPEG (JFIF 1.02).
var (
	fullRange     = levels(0, 255, 0)
	limitedLuma   = levels(16, 235, 0)
	limitedChroma = levels(16, 240, 128)
)

// levels stretches low–high over 0–255; centre stays where it is.
func levels(low, high, centre float64) (t [256]byte) {
	scale := 255 / (high - low)
	for i := range t {
		v := (float64(i) - low) * scale
		if centre > 0 {
			v = (float64(i)-centre)*scale + centre
		}
		t[i] = byte(min(max(v+0.5, 0), 255))
	}
	return t
}
