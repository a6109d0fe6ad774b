package api

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// reader is somebody who listens, by a pipe that holds nothing: what is not read blocks.
type reader struct {
	*bufio.Reader
	in   *io.PipeReader
	head http.Header
	code int
	out  *io.PipeWriter
}

func (r *reader) Header() http.Header         { return r.head }
func (r *reader) WriteHeader(code int)        { r.code = code }
func (r *reader) Write(p []byte) (int, error) { return r.out.Write(p) }
func (r *reader) Flush()                      {}

// listen begins to listen until the test ends, or ended is called.
func listen(t *testing.T, e *Events, query string) (r *reader, ended <-chan struct{}) {
	t.Helper()
	in, out := io.Pipe()
	r = &reader{Reader: bufio.NewReaderSize(in, 16), in: in, head: make(http.Header), out: out}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.ServeHTTP(r, httptest.NewRequestWithContext(ctx, "GET", "/api/events"+query, nil))
		out.Close()
	}()
	t.Cleanup(func() { cancel(); in.Close(); <-done })
	return r, done
}

// next is the next event, as "name data".
func (r *reader) next(t *testing.T) string {
	t.Helper()
	name := ""
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "end"
		}
		if rest, ok := strings.CutPrefix(line, "event: "); ok {
			name = strings.TrimSpace(rest)
		}
		if rest, ok := strings.CutPrefix(line, "data: "); ok {
			r.ReadString('\n')
			return name + " " + strings.TrimSpace(rest)
		}
	}
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var phase atomic.Value
		phase.Store("idle")
		e := &Events{State: phase.Load, Viewers: func() any { return []int{1} }, Version: func() string { return "6" }}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go e.Run(ctx)
		all, _ := listen(t, e, "?viewers=1&log=1")
		few, _ := listen(t, e, "")
		expect := func(r *reader, want ...string) {
			t.Helper()
			for _, w := range want {
				if got := r.next(t); got != w {
					t.Errorf("%q, want %q", got, w)
				}
			}
		}
		expect(all, `state "idle"`, "viewers [1]", `settings {"version":"6"}`, "controls {}")
		expect(few, `state "idle"`, `settings {"version":"6"}`, "controls {}")
		synctest.Wait()
		e.Log([]byte("a line\n"))
		e.Button(true)
		expect(all, `log {"line":"a line"}`, `button {"pressed":true}`)
		expect(few, `button {"pressed":true}`)
		e.Settings("7")
		expect(few, `settings {"version":"7"}`)
		expect(all, `settings {"version":"7"}`)
		// The first look of Run tells what they know already, the next ones only what is new.
		time.Sleep(1500 * time.Millisecond)
		expect(few, `state "idle"`)
		phase.Store("live")
		expect(few, `state "live"`)
		expect(few, "beat {}")
		if a := few.head.Get("Content-Type"); a != "text/event-stream" {
			t.Errorf("Content-Type is %q", a)
		}
	})
}

// Of what somebody has not read, the newest is held of what says how something is, and
// queueLength of the rest. Who misses one of those is cut off, and nobody waits.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &Events{State: func() any { return "idle" }, Version: func() string { return "0" }}
		slow, ended := listen(t, e, "?log=1")
		for range 3 { // what is told at once
			slow.next(t)
		}
		synctest.Wait()
		e.Settings("1")
		synctest.Wait() // it hangs in writing that
		for i := range 10 * queueLength {
			e.Settings(strings.Repeat("x", i))
			e.Controls()
		}
		for range queueLength {
			e.Log([]byte(strings.Repeat("l", 2*maxLine)))
		}
		if slow.next(t) != `settings {"version":"1"}` || slow.next(t) != `settings {"version":"`+strings.Repeat("x", 10*queueLength-1)+`"}` || slow.next(t) != "controls {}" {
			t.Error("not the newest is held")
		}
		for range queueLength {
			if got := slow.next(t); len(got) > maxLine+100 {
				t.Fatalf("a line has %d bytes", len(got))
			}
		}
		synctest.Wait()
		e.Button(true)
		synctest.Wait()
		for range queueLength + 1 {
			e.Log([]byte("line"))
		}
		for slow.next(t) != "end" {
		}
		<-ended
	})
}

// One more than may listen takes the place of the oldest, which may be a telephone that is
// gone.
func TestTooManyListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &Events{State: func() any { return "idle" }, Version: func() string { return "0" }}
		begin := func() (*reader, <-chan struct{}) {
			time.Sleep(time.Millisecond)
			r, ended := listen(t, e, "")
			for range 3 { // what is told at once
				r.next(t)
			}
			return r, ended
		}
		oldest, ended := begin()
		second, _ := begin()
		for range maxListeners - 1 {
			begin()
		}
		if got := oldest.next(t); got != "end" {
			t.Errorf("the oldest hears %q", got)
		}
		<-ended
		e.Button(true)
		if got := second.next(t); got != `button {"pressed":true}` {
			t.Errorf("the next one hears %q", got)
		}
	})
}
