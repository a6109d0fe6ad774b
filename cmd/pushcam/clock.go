package main

import (
	"bytes"
	"time"
)

// onClock is a time that was taken while the program ran, as the clock has it now. A Pi
// has no battery for its clock: that starts in 1970, and is set when the network tells
// the time.
func onClock(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.Now().Add(-time.Since(t)).Round(time.Millisecond) // by the monotonic clock
}

// logTime is how slog writes the time, after "time=" at the beginning of a line.
const logTime = "2006-01-02T15:04:05.000Z07:00"

// redate gives a line of the log another time, if it has one.
func redate(line []byte, t time.Time) []byte {
	key := []byte("time=")
	_, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok || !bytes.HasPrefix(line, key) {
		return line
	}
	return append(append(t.AppendFormat(key, logTime), ' '), rest...)
}
