package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

func read(b *logbook, method, query string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.ServeHTTP(w, httptest.NewRequest(method, "/api/log"+query, nil))
	return w
}

func TestLogbook(t *testing.T) {
	b := newLogbook()
	log := slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	log.Info("one")
	log.Warn("two\x1b[2J", "lines", "a\nb")
	log.Info("three")
	lines := []string{"level=INFO msg=one\n", `level=WARN msg="two\x1b[2J" lines="a\nb"` + "\n", "level=INFO msg=three\n"}
	tests := []struct {
		name, method, query string
		code                int
		from                string
		body                string
	}{
		{"all", "GET", "", 200, "1", lines[0] + lines[1] + lines[2]},
		{"head", "HEAD", "?follow=1", 200, "1", lines[0] + lines[1] + lines[2]}, // net/http sends none of it
		{"the last", "GET", "?from=3&run=" + b.run, 200, "3", lines[2]},
		{"those to come", "GET", "?from=4&run=" + b.run, 200, "4", ""},
		{"no line yet", "GET", "?from=5&run=" + b.run, 200, "1", lines[0] + lines[1] + lines[2]},
		{"the largest number", "GET", "?from=18446744073709551615&run=" + b.run, 200, "1", lines[0] + lines[1] + lines[2]},
		{"of another run", "GET", "?from=3&run=x", 200, "1", lines[0] + lines[1] + lines[2]},
		{"no number", "GET", "?from=-1", 400, "", "from is the number of a line, not \"-1\"\n"},
		{"method", "POST", "", 405, "", "/api/log takes GET, HEAD, not POST\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := read(b, tt.method, tt.query)
			if diff := cmp.Diff(tt.body, w.Body.String()); w.Code != tt.code || w.Header().Get("Log-From") != tt.from || diff != "" {
				t.Errorf("%d, from %q, body (-want +got):\n%s", w.Code, w.Header().Get("Log-From"), diff)
			}
			if allow := w.Header().Get("Allow"); (tt.code == 405) != (allow == "GET, HEAD") {
				t.Errorf("Allow: %s", allow)
			}
		})
	}
}

func TestLogbookLast(t *testing.T) {
	b := newLogbook()
	for _, line := range []string{"one\n", "two\n", "three\n"} {
		b.Write([]byte(line))
	}
	for max, want := range map[int]string{0: "", 5: "", 6: "three\n", 9: "three\n", 10: "two\nthree\n", 13: "two\nthree\n", 14: "one\ntwo\nthree\n", 100: "one\ntwo\nthree\n"} {
		if got := string(b.last(max)); got != want {
			t.Errorf("of %d bytes: %q, want %q", max, got, want)
		}
	}
}

// Two runs of the program have nothing in common, though the lines have the same
// numbers.
func TestLogbookRuns(t *testing.T) {
	if a, b := newLogbook().run, newLogbook().run; a == b {
		t.Errorf("both are %q", a)
	}
}

func TestLogbookBounds(t *testing.T) {
	tests := []struct {
		name       string
		line       string
		first, len int // of what is kept of 5,000 lines
	}{
		{"short lines", "x\n", 3001, 2 * maxLogLines},
		{"lines of 1 KiB", strings.Repeat("x", 1023) + "\n", 4745, maxLogSize},
		{"lines of 1 MiB", strings.Repeat("x", 1<<20), 4969, maxLogSize},
		{"empty lines", "\n", 3001, maxLogLines},
		{"nothing", "", 3001, maxLogLines},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, line := newLogbook(), []byte(tt.line)
			for range 5000 {
				if n, err := b.Write(line); n != len(tt.line) || err != nil {
					t.Fatal(n, err)
				}
			}
			text, first, next, _ := b.from(0)
			if first != uint64(tt.first) || next != 5001 || len(text) != tt.len || b.size != tt.len {
				t.Errorf("lines %d to %d, %d bytes, which is counted as %d; want from %d, %d bytes", first, next-1, len(text), b.size, tt.first, tt.len)
			}
		})
	}
}

