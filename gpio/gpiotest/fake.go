// Package gpiotest has LEDs and buttons without wires, for tests of logic under
// testing/synctest, and real ones in a simulated chip (gpio-sim) for tests that
// run in the VM rig.
package gpiotest

import (
	"sync"
	"time"
)

// A Change is what an LED did, and when, since the first thing that it did.
type Change struct {
	At time.Duration
	On bool
}

// LED implements gpio.LED and remembers what it was told. The zero value is
// ready. It may be used by several goroutines.
type LED struct {
	mu      sync.Mutex
	begin   time.Time
	changes []Change
	err     error
	closed  int
}

// Set implements gpio.LED.
func (l *LED) Set(on bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	if l.begin.IsZero() {
		l.begin = time.Now()
	}
	l.changes = append(l.changes, Change{time.Since(l.begin), on})
	return nil
}

// Close implements gpio.LED.
func (l *LED) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed++
	return l.err
}

// Break lets every call fail with err from now on; nil repairs it.
func (l *LED) Break(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// Changes returns what Set was told since the last call of Changes.
func (l *LED) Changes() []Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.changes
	l.changes, l.begin = nil, time.Time{}
	return c
}

// Closed returns how often Close was called.
func (l *LED) Closed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// A Blink is what a Blinker was told.
type Blink struct{ On, Off time.Duration }

// Blinker is an LED that implements gpio.Blinker.
type Blinker struct {
	LED
	blinks []Blink
}

// Blink implements gpio.Blinker.
func (b *Blinker) Blink(on, off time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blinks = append(b.blinks, Blink{on, off})
	return b.err
}

// Blinks returns what Blink was told since the last call of Blinks.
func (b *Blinker) Blinks() []Blink {
	b.mu.Lock()
	defer b.mu.Unlock()
	blinks := b.blinks
	b.blinks = nil
	return blinks
}

// Button implements gpio.Input and is moved by a test. The zero value is a
// button that is not pressed.
type Button struct {
	mu      sync.Mutex
	pressed bool
	err     error
	closed  int
	moved   chan struct{} // has one element while an edge was not seen yet
	looks   int
}

// Wait implements gpio.Input.
func (b *Button) Wait(d time.Duration) (bool, error) {
	b.mu.Lock()
	b.looks++
	if b.moved == nil {
		b.moved = make(chan struct{}, 1)
	}
	moved := b.moved
	b.mu.Unlock()
	select {
	case <-moved:
	case <-time.After(d):
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pressed && b.err == nil, b.err
}

// Press presses the button.
func (b *Button) Press() { b.move(true, nil) }

// Release lets it go.
func (b *Button) Release() { b.move(false, nil) }

// Remove takes the button's chip away: Wait fails with err from now on.
func (b *Button) Remove(err error) { b.move(false, err) }

func (b *Button) move(pressed bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pressed, b.err = pressed, err
	if b.moved == nil {
		b.moved = make(chan struct{}, 1)
	}
	select {
	case b.moved <- struct{}{}:
	default:
	}
}

// Close implements gpio.Input.
func (b *Button) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed++
	return nil
}

// Closed returns how often Close was called.
func (b *Button) Closed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// Looks returns how often Wait was called.
func (b *Button) Looks() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.looks
}
