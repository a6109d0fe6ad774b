//go:build amd64 || arm64

package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// systemClock is the kernel's (adjtimex(2)).
type systemClock struct{}

var _ system = systemClock{}

func (systemClock) now() time.Time { return time.Now() }

// step adds to the clock, so that no time passes between looking at it and setting it.
func (c systemClock) step(by time.Duration) error {
	if err := c.slew(0); err != nil { // what is left of a correction belongs to the clock as it was
		return err
	}
	return adjust(unix.Timex{Modes: unix.ADJ_SETOFFSET, Time: unix.NsecToTimeval(by.Nanoseconds())})
}

func (systemClock) slew(by time.Duration) error {
	return adjust(unix.Timex{Modes: unix.ADJ_OFFSET_SINGLESHOT, Offset: by.Microseconds()})
}

func (systemClock) synced() error {
	return adjust(unix.Timex{Modes: unix.ADJ_STATUS | unix.ADJ_MAXERROR | unix.ADJ_ESTERROR})
}

func adjust(t unix.Timex) error {
	_, err := unix.Adjtimex(&t)
	return err
}
