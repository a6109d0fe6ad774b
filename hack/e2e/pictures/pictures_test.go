package pictures

import (
	"bytes"
	"image/jpeg"
	"testing"
)

func TestFrame(t *testing.T) {
	least := len(Frame(1, 0))
	for _, size := range []int{0, least - 1, least, least + 4, 50_000, 300_000} {
		f := Frame(7, size)
		if want := max(size, least); len(f) != want {
			t.Errorf("a frame of %d bytes has %d", want, len(f))
		}
		if n, err := Number(f); n != 7 || err != nil {
			t.Errorf("its number is %d, %v", n, err)
		}
		if img, err := jpeg.Decode(bytes.NewReader(f)); err != nil || img.Bounds().Dx() != Width || img.Bounds().Dy() != Height {
			t.Errorf("of %d bytes it is no picture of that size: %v", size, err)
		}
		for _, damaged := range [][]byte{f[:len(f)-1], f[1:], append(bytes.Clone(f[:len(f)-2]), 0, 0), nil} {
			if n, err := Number(damaged); err == nil {
				t.Errorf("a damaged frame of %d bytes is number %d", len(damaged), n)
			}
		}
	}
}
