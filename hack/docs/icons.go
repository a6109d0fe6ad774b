package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
)

// icon is pusher/web/icon.svg, without its round corners, as PNG: Chrome wants that to
// install the page, and iPhones put it on their screen and round it themselves. Its edges are
// not smooth, which nobody sees in this size, and three colours take few bytes.
func icon(size int) ([]byte, error) {
	dark, ring, green := color.RGBA{0x16, 0x19, 0x1c, 255}, color.RGBA{0xe8, 0xea, 0xed, 255}, color.RGBA{0x4c, 0xc3, 0x8a, 255}
	img := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{dark, ring, green})
	unit := float64(size) / 64 // of the SVG's view box, in pixels
	for y := range size {
		for x := range size {
			r := math.Hypot(float64(x)+.5-float64(size)/2, float64(y)+.5-float64(size)/2)
			switch {
			case math.Abs(r-17*unit) < 2.5*unit:
				img.SetColorIndex(x, y, 1)
			case r < 7*unit:
				img.SetColorIndex(x, y, 2)
			}
		}
	}
	var out bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, img)
	return out.Bytes(), err
}

func writeIcons(dir string) error {
	for _, size := range []int{192, 512} {
		content, err := icon(size)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("icon-%d.png", size)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
