package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
)

// shades is how many mixtures of two colours an edge is drawn with. With so few the icons
// have 7 colours in all, which is a third of the bytes.
const shades = 3

// icon is pusher/web/icon.svg, without its round corners, as PNG: Chrome wants that to
// install the page, and iPhones put it on their screen and round it themselves.
func icon(size int) ([]byte, error) {
	dark, ring, green := color.RGBA{0x16, 0x19, 0x1c, 255}, color.RGBA{0xe8, 0xea, 0xed, 255}, color.RGBA{0x4c, 0xc3, 0x8a, 255}
	palette := color.Palette{dark}
	for _, c := range []color.RGBA{ring, green} {
		for i := 1; i <= shades; i++ {
			mixed := func(a, b uint8) uint8 { return uint8(int(a) + (int(b)-int(a))*i/shades) }
			palette = append(palette, color.RGBA{mixed(dark.R, c.R), mixed(dark.G, c.G), mixed(dark.B, c.B), 255})
		}
	}
	img := image.NewPaletted(image.Rect(0, 0, size, size), palette)
	unit := float64(size) / 64 // of the SVG's view box, in pixels
	for y := range size {
		for x := range size {
			r := math.Hypot(float64(x)+.5-float64(size)/2, float64(y)+.5-float64(size)/2)
			cover := func(inside float64) int { // of a pixel whose middle is so far within an edge
				return int(math.Round(shades * max(0, min(inside+.5, 1))))
			}
			if n := cover(2.5*unit - math.Abs(r-17*unit)); n > 0 {
				img.SetColorIndex(x, y, uint8(n))
			} else if n := cover(7*unit - r); n > 0 {
				img.SetColorIndex(x, y, uint8(shades+n))
			}
		}
	}
	var out bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, img)
	return out.Bytes(), err
}
