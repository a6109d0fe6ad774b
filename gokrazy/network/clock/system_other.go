//go:build !linux || !(amd64 || arm64)

package clock

import (
	"errors"
	"time"
)

// systemClock belongs to somebody else.
type systemClock struct{}

var _ system = systemClock{}

func (systemClock) now() time.Time           { return time.Now() }
func (systemClock) step(time.Duration) error { return errors.ErrUnsupported }
func (systemClock) slew(time.Duration) error { return errors.ErrUnsupported }
func (systemClock) synced() error            { return errors.ErrUnsupported }
