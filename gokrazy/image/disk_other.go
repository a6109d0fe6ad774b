//go:build !linux

package image

import (
	"fmt"
	"runtime"
)

// System knows this computer's disks, on Linux only.
type System struct {
	Root string // of no effect
}

func (*System) Disk(path string) (*Disk, error) {
	return nil, fmt.Errorf("%s: writing a card works on Linux only; on %s write the image with Raspberry Pi Imager, as a custom image", path, runtime.GOOS)
}

func (*System) Candidates() []*Disk { return nil }
