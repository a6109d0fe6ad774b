package gpio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// DefaultHold is how long a button is held until it counts, when nothing else
// is said.
const DefaultHold = 2 * time.Second

const (
	// debounce is how long a button must not move until it is believed.
	debounce = 30 * time.Millisecond
	// poll is how often a button that does not move is looked at, and with
	// it how long Run may take to end.
	poll = 250 * time.Millisecond
	// maxGap bounds what one look adds to a press. A program that was not
	// running (a stalled SD card, a paused machine) cannot know what the
	// button did meanwhile, and must not shut down for it.
	maxGap = 2 * poll
	// shortPress is the longest press that is a short one. Between it and
	// Hold a press is one that was thought better of.
	shortPress = 600 * time.Millisecond
	// armAfter is how long a button must have been seen released before its
	// first press counts: a stuck or wrongly wired one never acts, and neither
	// does the press of GPIO3 that woke a halted Pi.
	armAfter = time.Second
)

// A Button turns the movements of an Input into what a person meant. Its
// functions are called by Run, one at a time, and must not block: the button is
// deaf meanwhile. Any of them may be nil.
//
// A press that begins calls OnPress, and then exactly one of OnRelease and
// OnHold, unless ctx ends first. A press up to 0.6 s (or half of Hold, if that
// is less) calls OnShort after OnRelease; between that and Hold nothing else
// happens, which is how a person changes their mind.
type Button struct {
	// Input belongs to Run, which closes it.
	Input Input
	// Hold is how long the button is held until OnHold is called. 0 means
	// DefaultHold.
	Hold time.Duration

	OnPress   func() // pressed: the time to begin a countdown
	OnRelease func() // let go before Hold, or the button was lost
	OnShort   func() // it was a short press
	OnHold    func() // held for Hold, and still pressed; once a press

	// Log gets a line when the button does nothing because it was pressed from
	// the start. nil discards it.
	Log *slog.Logger
}

// Run watches the button until ctx is done, which it notices within 0.25 s, and
// returns nil; or until the button is lost, and returns why. A button that is
// lost counts as released.
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
		down  = true        // believed to be pressed, until it is seen released
		lasts time.Duration // how long that was seen
		armed bool          // it was released for long enough since the start
		spent bool          // this press has had its OnHold
		said  bool          // that the button was pressed from the start
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

// settle waits, at most d, for the button to move away from where it is, and
// then until it has not moved for the time of debounce. It returns where the
// button is believed to be; a movement that came to nothing did not happen.
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
