// Package gpio lets an appliance without a screen speak and listen: status LEDs
// that show what the camera does, and one button.
//
// An Indicator plays a Pattern on LEDs: lines of a GPIO chip (Chip.LED) and the
// board's own LED (SysLED). A Button tells a short press from a long one. Both
// are made for a program to which they are not essential: what is missing or
// goes away is said once, and everything else goes on.
package gpio

import "time"

// An LED is a light that can be on or off.
type LED interface {
	// Set turns the LED on or off. An LED that failed once is not used again.
	Set(on bool) error
	// Close turns the LED off, or gives it back to who had it before.
	Close() error
}

// A Blinker is an LED that blinks by itself, without anybody being woken.
type Blinker interface {
	LED
	// Blink lets the LED be on and off in turns, beginning with on, until the
	// next Set or Blink. After an error the LED is as if Set had to be called.
	Blink(on, off time.Duration) error
}

// An Input is a button as the wire shows it, with all its bouncing.
type Input interface {
	// Wait waits until the button moves, at most d (more than 0), and says
	// whether it is pressed now. That it returns before d has passed means
	// that the button moved, even if it is again as it was. An error means
	// that the button is gone for good.
	Wait(d time.Duration) (pressed bool, err error)
	// Close gives the button's line back.
	Close() error
}
