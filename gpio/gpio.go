// Package gpio lets an appliance without a screen speak and listen: status LEDs
// that show what the camera does, and one button.
//
// An Indicator plays a Pattern on LEDs: lines of a GPIO chip (Chip.LED) and the
// board's own LED (SysLED). A Button tells a short press from a long one. The program
// can do without either: an LED or a button that is missing or goes away is logged
// once, and everything else goes on.
package gpio

import "time"

// An LED is a light that can be on or off.
type LED interface {
	// Set turns the LED on or off. After an error only Close is called.
	Set(on bool) error
	// Close turns the LED off, or has the kernel drive it as before.
	Close() error
}

// A Blinker is an LED that can blink by itself, so that the program need not wake for
// it.
type Blinker interface {
	LED
	// Blink makes the LED blink, beginning with on, until the next Set or Blink. After
	// an error it is not known whether the LED is on, but Set works as before.
	Blink(on, off time.Duration) error
}

// An Input is a button whose movements are not debounced.
type Input interface {
	// Wait waits until the button moves, at most d (more than 0), and tells
	// whether it is pressed now. If it returns before d has passed, the button
	// has moved, even if it is back in its old position. An error means that the
	// button is lost for good.
	Wait(d time.Duration) (pressed bool, err error)
	// Close gives the button's line back.
	Close() error
}
