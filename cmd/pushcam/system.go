package main

import (
	"errors"
	"log/slog"
	"time"

	"github.com/pushcam/pushcam/gpio"
)

// Why the program ends, if the appliance's system is to end with it.
var (
	errOff    = errors.New("the appliance is to be switched off")
	errReboot = errors.New("the system is to start anew")
)

// system is how the appliance's system ends.
type system struct {
	endOthers func() error // asks all other programs to end
	settle    func() error // returns when everything is on the card, or why it is not
	// unkept tells whether a change was not written at all: a card that fails is for
	// reading only from then on, and has nothing left to write.
	unkept func() bool
	// The power goes at once: these return only if they fail.
	off, restart func() error
}

const (
	// othersTime is how long other programs have to write what they keep.
	othersTime = 300 * time.Millisecond
	// darkTime is how long the LED is dark before the power goes.
	darkTime = 300 * time.Millisecond
)

// finish ends the system when the program's parts have ended: why is errOff or
// errReboot. The LEDs go dark only when everything is on the card. If that cannot be,
// they say so first, and the power goes all the same: a card that hangs would keep it
// on for ever.
func (s *system) finish(why error, p *panel, log *slog.Logger) error {
	if err := s.endOthers(); err != nil {
		log.Warn("other programs are not ended first", "err", err)
	} else {
		time.Sleep(othersTime)
	}
	last := gpio.SafeToUnplug
	err := s.settle()
	if err == nil && s.unkept() {
		err = errors.New("the card did not take what was changed last")
	}
	if err != nil {
		log.Error("what was written last may be lost", "err", err)
		last = gpio.NotWritten
	}
	if errors.Is(why, errReboot) {
		return s.restart()
	}
	p.end(last)
	time.Sleep(last.Length() + darkTime)
	return s.off()
}
