package gpio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// DefaultHold is how long a button has to be held where Hold is not set.
const DefaultHold = 2 * time.Second

const (
	// debounce is how long a button must stay in its new position until the
	// movement counts.
	debounce = 30 * time.Millisecond
	// poll is how often a button that does not move is looked at. Run may take
	// as long to end.
	poll = 250 * time.Millisecond
	// maxGap bounds the time that one look adds to a press. A program that was
	// stopped for a while (by a stalled SD card or a paused machine) does not
	// know what the button did meanwhile, and must not shut down because of it.
	maxGap = 2 * poll
	// shortPress is the longest press that counts as a short one. A press
	// between it and Hold switches nothing off, so that a person can change their mind.
	shortPress = 600 * time.Millisecond
	// armAfter is how long a button must be released before its first press
	// counts. So a stuck or wrongly wired button never does anything, and
	// neither does the press of GPIO3 that woke a halted Pi.
	armAfter = time.Second
)

// A Button turns the movements of an Input into what a person meant. Run calls its
// functions, one at a time. They must not block, because the button is not looked
// at meanwhile. Any of them may be nil.
//
// A press that begins calls OnPress, and then exactly one of OnRelease and
// OnHold, unless ctx ends first. A press up to 0.6 s (or half of Hold, if that
// is less) calls OnShort after OnRelease; between that and Hold it calls OnCancel
// instead, as by a person who has changed their mind.
type Button struct {
	// Input belongs to Run, which closes it.
	Input Input
	// Hold is how long the button is held until OnHold is called. 0 means
	// DefaultHold.
	Hold time.Duration

	OnPress   func() // pressed: a countdown begins
	OnRelease func() // let go before Hold, or the button is lost
	OnShort   func() // the press was a short one
	OnCancel  func() // the press was a longer one, let go before Hold
	OnHold    func() // held for Hold, and still pressed; once for each press

	// Log gets a line when the button does nothing because it was pressed from
	// the start. nil discards it.
	Log *slog.Logger
}

// Run watches the button until ctx is done, and then returns nil within 0.25 s. If
// the button is lost before, it counts as released, and Run returns why.
func (b *Button) Run(ctx context.Context) (err error) {
	defer func() {
		if cerr := b.Input.Close(); cerr != nil {
			err = errors.Join(err, fmt.Errorf("close button: %w", cerr))
		}
	}()
	hold := b.Hold
	if hold <= 0 {
		hold = DefaultHold
	}
	var (
		down  = true        // the button's position; pressed until it is seen released
		lasts time.Duration // how long it has been in that position
		armed bool          // it has once been released for armAfter
		spent bool          // OnHold was called for this press
		said  bool          // it was logged that the button is pressed from the start
	)
	for {
		wait := poll
		if armed && down && !spent {
			wait = min(poll, hold-lasts)
		}
		begin := time.Now()
		pressed, err := b.settle(ctx, down, wait)
		lasts += min(time.Since(begin), maxGap)
		moved := pressed != down
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if armed && down && !spent {
				call(b.OnRelease)
			}
			return fmt.Errorf("button is lost: %w", err)
		case !armed && !moved && down && !said:
			said = true
			b.log().Warn("button is pressed from the start; it does nothing until it is let go")
		case !armed:
			armed = !moved && !down && lasts >= armAfter
		case moved && pressed:
			spent = false
			call(b.OnPress)
		case moved && !spent:
			call(b.OnRelease)
			if lasts <= min(shortPress, hold/2) {
				call(b.OnShort)
			} else {
				call(b.OnCancel)
			}
		case !moved && down && !spent && lasts >= hold:
			spent = true
			call(b.OnHold)
		}
		if moved {
			down, lasts = pressed, 0
		}
	}
}

// settle waits, at most d, for the button to leave its position, and then until it
// has not moved for the time of debounce. It returns the button's position then: the
// old one if the button went back to it.
func (b *Button) settle(ctx context.Context, down bool, d time.Duration) (bool, error) {
	pressed, err := b.Input.Wait(d)
	for err == nil && pressed != down && ctx.Err() == nil {
		begin := time.Now()
		pressed, err = b.Input.Wait(debounce)
		if err == nil && pressed != down && time.Since(begin) >= debounce {
			return pressed, nil
		}
	}
	return down, err
}

func (b *Button) log() *slog.Logger {
	if b.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return b.Log
}

func call(f func()) {
	if f != nil {
		f()
	}
}
