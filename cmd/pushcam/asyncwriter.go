package main

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// An asyncWriter passes lines on to a writer that may hang, as a pipe does that nobody
// reads. Who logs never waits for it. Lines for which there is no room are left out, and
// how many is said where they are missing.
type asyncWriter struct {
	to io.Writer

	mu     sync.Mutex
	lines  chan []byte // closed by close
	closed bool
	left   int           // lines out since the last that had room
	done   chan struct{} // closed when the last line is written
	late   chan struct{} // closed when nobody waits for that any longer
	giveUp func()        // closes late
}

const (
	asyncLines = 512 // of maxLogLine at most
	// asyncEnd is how long close waits for a writer that hangs. The web server may take
	// 0.6 s before it, and gokrazy waits for 2 s.
	asyncEnd = 200 * time.Millisecond
)

// newAsyncWriter writes to a writer until close is called.
func newAsyncWriter(to io.Writer) *asyncWriter {
	w := &asyncWriter{to: to, lines: make(chan []byte, asyncLines), done: make(chan struct{}), late: make(chan struct{})}
	w.giveUp = sync.OnceFunc(func() { close(w.late) })
	go w.run()
	return w
}

func (w *asyncWriter) run() {
	defer close(w.done)
	for line := range w.lines {
		select {
		case <-w.late:
			return
		default:
			w.to.Write(line) // if it fails, nobody reads the log here
		}
	}
}

// Write takes a line, of which it keeps no reference. It does not fail.
func (w *asyncWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return len(line), nil
	}
	if w.left > 0 && !w.queue(fmt.Appendf(nil, "(%d lines of the log are missing here)\n", w.left)) {
		w.left++
		return len(line), nil
	}
	w.left = 0
	if !w.queue(bytes.Clone(line[:min(len(line), maxLogLine)])) {
		w.left++
	}
	return len(line), nil
}

// queue returns false if there is no room. w.mu is held.
func (w *asyncWriter) queue(line []byte) bool {
	select {
	case w.lines <- line:
		return true
	default:
		return false
	}
}

// close waits until all is written, for asyncEnd at most. What comes later is left out. It may
// be called more than once, as by a watchdog that ends a program which is ending.
func (w *asyncWriter) close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.lines)
	}
	w.mu.Unlock()
	select {
	case <-w.done:
	case <-time.After(asyncEnd):
		w.giveUp()
	}
}
