package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A stranger who comes and goes as fast as that can be done, from all addresses of a
// network, leaves the owner's log as it was, and is counted.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	t.Attr("fault", "abuse | connections that come and go | the owner's log stays, and they are counted | –")
	synctest.Test(t, func(t *testing.T) {
		book := newLogbook()
		v := newVisitors(slog.NewTextHandler(book, nil), slog.NewTextHandler(book.others(visitLine), nil), slog.NewTextHandler(book.others(securityLine), nil))
		log := slog.New(v).With("component", "pusher")
		log.Info("what the owner wants to read")
		const step = 10 * time.Second
		const days = 30
		for i := range int(days * 24 * time.Hour / step) {
			if i%1000 == 0 {
				log.Warn("all places for sessions are taken", "from", "10.99.2.1")
			}
			for _, what := range []string{"viewer came", "viewer left"} {
				log.Info(what, "viewer", fmt.Sprintf("10.99.1.%d:%d", i%220, 1024+i%60000))
			}
			log.Warn("a wrong password", "from", fmt.Sprintf("10.99.1.%d", i%220))
			time.Sleep(step)
		}
		text, _, next, _ := book.from(0)
		if !bytes.Contains(text, []byte("what the owner wants to read")) {
			t.Errorf("the log has lost what was there, after %d lines", next)
		}
		if n := bytes.Count(text, []byte("\n")); next < maxLogLines || n > 1+2*maxOthers {
			t.Errorf("of %d lines it has %d", next, n)
		}
		if n := bytes.Count(text, []byte("all places for sessions are taken")); n == 0 {
			t.Error("who tries passwords has wiped who took all places")
		}
		if n := len(v.all); n != 3*220+1 {
			t.Errorf("%d visits are counted", n)
		}
		for i := range 10_000 {
			log.Warn("a wrong password", "from", fmt.Sprintf("2001:db8::%x", i))
		}
		if n := len(v.all); n != 2*220+1+maxVisits {
			t.Errorf("%d visits are counted, and the memory for them has a bound", n)
		}
	})
}

func TestVisitors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		handler := slog.NewTextHandler(&said, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})
		v := newVisitors(handler, handler, handler)
		log := slog.New(v)
		for range visitBurst + 5 {
			log.Info("viewer came", "viewer", "192.0.2.7:50000")
		}
		log.Info("viewer came", "viewer", "[2001:db8::7]:50000")
		log.Info("another line", "from", "v1.2")
		time.Sleep(visitInterval)
		log.Info("viewer came", "viewer", "192.0.2.7:50001")
		want := strings.Repeat("level=INFO msg=\"viewer came\" viewer=192.0.2.7:50000\n", visitBurst) +
			"level=INFO msg=\"viewer came\" viewer=[2001:db8::7]:50000\n" +
			"level=INFO msg=\"another line\" from=v1.2\n" +
			"level=INFO msg=\"viewer came\" viewer=192.0.2.7:50001 left_out=5\n"
		if diff := cmp.Diff(want, said.String()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
		from, until := onClock(time.Now().Add(-visitInterval)).Format(time.RFC3339), onClock(time.Now()).Format(time.RFC3339)
		lines := []string{
			from + " " + from + " 1× viewer came: 2001:db8::7\n",
			from + " " + until + " 16× viewer came: 192.0.2.7\n",
		}
		if diff := cmp.Diff(lines, v.lines()); diff != "" {
			t.Errorf("visitors (-want +got):\n%s", diff)
		}
	})
}
