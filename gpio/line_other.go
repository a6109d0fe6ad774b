//go:build !linux

package gpio

import (
	"errors"
	"fmt"
	"runtime"
)

// A Chip is a GPIO chip. There are none on this system.
type Chip struct{}

// OpenChip returns an error that wraps errors.ErrUnsupported.
func OpenChip(name string) (*Chip, error) {
	return nil, fmt.Errorf("GPIO lines on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// LED is there so that programs build.
func (*Chip) LED(line int, activeLow bool) (LED, error) {
	return nil, errors.ErrUnsupported
}

// Button is there so that programs build.
func (*Chip) Button(line int) (Input, error) {
	return nil, errors.ErrUnsupported
}

// String is there so that programs build.
func (*Chip) String() string { return "no GPIO chip" }
