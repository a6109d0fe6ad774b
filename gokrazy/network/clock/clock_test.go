package clock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/beevik/ntp"
	"go.uber.org/goleak"

	"github.com/pushcam/pushcam/gokrazy/network/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	router  = netip.MustParseAddr("192.168.1.1")
	second  = netip.MustParseAddr("192.168.1.2")
	inPool  = netip.MustParseAddr("198.51.100.1")
	inPool2 = netip.MustParseAddr("198.51.100.2")
	inPool3 = netip.MustParseAddr("198.51.100.3")
	online  = network{route: "eth0 192.168.1.1"}
)

// trueTime is what a clock that is right shows now, in a bubble of synctest, whose own
// clock starts in 2000.
func trueTime() time.Time { return time.Now().AddDate(26, 0, 0) }

// A world is a computer with a wrong clock, and servers.
type world struct {
	t *testing.T

	mu       sync.Mutex
	skew     time.Duration // of the computer's clock from the bubble's
	moves    []string
	moveErr  error
	servers  map[netip.Addr]func() (*ntp.Response, error)
	pool     []netip.Addr
	dnsErr   error
	dnsHangs bool
	lookups  int
	queries  []string // the servers asked, in order
	states   []status.Clock
	log      bytes.Buffer

	networks chan network
}

// start runs a Clock whose computer shows 1970.
func start(t *testing.T) *world {
	w := &world{t: t, servers: make(map[netip.Addr]func() (*ntp.Response, error)), networks: make(chan network)}
	w.skew = time.Until(time.Unix(10, 0))
	c := &Clock{
		Log:       slog.New(slog.NewTextHandler(w, nil)),
		NotBefore: trueTime().AddDate(0, -1, 0),
		lookup:    w.lookup, query: w.query, system: w,
		tell: func(s status.Clock) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.states = append(w.states, s)
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.run(ctx, w.networks) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return w
}

// Write is the log's.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.skew)
}

func (w *world) move(how string, by time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.moveErr != nil {
		return w.moveErr
	}
	w.moves = append(w.moves, how)
	w.skew += by
	return nil
}

func (w *world) step(by time.Duration) error { return w.move("step", by) }
func (w *world) slew(by time.Duration) error { return w.move("slew", by) } // at once, here
func (w *world) synced() error               { return nil }

func (w *world) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	w.mu.Lock()
	w.lookups++
	found, err, hangs := slices.Clone(w.pool), w.dnsErr, w.dnsHangs
	w.mu.Unlock()
	if !strings.HasSuffix(host, ".pool.ntp.org.") {
		w.t.Errorf("asked for %q", host)
	}
	if hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return found, err
}

func (w *world) query(ctx context.Context, server netip.AddrPort) (*ntp.Response, error) {
	w.mu.Lock()
	w.queries = append(w.queries, server.Addr().String())
	answer := w.servers[server.Addr()]
	w.mu.Unlock()
	if answer == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return answer()
}

// tells is the answer of a server whose clock is wrong by off.
func tells(off time.Duration) func() (*ntp.Response, error) {
	return func() (*ntp.Response, error) {
		const rtt = 2 * time.Millisecond // half of it before the answer was made, half after
		now := trueTime().Add(off - rtt/2)
		return &ntp.Response{Time: now, ReferenceTime: now.Add(-time.Minute), Stratum: 2, RTT: rtt}, nil
	}
}

func (w *world) serve(server netip.Addr, answer func() (*ntp.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.servers[server] = answer
}

// change changes the world while the clock runs.
func (w *world) change(what func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	what()
}

// lookedUp is how often a name server was asked since the last call.
func (w *world) lookedUp() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.lookups
	w.lookups = 0
	return n
}

// drift makes the computer's clock wrong, by off from what it shows.
func (w *world) drift(off time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.skew += off
}

// moved are the moves of the clock since the last call.
func (w *world) moved() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	moves := w.moves
	w.moves = nil
	return moves
}

// asked are the servers that were asked since the last call.
func (w *world) asked() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	queries := w.queries
	w.queries = nil
	return queries
}

func (w *world) state() status.Clock {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.states) == 0 {
		return status.Clock{}
	}
	return w.states[len(w.states)-1]
}

// isRight fails the test unless the clock is right to within a tenth of a second.
func (w *world) isRight(when string) {
	w.t.Helper()
	if off := w.now().Sub(trueTime()); off.Abs() > 100*time.Millisecond {
		w.t.Errorf("%s the clock is wrong by %v", when, off)
	}
}

func (w *world) tell(n network) {
	w.networks <- n
	synctest.Wait()
}

