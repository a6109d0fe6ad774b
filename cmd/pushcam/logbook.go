package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pushcam/pushcam/pusher/api"
)

// logbook keeps the last lines of the program's log, for the owner. It is a
// writer for a slog.Handler, which writes one line at a time, and the answer to
// /api/log.
//
// A reader who follows the log has no buffer here, but the number of the line that
// comes next. If that line is gone already, because the reader is slow, the answer
// ends; pushcamctl asks again and tells how many lines it has missed.
type logbook struct {
	run string // differs from one start of the program to the next
	// tell is told each line. It must neither block nor log, and keeps nothing of it. May
	// be nil.
	tell func(line []byte)

	mu    sync.Mutex
	lines []logLine
	first uint64        // number of lines[0], counted from 1
	size  int           // of lines, in bytes
	held  [kinds]int    // how many lines there are of each kind
	more  chan struct{} // closed when there is another line
}

type logLine struct {
	text []byte    // with its end
	at   time.Time // when it came
	kind int
}

// Lines are the program's own, or about what others on the network do. Those have rings of
// their own within the book: who comes and goes cannot wipe what the owner wants to read,
// nor who tried passwords.
const (
	ownLine = iota
	visitLine
	securityLine
	kinds
)

// maxOthers is how many lines there are of each kind that is not the program's own.
const maxOthers = maxLogLines / 8

const (
	maxLogLines = 2000
	maxLogSize  = 256 << 10 // bytes
	maxLogLine  = 8 << 10   // bytes; longer lines are cut
)

func newLogbook() *logbook {
	return &logbook{run: rand.Text(), first: 1, more: make(chan struct{})}
}

// Write adds a line of the program's own. It keeps no reference to p and does not fail.
func (b *logbook) Write(p []byte) (int, error) { return b.add(p, ownLine) }

// others writes lines of another kind.
func (b *logbook) others(kind int) io.Writer { return &kindWriter{b, kind} }

type kindWriter struct {
	book *logbook
	kind int
}

func (w *kindWriter) Write(p []byte) (int, error) { return w.book.add(p, w.kind) }

func (b *logbook) add(p []byte, kind int) (int, error) {
	line := bytes.TrimSuffix(p, []byte("\n"))
	line = line[:min(len(line), maxLogLine-1)]
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, logLine{append(bytes.Clone(line), '\n'), time.Now(), kind})
	b.size += len(line) + 1
	b.held[kind]++
	if kind != ownLine && b.held[kind] > maxOthers {
		b.remove(slices.IndexFunc(b.lines, func(l logLine) bool { return l.kind == kind }))
	}
	for len(b.lines) > maxLogLines || b.size > maxLogSize {
		b.remove(0)
	}
	close(b.more)
	b.more = make(chan struct{})
	if b.tell != nil {
		b.tell(line)
	}
	return len(p), nil
}

// remove takes out a line. The numbers of those before it go up by one, so a reader who is
// there still gets one of them again. b.mu is held.
func (b *logbook) remove(i int) {
	b.size -= len(b.lines[i].text)
	b.held[b.lines[i].kind]--
	copy(b.lines[1:i+1], b.lines[:i])
	b.lines[0] = logLine{}
	b.lines = b.lines[1:]
	b.first++
}

// from copies the lines from a number on. It returns them with the number of the
// first, the number that the next new line will have, and a channel that is closed
// when that one comes. Lines from before the clock was set have the time that it was.
func (b *logbook) from(number uint64) (text []byte, first, next uint64, more <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next = b.first + uint64(len(b.lines))
	first = max(number, b.first)
	if first > next {
		first = b.first // no line of this book
	}
	for _, l := range b.lines[first-b.first:] {
		if at := onClock(l.at); at.Sub(l.at.Round(0)).Abs() > time.Second {
			l.text = redate(l.text, at)
		}
		text = append(text, l.text...)
	}
	return text, first, next, b.more
}

// last are the last whole lines, of max bytes at most.
func (b *logbook) last(max int) []byte {
	text, _, _, _ := b.from(0)
	if len(text) <= max {
		return text
	}
	text = text[len(text)-max-1:]
	return text[bytes.IndexByte(text, '\n')+1:]
}

// ServeHTTP answers with the lines as text. With ?follow=1 it goes on with those
// to come until the request ends. Log-Run names this run of the program, and
// Log-From is the number of the first line; ?run=RUN&from=NUMBER begins there,
// if that line is of this run and still known. ?level=, ?since= and ?q= choose lines.
func (b *logbook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !api.Allows(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	query := r.URL.Query()
	var number uint64
	if v := query.Get("from"); v != "" {
		var err error
		if number, err = strconv.ParseUint(v, 10, 64); err != nil {
			api.Fail(w, r, http.StatusBadRequest, fmt.Errorf("from is the number of a line, not %.40q", v))
			return
		}
	}
	if query.Get("run") != b.run {
		number = 0
	}
	filter, err := newLogFilter(query)
	if err != nil {
		api.Fail(w, r, http.StatusBadRequest, err)
		return
	}
	text, first, next, more := b.from(number)
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Log-Run", b.run)
	h.Set("Log-From", strconv.FormatUint(first, 10))
	if _, err := w.Write(filter.of(text)); err != nil || r.Method == http.MethodHead || query.Get("follow") != "1" {
		return
	}
	b.follow(r.Context(), w, filter, next, more)
}

// follow writes the lines from a number on that a filter chooses, as they come.
func (b *logbook) follow(ctx context.Context, w http.ResponseWriter, filter logFilter, next uint64, more <-chan struct{}) {
	c := http.NewResponseController(w)
	for {
		if err := c.Flush(); err != nil {
			return // the reader has left
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
		var (
			text  []byte
			first uint64
			place = next
		)
		if text, first, next, more = b.from(place); first != place {
			return // it is gone
		}
		if _, err := w.Write(filter.of(text)); err != nil {
			return
		}
	}
}
