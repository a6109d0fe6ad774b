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

// LED exists so that programs for this system build.
func (*Chip) LED(line int, activeLow bool) (LED, error) {
	return nil, errors.ErrUnsupported
}

// Button exists so that programs for this system build.
func (*Chip) Button(line int) (Input, error) {
	return nil, errors.ErrUnsupported
}

// String exists so that programs for this system build.
func (*Chip) String() string { return "no GPIO chip" }