func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestFirstTime(t *testing.T) {
	for _, test := range []struct {
		name    string
		network network
		servers map[netip.Addr]func() (*ntp.Response, error)
		asked   []string
		server  string
	}{
		{"from the pool", online, map[netip.Addr]func() (*ntp.Response, error){inPool: tells(0)}, []string{inPool.String()}, inPool.String()},
		{"from the router", network{route: online.route, servers: []netip.Addr{router}},
			map[netip.Addr]func() (*ntp.Response, error){router: tells(0), inPool: tells(time.Hour)}, []string{router.String()}, router.String()},
		{"from the router's second", network{route: online.route, servers: []netip.Addr{router, second}},
			map[netip.Addr]func() (*ntp.Response, error){second: tells(0)}, []string{router.String(), second.String()}, second.String()},
		{"without a way to the Internet", network{servers: []netip.Addr{router}},
			map[netip.Addr]func() (*ntp.Response, error){router: tells(0)}, []string{router.String()}, router.String()},
		{"from the pool, as the router's does not answer", network{route: online.route, servers: []netip.Addr{router}},
			map[netip.Addr]func() (*ntp.Response, error){inPool: tells(0)}, []string{router.String(), inPool.String()}, inPool.String()},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t)
				w.change(func() { w.pool, w.servers = []netip.Addr{inPool}, test.servers })
				wait(time.Hour)
				if asked := w.asked(); asked != nil {
					t.Errorf("asked without a network: %q", asked)
				}
				w.tell(test.network)
				wait(2 * queryTimeout)
				w.isRight("after the first answer")
				if moves := w.moved(); !slices.Equal(moves, []string{"step"}) {
					t.Errorf("the clock was moved: %q", moves)
				}
				if asked := w.asked(); !slices.Equal(asked, test.asked) {
					t.Errorf("asked %q, want %q", asked, test.asked)
				}
				s := w.state()
				if !s.Set || s.Server != test.server || s.Error != "" || time.Since(s.Since) > 2*queryTimeout {
					t.Errorf("the state is %+v", s)
				}
			})
		})
	}
}

func TestNetworkOf(t *testing.T) {
	eth0 := status.Link{Name: "eth0", Carrier: true, Router: netip.MustParseAddr("192.168.1.1")}
	only6 := status.Link{Name: "eth1", Carrier: true, Addresses: []status.Address{{Prefix: netip.MustParsePrefix("2001:db8::7/64"), From: status.IPv6}}}
	alone := status.Link{Name: "usb0", Carrier: true, Addresses: []status.Address{{Prefix: netip.MustParsePrefix("169.254.7.7/16"), From: status.LinkLocal}}}
	withDefault := eth0
	withDefault.Default = true
	for _, test := range []struct {
		name  string
		links []status.Link
		want  string
	}{
		{"none", nil, ""},
		{"no default route", []status.Link{eth0}, ""},
		{"a default route", []status.Link{only6, withDefault}, "eth0 192.168.1.1"},
		{"IPv6 alone", []status.Link{eth0, only6}, "eth1 2001:db8::/64"},
		{"a cable to a laptop", []status.Link{alone}, ""},
	} {
		got := networkOf(status.Status{Links: test.links, NTP: []netip.Addr{router}})
		if want := (network{test.want, []netip.Addr{router}}); !got.equal(want) {
			t.Errorf("%s: %+v, want %+v", test.name, got, want)
		}
	}
}

// Without the Internet the name servers are asked a few times a minute at first, and
// then every ten minutes.
func TestNoInternet(t *testing.T) {
	for _, test := range []struct {
		name   string
		world  func(*world)
		reason string
	}{
		{"name servers say no", func(w *world) { w.dnsErr = errors.New("server misbehaving") }, "the time servers of the Internet are not found: server misbehaving"},
		{"name servers are silent", func(w *world) { w.dnsHangs = true }, "the time servers of the Internet are not found: no name server answers"},
		{"time servers are silent", func(w *world) { w.pool = []netip.Addr{inPool} }, "the time server 198.51.100.1 does not answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t)
				w.change(func() { test.world(w) })
				w.tell(online)
				wait(time.Minute)
				if n := w.lookedUp(); n < 3 || n > 6 {
					t.Errorf("%d questions in the first minute, want 3 to 6", n)
				}
				wait(time.Hour)
				w.lookedUp()
				wait(24 * time.Hour)
				if n := w.lookedUp(); n < 24*6*3/4 || n > 24*6*5/4 {
					t.Errorf("%d questions in a day, want about one in ten minutes", n)
				}
				if s := w.state(); s.Set || s.Error != test.reason {
					t.Errorf("the state is %+v, want the error %q", s, test.reason)
				}
				if n := strings.Count(w.log.String(), "\n"); n != 1 {
					t.Errorf("%d lines in the log, want one:\n%s", n, &w.log)
				}
				if moves := w.moved(); moves != nil {
					t.Errorf("the clock was moved: %q", moves)
				}
			})
		})
	}
}

