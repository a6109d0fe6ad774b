//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"slices"
	"strings"
)

const (
	pictureWidth  = 1280
	pictureHeight = 720
)

// newPicture is a JPEG of exactly size bytes, with an empty stamp behind SOI. It shows
// as much noise as fits, and a comment fills the rest.
func newPicture(size int) ([]byte, error) {
	const overhead = stampEnd - 2 + 4 // the stamp, and the head of the filler
	low, high := 0, 256               // noise that fits, and that does not
	var best []byte
	for high-low > 1 {
		noise := (low + high) / 2
		b, err := drawing(noise)
		if err != nil {
			return nil, err
		}
		if len(b)+overhead <= size {
			low, best = noise, b
		} else {
			high = noise
		}
	}
	filler := size - len(best) - overhead
	if best == nil || filler+2 > 0xffff {
		return nil, fmt.Errorf("cannot draw a picture of %d bytes", size)
	}
	soi := best[:2]
	return slices.Concat(soi,
		segment(strings.Repeat("0", 2*stampDigits)),
		segment(strings.Repeat(" ", filler)),
		best[2:]), nil
}

// segment is a JPEG comment (ITU-T T.81, B.2.4.5).
func segment(text string) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0xff, 0xfe}, uint16(len(text)+2))
	return append(b, text...)
}

// drawing is a JPEG with an amount of noise, always the same for the same amount.
func drawing(noise int) ([]byte, error) {
	random := rand.New(rand.NewPCG(1, 2))
	picture := image.NewGray(image.Rect(0, 0, pictureWidth, pictureHeight))
	for i := range picture.Pix {
		picture.Pix[i] = uint8(random.IntN(noise + 1))
	}
	var b bytes.Buffer
	err := jpeg.Encode(&b, picture, &jpeg.Options{Quality: 75})
	return b.Bytes(), err
}

// withoutStamp is the picture for fakecam.c, which inserts the stamp itself.
func withoutStamp(picture []byte) []byte {
	return slices.Concat(picture[:2], picture[stampEnd:])
}
