package gpio

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// An Indicator shows patterns on LEDs. Show may be called by any goroutine, at
// any time; Run does the work.
//
// It wakes only when an LED has to change. A steady pattern costs no processor time,
// and neither does even blinking on an LED that is a Blinker.
type Indicator struct {
	// LEDs all show the same pattern. They belong to Run, which closes them. There
	// may be none.
	LEDs []LED
	// Hold is how long the button has to be held: Countdown takes as long. 0
	// means DefaultHold.
	Hold time.Duration
	// Log gets one line for an LED that is lost. nil discards it.
	Log *slog.Logger

	mu      sync.Mutex
	pattern Pattern
	changed chan struct{} // closed when pattern changes; nil while nobody waits
}

// Show makes p the pattern until the next call. It never blocks. If p is shown
// already, its rhythm goes on without a break.
func (i *Indicator) Show(p Pattern) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if p == i.pattern {
		return
	}
	i.pattern = p
	if i.changed != nil {
		close(i.changed)
		i.changed = nil
	}
}

// current returns the pattern to show, and what is closed when it changes.
func (i *Indicator) current() (Pattern, <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.changed == nil {
		i.changed = make(chan struct{})
	}
	return i.pattern, i.changed
}

// Run shows the pattern until ctx is done, and then closes the LEDs. An LED that
// cannot be set is logged once, closed and left out; the others go on.
func (i *Indicator) Run(ctx context.Context) {
	lamps := make([]*lamp, 0, len(i.LEDs))
	for _, led := range i.LEDs {
		lamps = append(lamps, &lamp{led: led})
	}
	for ctx.Err() == nil {
		p, changed := i.current()
		lamps = i.play(ctx, lamps, p, changed)
	}
	for _, l := range lamps {
		if err := l.led.Close(); err != nil {
			i.log().Warn("LED was not closed", "err", err)
		}
	}
}

// play shows p until it changes, and returns the lamps that still work.
func (i *Indicator) play(ctx context.Context, lamps []*lamp, p Pattern, changed <-chan struct{}) []*lamp {
	hold := i.Hold
	if hold <= 0 {
		hold = DefaultHold
	}
	steps := p.steps(hold)
	for _, l := range lamps {
		l.blinkAlone(steps)
	}
	for begin := time.Now(); ; {
		now := time.Now()
		on, left := at(steps, now.Sub(begin))
		lamps = slices.DeleteFunc(lamps, func(l *lamp) bool {
			err := l.set(on)
			if err != nil {
				i.log().Warn("LED is lost; going on without it", "err", err)
				l.led.Close() // another error would say nothing new
			}
			return err != nil
		})
		var edge <-chan time.Time
		if slices.ContainsFunc(lamps, func(l *lamp) bool { return !l.alone }) {
			// The time that Set took is part of the step, so that the rhythm stays.
			edge = time.After(time.Until(now.Add(left)))
		}
		select {
		case <-edge:
		case <-changed:
			return lamps
		case <-ctx.Done():
			return lamps
		}
	}
}

func (i *Indicator) log() *slog.Logger {
	if i.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return i.Log
}

// lamp is an LED and what it was last told.
type lamp struct {
	led   LED
	alone bool // it blinks by itself
	told  bool // on is what was last set
	on    bool
}

// blinkAlone prepares l for new steps. If they are an even blink and the LED is a
// Blinker, it blinks alone from now on. Else set does everything.
func (l *lamp) blinkAlone(steps []time.Duration) {
	l.alone = false
	if b, ok := l.led.(Blinker); ok && len(steps) == 2 && steps[0] > 0 {
		// A kernel without the timer trigger refuses. Then set does it as for any
		// other LED.
		l.alone = b.Blink(steps[0], steps[1]) == nil
		l.told = false
	}
}

// set turns the LED on or off, unless it is so already or blinks by itself.
func (l *lamp) set(on bool) error {
	if l.alone || l.told && l.on == on {
		return nil
	}
	l.told, l.on = true, on
	return l.led.Set(on)
}