// Another network is asked at once, however long the pause would have been, and also
// while somebody is asked in vain.
func TestNetworkChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		w.change(func() { w.dnsErr = errors.New("no such host") })
		w.tell(online)
		wait(2 * time.Hour)
		w.serve(router, tells(0))
		at := time.Now()
		w.tell(network{route: "eth1 192.168.1.1", servers: []netip.Addr{router}})
		w.isRight("after the network has changed")
		if d := time.Since(at); d != 0 {
			t.Errorf("that took %v", d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		w.change(func() { w.dnsHangs = true })
		w.tell(online)
		wait(lookupTimeout / 2)
		w.serve(router, tells(0))
		w.tell(network{route: "eth1 192.168.1.1", servers: []netip.Addr{router}})
		w.isRight("after the network has changed while a name server was asked")
	})
}

// A network that comes and goes, or is told again and again, does not make a flood.
func TestNetworkFlaps(t *testing.T) {
	t.Attr("fault", "network | a network that comes and goes | time servers are not flooded | –")
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		w.change(func() { w.dnsErr = errors.New("no such host") })
		for i := range 600 {
			w.tell(network{route: fmt.Sprint("eth", i%2)})
			wait(100 * time.Millisecond)
		}
		if n := w.lookedUp(); n > 31 {
			t.Errorf("%d questions in a minute", n)
		}
		w.serve(inPool, tells(0))
		w.change(func() { w.pool, w.dnsErr = []netip.Addr{inPool}, nil })
		w.tell(online)
		wait(changePause)
		w.asked()
		for range 600 {
			w.tell(online)
			wait(100 * time.Millisecond)
		}
		if asked := w.asked(); len(asked) > 1 {
			t.Errorf("%d questions in a minute without a change", len(asked))
		}
	})
}

// A clock that is a little wrong is never stepped, and one that is right is left alone.
func TestSmallCorrections(t *testing.T) {
	for _, test := range []struct {
		off  time.Duration
		want []string
	}{
		{0, nil},
		{500 * time.Microsecond, nil}, // less than the way to the server may account for
		{20 * time.Millisecond, []string{"slew"}},
		{-20 * time.Millisecond, []string{"slew"}},
		{-499 * time.Millisecond, []string{"slew"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t)
			w.change(func() { w.pool = []netip.Addr{inPool} })
			w.serve(inPool, tells(0))
			w.tell(online)
			w.moved()
			w.drift(test.off)
			wait(minPoll * 5 / 4)
			if moves := w.moved(); !slices.Equal(moves, test.want) {
				t.Errorf("off by %v: %q, want %q", test.off, moves, test.want)
			}
			if s := w.state(); s.Offset != -test.off {
				t.Errorf("off by %v: the state is %+v", test.off, s)
			}
		})
	}
}

// A clock that was set is stepped only if a second server says the same.
func TestSecondOpinion(t *testing.T) {
	begin := func(t *testing.T, servers ...netip.Addr) *world {
		w := start(t)
		w.change(func() { w.pool = []netip.Addr{inPool, inPool2} })
		for _, s := range []netip.Addr{router, second, inPool, inPool2} {
			w.serve(s, tells(0))
		}
		w.tell(network{route: online.route, servers: servers})
		w.isRight("at first")
		w.moved()
		w.asked()
		return w
	}
	t.Run("a liar", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t, router)
			w.serve(router, tells(-time.Hour))
			wait(24 * time.Hour)
			if moves := w.moved(); moves != nil {
				t.Errorf("the clock was moved: %q", moves)
			}
			if asked := w.asked(); !slices.Contains(asked, inPool.String()) {
				t.Errorf("nobody else was asked: %q", asked)
			}
			if s := w.state(); !s.Set || s.Error != "" {
				t.Errorf("the state is %+v", s)
			}
		})
	})
	t.Run("a liar in the pool", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t)
			w.serve(inPool, tells(56*365*24*time.Hour))
			wait(24 * time.Hour)
			if moves := w.moved(); moves != nil {
				t.Errorf("the clock was moved: %q", moves)
			}
		})
	})
	t.Run("the first to tell was the liar", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := start(t)
			w.change(func() { w.pool = []netip.Addr{inPool, inPool2} })
			w.serve(inPool, tells(time.Hour))
			w.serve(inPool2, tells(0))
			w.tell(online)
			w.change(func() { w.pool = []netip.Addr{inPool2, inPool3} })
			w.serve(inPool3, tells(0))
			wait(minPoll*5/4 + secondOpinion)
			w.isRight("after two others were asked")
		})
	})
	t.Run("the clock is really wrong", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t, router, second)
			w.drift(time.Hour)
			wait(minPoll*5/4 + secondOpinion)
			w.isRight("after a second server has agreed")
			if asked := w.asked(); !slices.Equal(asked, []string{router.String(), second.String()}) {
				t.Errorf("asked %q", asked)
			}
			if moves := w.moved(); !slices.Equal(moves, []string{"step"}) {
				t.Errorf("the clock was moved: %q", moves)
			}
		})
	})
	t.Run("there is one server only", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := start(t)
			w.serve(router, tells(0))
			w.tell(network{servers: []netip.Addr{router}})
			w.drift(time.Hour)
			wait(minPoll*5/4 + secondOpinion)
			w.isRight("after the only server has said it twice")
		})
	})
}