// Each kind of line that others cause has a ring of its own, in which the latest are. A
// reader goes on where it was.
func TestLogbookKinds(t *testing.T) {
	b := newLogbook()
	io.WriteString(b, "own\n")
	io.WriteString(b.others(securityLine), "password\n")
	for i := range 3 * maxOthers {
		fmt.Fprintf(b.others(visitLine), "visit %d\n", i)
	}
	_, _, place, _ := b.from(0)
	fmt.Fprintln(b.others(visitLine), "the last")
	if text, first, next, _ := b.from(place); string(text) != "the last\n" || first != place || next != place+1 {
		t.Errorf("the reader at %d gets %q from %d to %d", place, text, first, next)
	}
	text, first, next, _ := b.from(0)
	want := fmt.Sprintf("own\npassword\nvisit %d\n", 2*maxOthers+1)
	if !strings.HasPrefix(string(text), want) || !strings.HasSuffix(string(text), "the last\n") {
		t.Errorf("the book begins with %.60q, want %q", text, want)
	}
	if n := uint64(bytes.Count(text, []byte("\n"))); n != maxOthers+2 || next-first != n || b.size != len(text) {
		t.Errorf("%d lines, numbered %d to %d, of %d bytes, which are counted as %d", n, first, next-1, len(text), b.size)
	}
}

// pages gives a follower its lines, one write at a time.
type pages struct {
	header http.Header
	writes chan string
	ctx    context.Context
}

func (p *pages) Header() http.Header { return p.header }
func (p *pages) WriteHeader(int)     {}
func (p *pages) Flush()              {}

func (p *pages) Write(text []byte) (int, error) {
	if len(text) == 0 {
		return 0, nil
	}
	select {
	case p.writes <- string(text):
		return len(text), nil
	case <-p.ctx.Done():
		return 0, errors.New("gone")
	}
}

func follower(t *testing.T, b *logbook) (p *pages, done chan struct{}, leave func()) {
	ctx, leave := context.WithCancel(context.Background())
	t.Cleanup(leave)
	p = &pages{make(http.Header), make(chan string), ctx}
	done = make(chan struct{})
	go func() {
		defer close(done)
		b.ServeHTTP(p, httptest.NewRequestWithContext(ctx, "GET", "/api/log?follow=1", nil))
	}()
	return p, done, leave
}

func TestLogbookFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newLogbook()
		io.WriteString(b, "before\n")
		p, done, leave := follower(t, b)
		got := <-p.writes
		for i := range 3 {
			synctest.Wait()
			fmt.Fprintf(b, "line %d\n", i)
			got += <-p.writes
		}
		if want := "before\nline 0\nline 1\nline 2\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		leave()
		<-done
	})
}

// A reader that does not read holds nobody up and has no memory of its own; when
// its place is gone, it is sent away rather than told lines with a gap.
func TestLogbookSlowReader(t *testing.T) {
	t.Attr("fault", "abuse | somebody reads the log more slowly than it is written | nothing is kept for them, and their answer ends | they ask again")
	synctest.Test(t, func(t *testing.T) {
		b := newLogbook()
		io.WriteString(b, "first\n")
		p, done, _ := follower(t, b)
		synctest.Wait() // it is about to write the first
		for i := range maxLogLines + 1 {
			fmt.Fprintln(b, i)
		}
		if got := <-p.writes; got != "first\n" {
			t.Errorf("%q", got)
		}
		<-done
	})
}

// Writers and followers at the same time lose and double nothing.
func TestLogbookRace(t *testing.T) {
	b := newLogbook()
	server := httptest.NewServer(b)
	defer server.Close()
	resp, err := server.Client().Get(server.URL + "?follow=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var writers sync.WaitGroup
	const each = 200
	for w := range 4 {
		writers.Go(func() {
			for i := range each {
				fmt.Fprintf(b, "%d %d\n", w, i)
			}
		})
	}
	next := make(map[int]int)
	lines := bufio.NewScanner(resp.Body)
	for range 4 * each {
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		var w, i int
		if _, err := fmt.Sscan(lines.Text(), &w, &i); err != nil || i != next[w] {
			t.Fatalf("%q, %v; want line %d", lines.Text(), err, next[w])
		}
		next[w]++
	}
	writers.Wait()
	if text, _, _, _ := b.from(0); bytes.Count(text, []byte("\n")) != 4*each {
		t.Errorf("%d lines", bytes.Count(text, []byte("\n")))
	}
}
