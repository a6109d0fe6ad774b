// Package pictures has what the cameras of the end-to-end tests see: frames that
// all look the same, of which none is the same.
package pictures

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"sync"
)

// Width and Height of a picture in pixels.
const (
	Width, Height = 1280, 720
)

// Quarters are the colours of a picture: above left and right, below left and
// right.
var Quarters = [...]color.RGBA{{200, 0, 0, 255}, {0, 200, 0, 255}, {0, 0, 200, 255}, {200, 200, 0, 255}}

// Quarter is where one of them is in a picture of this size.
func Quarter(i int, size image.Point) image.Rectangle {
	half := image.Pt(size.X/2, size.Y/2)
	return image.Rectangle{Max: half}.Add(image.Pt(i%2*half.X, i/2*half.Y))
}

var picture = sync.OnceValue(func() []byte {
	img := image.NewRGBA(image.Rect(0, 0, Width, Height))
	for i, c := range Quarters {
		draw.Draw(img, Quarter(i, img.Rect.Size()), &image.Uniform{c}, image.Point{}, draw.Src)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}); err != nil {
		panic(err) // of a buffer, which takes everything
	}
	return b.Bytes()
})

// comment begins a JPEG segment of four bytes.
const comment = "\xff\xfe\x00\x06"

// maxComment is how many bytes a JPEG segment can have, marker included.
const maxComment = 2 + 0xffff

// Frame is the JPEG of the nth picture, with comments that make it as long as
// size, in bytes. One that is too small for a picture, or for a comment more, is
// not met to the byte.
func Frame(n, size int) []byte {
	p := picture()
	b := make([]byte, 0, max(size, len(p)+8))
	b = append(b, p[:2]...)
	b = append(b, comment...)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	for room := size - len(b) - len(p[2:]); room >= 4; room = size - len(b) - len(p[2:]) {
		segment := min(room, maxComment)
		b = append(b, comment[:2]...)
		b = binary.BigEndian.AppendUint16(b, uint16(segment-2))
		b = b[:len(b)+segment-4]
	}
	return append(b, p[2:]...)
}

// ErrNotTaken is what a picture is that no camera of these took.
var ErrNotTaken = errors.New("the camera did not take this picture")

// Number tells frames apart, and refuses what is not one of them to the byte.
func Number(jpg []byte) (int, error) {
	if len(jpg) < 10 || string(jpg[2:6]) != comment {
		return 0, fmt.Errorf("%w of %d bytes: % x…", ErrNotTaken, len(jpg), jpg[:min(len(jpg), 16)])
	}
	n := int(binary.BigEndian.Uint32(jpg[6:]))
	if want := Frame(n, len(jpg)); !bytes.Equal(jpg, want) {
		return 0, fmt.Errorf("the camera's picture %d of %d bytes arrived with %d, or others", n, len(want), len(jpg))
	}
	return n, nil
}