// Answers that cannot be the time are not believed, and the next server is asked.
func TestRefused(t *testing.T) {
	with := func(change func(*ntp.Response)) func() (*ntp.Response, error) {
		return func() (*ntp.Response, error) {
			r, err := tells(0)()
			change(r)
			return r, err
		}
	}
	for _, test := range []struct {
		name   string
		answer func() (*ntp.Response, error)
		reason string // a part
		again  bool   // it may be asked again soon
	}{
		{"an error", func() (*ntp.Response, error) { return nil, errors.New("connection refused") }, "does not answer: connection refused", true},
		{"DENY", with(func(r *ntp.Response) { r.Stratum, r.KissCode = 0, "DENY" }), "does not want to be asked (DENY)", false},
		{"RATE", with(func(r *ntp.Response) { r.Stratum, r.KissCode = 0, "RATE" }), "does not want to be asked (RATE)", false},
		{"a router that has just started", with(func(r *ntp.Response) { r.Stratum, r.KissCode = 0, "INIT" }), "does not know the time itself", true},
		{"stratum 16", with(func(r *ntp.Response) { r.Stratum = 16 }), "does not know the time itself", true},
		{"not in sync", with(func(r *ntp.Response) { r.Leap = ntp.LeapNotInSync }), "does not know the time itself", true},
		{"heard of the time long ago", with(func(r *ntp.Response) { r.ReferenceTime = r.ReferenceTime.AddDate(-1, 0, 0) }), "does not know the time itself", true},
		{"hears of it in the future", with(func(r *ntp.Response) { r.ReferenceTime = r.Time.Add(time.Hour) }), "does not know the time itself", true},
		{"far from the time", with(func(r *ntp.Response) { r.RootDispersion = time.Minute }), "does not know the time itself", true},
		{"before the program was made", tells(-365 * 24 * time.Hour), "is wrong: it says 2025-01-01, and this program is of 2025-12-01", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t)
				w.serve(router, test.answer)
				w.tell(network{servers: []netip.Addr{router}})
				if s := w.state(); s.Set || !strings.Contains(s.Error, test.reason) {
					t.Errorf("the state is %+v, want the error %q", s, test.reason)
				}
				w.asked()
				wait(time.Hour)
				if n := len(w.asked()); (n > 0) != test.again {
					t.Errorf("it was asked %d times in the next hour", n)
				}
				w.change(func() { w.pool = []netip.Addr{inPool} })
				w.serve(inPool, tells(0))
				w.tell(network{route: online.route, servers: []netip.Addr{router}})
				wait(changePause) // it may have asked just now
				w.isRight("with another server")
			})
		})
	}
}

// The kissed are forgotten after a day, and before there are too many.
func TestKissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Clock{kissed: make(map[netip.Addr]time.Time)}
		a := router
		for range 10 * maxKissed {
			a = a.Next()
			c.kiss(a)
		}
		if len(c.kissed) > maxKissed {
			t.Errorf("%d are remembered", len(c.kissed))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		w.serve(router, func() (*ntp.Response, error) { return &ntp.Response{KissCode: "RATE"}, nil })
		w.tell(network{servers: []netip.Addr{router}})
		w.serve(router, tells(0))
		wait(kissTime + maxRetry*5/4)
		w.isRight("a day later")
	})
}

// Who asks is spared: at first after a minute, then less often.
func TestPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		w.serve(router, tells(0))
		w.tell(network{servers: []netip.Addr{router}})
		wait(time.Hour)
		w.asked()
		wait(24 * time.Hour)
		if n, want := len(w.asked()), int(24*time.Hour/maxPoll); n < want*3/4 || n > want*5/4 {
			t.Errorf("asked %d times in a day, want about %d", n, want)
		}
	})
}

func TestCannotBeMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		w.change(func() { w.moveErr = errors.New("operation not permitted") })
		w.serve(router, tells(0))
		w.tell(network{servers: []netip.Addr{router}})
		if s := w.state(); s.Set || !strings.Contains(s.Error, "operation not permitted") {
			t.Errorf("the state is %+v", s)
		}
	})
}
