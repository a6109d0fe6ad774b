//go:build linux

package e2e

import (
	"bytes"
	"os"
	"path"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/image"
	"github.com/pushcam/pushcam/gokrazy/network/firmware"
	"github.com/pushcam/pushcam/gokrazy/network/wpa"
)

// TestWiFiFiles sees that the product has what Wi-Fi needs, for every board for whose
// chip Debian has firmware, and that an image with the stock kernel has none of it.
func TestWiFiFiles(t *testing.T) {
	each(t, func(t *testing.T, p *product) {
		f, err := os.Open(p.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		root := make([]byte, p.RootSize)
		if _, err := f.ReadAt(root, firstRoot); err != nil {
			t.Fatal(err)
		}
		names := []string{wpa.Path, wpa.RegulatoryDB, wpa.RegulatorySignature, firmware.File}
		for _, b := range firmware.Boards() {
			for _, c := range b.Chips {
				if c.Name == "BCM43456" || c.Name == "BCM43430/2" { // Debian lacks them
					continue
				}
				for _, suffix := range []string{".bin", ".clm_blob", ".txt"} {
					names = append(names, c.Base+"."+b.Compatible+suffix)
				}
			}
		}
		want := p.Kernel == image.PushcamKernel
		for _, name := range names {
			// gok does not compress the names of files.
			if got := bytes.Contains(root, []byte(path.Base(name))); got != want {
				t.Errorf("there is a %s: %v, want %v", name, got, want)
			}
		}
		if !want {
			if p.WiFi != nil {
				t.Errorf("it says that it has %v", p.WiFi.SHA256)
			}
			return
		}
		if got := len(p.WiFi.SHA256); got != 10 { // the supplicant, the database of two files, seven of firmware
			t.Errorf("it has %d files, want 10: %v", got, p.WiFi.SHA256)
		}
		if len(p.WiFi.Missing) != 2 {
			t.Errorf("it lacks %v, want two chips", p.WiFi.Missing)
		}
	})
}
