package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// visitors counts what others on the network do, by address: who watches, who tries
// passwords, who is refused. They could fill the log with it, so only some of it goes
// there, and says how much was left out. All is in the answer to /api/visitors.
//
// It is a slog.Handler for those lines that have an attribute of visitorKeys, which is an
// address. The others go on to the next one.
type visitors struct {
	next slog.Handler
	// come and try get the lines of visitorKeys: try those about what was refused, which are
	// warnings, and come the others.
	come, try slog.Handler
	*visits
}

// visits is what all handlers of one log share.
type visits struct {
	mu  sync.Mutex
	all map[visit]*visitCount
	// written are lines in the log, by their message.
	written map[string]*allowance
}

// visit is what one address has done.
type visit struct {
	what string
	from netip.Addr
}

type visitCount struct {
	times       int
	first, last time.Time
	written     allowance
	left        int // out of the log since the last line
}

// visitorKeys are the attributes that name an address.
var visitorKeys = []string{"viewer", "from"}

const (
	// maxVisits bounds the addresses that are counted for each message.
	maxVisits = 256
	// The log gets so many lines at once of one message of one address, and of all; and
	// another one each visitInterval.
	visitBurst    = 10
	visitsBurst   = 60
	visitInterval = 15 * time.Minute
)

// allowance is a leaky bucket.
type allowance struct{ empty time.Time }

// take tells whether there is one left of burst.
func (a *allowance) take(now time.Time, burst int) bool {
	if a.empty.Sub(now) > time.Duration(burst-1)*visitInterval {
		return false
	}
	if a.empty.Before(now) {
		a.empty = now
	}
	a.empty = a.empty.Add(visitInterval)
	return true
}

func newVisitors(next, come, try slog.Handler) *visitors {
	return &visitors{next, come, try, &visits{all: make(map[visit]*visitCount), written: make(map[string]*allowance)}}
}

func (v *visitors) Enabled(ctx context.Context, l slog.Level) bool { return v.next.Enabled(ctx, l) }

func (v *visitors) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &visitors{v.next.WithAttrs(attrs), v.come.WithAttrs(attrs), v.try.WithAttrs(attrs), v.visits}
}

func (v *visitors) WithGroup(name string) slog.Handler {
	return &visitors{v.next.WithGroup(name), v.come.WithGroup(name), v.try.WithGroup(name), v.visits}
}

func (v *visitors) Handle(ctx context.Context, r slog.Record) error {
	var from netip.Addr
	r.Attrs(func(a slog.Attr) bool {
		if slices.Contains(visitorKeys, a.Key) {
			from = addressOf(a.Value.String())
		}
		return !from.IsValid()
	})
	if !from.IsValid() {
		return v.next.Handle(ctx, r)
	}
	write, left := v.count(visit{r.Message, from}, time.Now())
	if !write {
		return nil
	}
	if left > 0 {
		r.AddAttrs(slog.Int("left_out", left))
	}
	if r.Level >= slog.LevelWarn {
		return v.try.Handle(ctx, r)
	}
	return v.come.Handle(ctx, r)
}

// addressOf is the address in text that may have a port; the zero one if there is none.
func addressOf(text string) netip.Addr {
	if a, err := netip.ParseAddrPort(text); err == nil {
		return a.Addr().Unmap()
	}
	a, _ := netip.ParseAddr(text)
	return a.Unmap()
}

// count counts a visit, and tells whether it is written, and how many before it were not.
func (v *visits) count(key visit, now time.Time) (write bool, left int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.all[key]
	if c == nil {
		v.makeRoom(key.what)
		c = &visitCount{first: now}
		v.all[key] = c
	}
	c.times++
	c.last = now
	if v.written[key.what] == nil {
		v.written[key.what] = new(allowance)
	}
	if !c.written.take(now, visitBurst) || !v.written[key.what].take(now, visitsBurst) {
		c.left++
		return false, 0
	}
	left, c.left = c.left, 0
	return true, left
}

// makeRoom forgets who has not done something for the longest time, if there are too
// many. v.mu is held.
func (v *visits) makeRoom(what string) {
	var oldest visit
	n := 0
	for key, c := range v.all {
		if key.what != what {
			continue
		}
		if n++; n == 1 || c.last.Before(v.all[oldest].last) {
			oldest = key
		}
	}
	if n >= maxVisits {
		delete(v.all, oldest)
	}
}

// ServeHTTP answers with a line for each address and message: from when to when, how
// often, what, and from where, the latest last.
func (v *visits) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "The visitors take GET, HEAD, not "+r.Method, http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, line := range v.lines() {
		io.WriteString(w, line) // a client that is gone has nobody to tell
	}
}

func (v *visits) lines() (lines []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var keys []visit
	for key := range v.all {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b visit) int {
		return cmp.Or(v.all[a].last.Compare(v.all[b].last), cmp.Compare(a.what, b.what), a.from.Compare(b.from))
	})
	for _, key := range keys {
		c := v.all[key]
		lines = append(lines, fmt.Sprintf("%s %s %d× %s: %s\n", onClock(c.first).Format(time.RFC3339), onClock(c.last).Format(time.RFC3339), c.times, key.what, key.from))
	}
	return lines
}
