package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// logFilter chooses lines of the log, as slog.TextHandler writes them.
type logFilter struct {
	all   bool // it leaves nothing out
	level slog.Level
	since time.Time
	text  string // in small letters
}

// newLogFilter reads level, since and q of a request.
func newLogFilter(query url.Values) (f logFilter, err error) {
	level, since := query.Get("level"), query.Get("since")
	f.text, f.level = strings.ToLower(query.Get("q")), slog.LevelDebug
	if level != "" {
		if err := f.level.UnmarshalText([]byte(level)); err != nil {
			return f, fmt.Errorf("level is debug, info, warn or error, not %.40q", level)
		}
	}
	if since != "" {
		if f.since, err = time.Parse(time.RFC3339, since); err != nil {
			return f, fmt.Errorf("since is a time as 2026-11-28T12:00:00Z, not %.40q", since)
		}
	}
	f.all = level == "" && since == "" && f.text == ""
	return f, nil
}

// of returns those lines of text that f chooses. It may change text.
func (f *logFilter) of(text []byte) []byte {
	if f.all {
		return text
	}
	kept := text[:0]
	for line := range bytes.Lines(text) {
		if f.wants(line) {
			kept = append(kept, line...)
		}
	}
	return kept
}

// wants tells whether f chooses a line. One that does not say its time or its level is
// chosen by its text alone, because nobody else tells of it.
func (f *logFilter) wants(line []byte) bool {
	var at time.Time
	level := slog.LevelError
	for word := range bytes.FieldsSeq(line[:min(len(line), 64)]) { // they come first
		if value, ok := bytes.CutPrefix(word, []byte("time=")); ok {
			if t, err := time.Parse(time.RFC3339, string(value)); err == nil {
				at = t
			}
		} else if value, ok := bytes.CutPrefix(word, []byte("level=")); ok {
			var l slog.Level
			if l.UnmarshalText(value) == nil {
				level = l
			}
			break
		}
	}
	return level >= f.level && (at.IsZero() || !at.Before(f.since)) && (f.text == "" || bytes.Contains(bytes.ToLower(line), []byte(f.text)))
}
