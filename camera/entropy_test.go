package camera

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestEntropyWhole(t *testing.T) {
	gray := image.NewGray(image.Rect(0, 0, 33, 17))
	for i := range gray.Pix {
		gray.Pix[i] = uint8(i * i)
	}
	pictures := map[string][]byte{
		"gray":    encoded(t, gray),
		"colours": encoded(t, noisyPicture(70, 50)),
	}
	for _, file := range suite() {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pictures[filepath.Base(file)] = src
	}
	for name, src := range pictures {
		t.Run(name, func(t *testing.T) {
			var p scannedJPEG
			if kind := p.scan(src); kind != "" {
				t.Skip("broken: ", kind)
			}
			if got, want := entropyWhole(src), !p.progressive; got != want {
				t.Fatalf("whole %v, want %v", got, want)
			}
			if p.progressive {
				return
			}
			// Without the last of the bytes and markers.
			if f := join(src[:len(src)-12], eoi); entropyWhole(f) {
				t.Error("whole without its last bytes")
			}
			if f := join(src[:p.segments+10], src[p.segments+20:]); entropyWhole(f) {
				if _, err := jpeg.Decode(bytes.NewReader(f)); err != nil {
					t.Error("whole without some of its bytes, which image/jpeg says are missing: ", err)
				}
			}
		})
	}
}

// FuzzEntropyWhole compares with image/jpeg, which decodes the bits.
func FuzzEntropyWhole(f *testing.F) {
	full := encoded(f, noisyPicture(33, 17))
	f.Add(full)
	f.Add(full[:len(full)-2])
	f.Add(full[:len(full)/2])
	for _, name := range []string{"base.jpg", "noeoi-restarts.jpg", "dht-luma-only.jpg"} {
		f.Add(read(f, name))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		frame, kind := NewFrame(src, time.Time{})
		var p scannedJPEG
		if kind != "" || p.scan(frame.JPEG) != "" || p.scans > 1 || p.progressive || p.width*p.height > 1<<20 {
			return
		}
		// The other way round it need not be: decoders pass over blocks that have
		// more than 64 coefficients.
		_, err := jpeg.Decode(bytes.NewReader(frame.JPEG))
		if unsupported := jpeg.UnsupportedError(""); err != nil && !errors.As(err, &unsupported) && entropyWhole(frame.JPEG) {
			t.Errorf("whole, but image/jpeg says: %v", err)
		}
	})
}
