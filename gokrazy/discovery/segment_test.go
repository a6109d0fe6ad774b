package discovery

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dnssdPeer() {
		return
	}
	goleak.VerifyTestMain(m)
}

// A segment is a cable between computers that exist only in a test.
type segment struct {
	mu    sync.Mutex
	wires []*fakeWire
	sent  []sentPacket
}

type sentPacket struct {
	from, to netip.AddrPort
	msg      *dns.Msg
}

// A fakeWire is a computer's end of the segment.
type fakeWire struct {
	segment  *segment
	from     netip.AddrPort
	networks []*network
	in       chan packet
}

func (w *fakeWire) packets() <-chan packet { return w.in }

func (w *fakeWire) multicast(n *network, data []byte) error {
	return w.unicast(n, netip.AddrPortFrom(group4, port), data)
}

func (w *fakeWire) unicast(_ *network, to netip.AddrPort, data []byte) error {
	w.segment.deliver(w.from, to, data)
	return nil
}

func (w *fakeWire) close() {
	w.segment.mu.Lock()
	defer w.segment.mu.Unlock()
	w.segment.wires = slices.DeleteFunc(w.segment.wires, func(o *fakeWire) bool { return o == w })
}

// deliver gives a packet to all, the sender too, or to one.
func (s *segment) deliver(from, to netip.AddrPort, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := new(dns.Msg)
	if err := m.Unpack(data); err == nil {
		s.sent = append(s.sent, sentPacket{from, to, m})
	}
	for _, w := range s.wires {
		for _, n := range w.networks {
			if !n.has(from.Addr()) || to.Addr() != group4 && to != w.from {
				continue
			}
			select {
			case w.in <- packet{bytes.Clone(data), from, n}:
			default:
			}
		}
	}
}

func (s *segment) wire(networks []*network) (wire, error) {
	w := &fakeWire{s, netip.AddrPortFrom(networks[0].prefixes[0].Addr(), port), networks, make(chan packet, backlog)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wires = append(s.wires, w)
	return w, nil
}

// since are the packets sent since the last call.
func (s *segment) since() []sentPacket {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := s.sent
	s.sent = nil
	return sent
}

// A computer has networks that a test can change.
type computer struct {
	mu  sync.Mutex
	now []*network
}

func with(prefixes ...string) *computer {
	c := new(computer)
	c.set(prefixes...)
	return c
}

func (c *computer) set(prefixes ...string) {
	n := &network{index: 2, name: "eth0"}
	for _, p := range prefixes {
		n.prefixes = append(n.prefixes, netip.MustParsePrefix(p))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = nil
	if len(prefixes) > 0 {
		c.now = []*network{n}
	}
}

func (c *computer) networks() ([]*network, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, nil
}

// announce runs an Announcer until stop is called, which waits for its end.
func announce(t *testing.T, s *segment, c *computer, a *Announcer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	a.networks, a.open = c.networks, s.wire
	a.Port = max(a.Port, 80)
	var running sync.WaitGroup
	running.Go(func() {
		if err := a.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

func browse(t *testing.T, s *segment, c *computer, d time.Duration) []Found {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	found, err := (&Browser{networks: c.networks, open: s.wire}).Browse(ctx)
	if err != nil {
		t.Fatalf("Browse: %v", err)
	}
	return found
}

// simulate runs test in a bubble with a clock of its own.
func simulate(t *testing.T, test func(*testing.T, *segment)) {
	synctest.Test(t, func(t *testing.T) { test(t, new(segment)) })
}

// settled is more than a name takes to be probed for and announced.
const settled = 6 * time.Second

// wait lets time pass.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func names(found []Found) (all []string) {
	for _, f := range found {
		all = append(all, f.Host)
	}
	return all
}

// lines is a log of a test.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.buf.Bytes(), []byte("\n"))
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
