package link

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
)

var (
	ourHW    = hardwareAddr{2, 0, 0, 0, 0, 1}
	routerHW = hardwareAddr{2, 0, 0, 0, 0, 0xfe}
	otherHW  = hardwareAddr{2, 0, 0, 0, 0, 0x77}
)

// A world is a link with a machine at one end and what a test puts at the other, in
// a time of its own.
type world struct {
	t      *testing.T
	now    time.Time
	began  time.Time
	m      *machine
	server *server                     // nil: nobody answers DHCP
	hosts  map[netip.Addr]hardwareAddr // who answer ARP
	queue  []func()                    // packets under way to the machine
	sent   []string                    // what the machine has sent
	deaf   bool                        // nothing that is sent arrives
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Date(1970, 1, 1, 0, 0, 5, 0, time.UTC), hosts: make(map[netip.Addr]hardwareAddr)}
	w.began = w.now
	w.m = &machine{hw: ourHW, hostname: "pushcam", out: w, log: slog.New(slog.DiscardHandler), rand: rand.New(rand.NewPCG(1, 2))}
	return w
}

// said remembers a packet, with the second in which it was sent.
func (w *world) said(what string) {
	w.sent = append(w.sent, fmt.Sprintf("%.1f %s", w.now.Sub(w.began).Seconds(), what))
}

func (w *world) broadcast(m *dhcpv4.DHCPv4) { w.toServer(m, "") }

func (w *world) unicast(m *dhcpv4.DHCPv4, from, to netip.Addr) {
	w.toServer(m, fmt.Sprintf(" from %v to %v", from, to))
}

func (w *world) toServer(m *dhcpv4.DHCPv4, how string) {
	text := m.MessageType().String()
	if a, ok := hostAddr(m.RequestedIPAddress()); ok {
		text += " " + a.String()
	}
	if a, ok := hostAddr(m.ClientIPAddr); ok {
		text += " as " + a.String()
	}
	w.said(text + how)
	if w.server == nil || w.deaf {
		return
	}
	m, err := dhcpv4.FromBytes(m.ToBytes()) // through the wire
	if err != nil {
		w.t.Fatal(err)
	}
	if reply := w.server.answer(m); reply != nil {
		w.queue = append(w.queue, func() { w.m.dhcp(w.now, reply) })
	}
}

func (w *world) arp(p arpPacket) {
	switch {
	case p.senderIP == p.targetIP:
		w.said("announce " + p.targetIP.String())
	default:
		w.said("ask " + p.targetIP.String())
	}
	if hw, ok := w.hosts[p.targetIP]; ok && !w.deaf {
		w.hear(arpPacket{op: arpReply, senderHW: hw, senderIP: p.targetIP, targetHW: ourHW, targetIP: p.senderIP})
	}
}

func (w *world) hear(p arpPacket) {
	w.queue = append(w.queue, func() { w.m.arp(w.now, p) })
}

// settle lets packets arrive and does what is due now.
func (w *world) settle() {
	for steps := 0; ; steps++ {
		if steps > 1000 {
			w.t.Fatalf("the machine does not come to rest; it sent %q", w.sent[max(0, len(w.sent)-20):])
		}
		if len(w.queue) > 0 {
			next := w.queue[0]
			w.queue = w.queue[1:]
			next()
			continue
		}
		if next := w.m.next(); next.IsZero() || next.After(w.now) {
			return
		}
		w.m.step(w.now)
	}
}

// run lets time go by, until which has come.
func (w *world) run(d time.Duration) {
	w.until(d, func() bool { return false })
}

// until is run until something is so, and says whether it came to that.
func (w *world) until(d time.Duration, is func() bool) bool {
	end := w.now.Add(d)
	for {
		w.settle()
		if is() {
			return true
		}
		next := w.m.next()
		if next.IsZero() || next.After(end) {
			w.now = end
			w.settle()
			return is()
		}
		w.now = next
	}
}

func (w *world) carrier(is bool) { w.m.setCarrier(w.now, is) }

func (w *world) has(address string) func() bool {
	return func() bool { return w.m.config().address.String() == address }
}

// wantAddress waits for an address and fails without it.
func (w *world) wantAddress(d time.Duration, address string) {
	w.t.Helper()
	if began := w.now; !w.until(d, w.has(address)) {
		w.t.Fatalf("after %v the address is %v, want %s; sent:\n%s", d, w.m.config().address, address, strings.Join(w.sent, "\n"))
	} else {
		w.t.Logf("%s after %v", address, w.now.Sub(began))
	}
}

// wantNone fails if the link has an address.
func (w *world) wantNone() {
	w.t.Helper()
	if a := w.m.config().address; a.IsValid() {
		w.t.Fatalf("the address is %v, want none", a)
	}
}

func (w *world) count(what string) (n int) {
	for _, s := range w.sent {
		if strings.Contains(s, what) {
			n++
		}
	}
	return n
}

// A server is one of DHCP.
type server struct {
	id, offer     netip.Addr
	bits          int
	lease         time.Duration
	authoritative bool // it refuses what it does not know
	silent        map[dhcpv4.MessageType]bool
	options       []dhcpv4.Option
	declined      []netip.Addr
	heard         []*dhcpv4.DHCPv4
}

func newServer(network string) *server {
	p := netip.MustParsePrefix(network)
	id := p.Addr().Next()
	return &server{id: id, offer: netip.AddrFrom4([4]byte{id.As4()[0], id.As4()[1], id.As4()[2], 100}), bits: p.Bits(), lease: time.Hour,
		authoritative: true, options: []dhcpv4.Option{dhcpv4.OptRouter(id.AsSlice()), dhcpv4.OptDNS(id.AsSlice())}}
}

func (s *server) reply(to *dhcpv4.DHCPv4, kind dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	r := &dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootReply, HWType: to.HWType, TransactionID: to.TransactionID, ClientHWAddr: to.ClientHWAddr, Options: make(dhcpv4.Options)}
	r.UpdateOption(dhcpv4.OptMessageType(kind))
	r.UpdateOption(dhcpv4.OptServerIdentifier(s.id.AsSlice()))
	if kind == dhcpv4.MessageTypeNak {
		return r
	}
	r.YourIPAddr = s.offer.AsSlice()
	r.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(s.bits, 32)))
	r.UpdateOption(dhcpv4.OptIPAddressLeaseTime(s.lease))
	for _, o := range s.options {
		r.UpdateOption(o)
	}
	return r
}

func (s *server) answer(m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	s.heard = append(s.heard, m)
	kind := m.MessageType()
	if s.silent[kind] {
		return nil
	}
	switch kind {
	case dhcpv4.MessageTypeDiscover:
		return s.reply(m, dhcpv4.MessageTypeOffer)
	case dhcpv4.MessageTypeDecline:
		s.declined = append(s.declined, s.offer)
		s.offer = s.offer.Next()
	case dhcpv4.MessageTypeRequest:
		wanted, ok := hostAddr(m.RequestedIPAddress())
		if !ok {
			wanted, _ = hostAddr(m.ClientIPAddr)
		}
		if wanted == s.offer {
			return s.reply(m, dhcpv4.MessageTypeAck)
		}
		if s.authoritative {
			return s.reply(m, dhcpv4.MessageTypeNak)
		}
	}
	return nil
}

// home is a world whose machine has 192.168.77.100 of its router.
func home(t *testing.T) *world {
	w := newWorld(t)
	w.server = newServer("192.168.77.0/24")
	w.hosts[w.server.id] = routerHW
	w.carrier(true)
	w.wantAddress(time.Second, "192.168.77.100/24")
	w.run(5 * time.Second)
	return w
}

// moves unplugs the cable and plugs it in elsewhere, where hosts answer ARP.
func (w *world) moves(to *server, hosts map[netip.Addr]hardwareAddr) {
	w.carrier(false)
	w.run(3 * time.Second)
	w.server, w.hosts, w.sent, w.began = to, hosts, nil, w.now
	w.carrier(true)
}

func TestFirstAddress(t *testing.T) {
	w := newWorld(t)
	w.server = newServer("192.168.77.0/24")
	w.hosts[w.server.id] = routerHW
	w.run(time.Minute)
	if len(w.sent) > 0 || !strings.Contains(w.m.why(), "nothing is plugged in") {
		t.Fatalf("without a carrier: %q, %q", w.sent, w.m.why())
	}
	w.began = w.now
	w.carrier(true)
	w.run(10 * time.Second)
	want := []string{
		"0.0 DISCOVER", "0.0 REQUEST 192.168.77.100", "0.0 ask 192.168.77.100", "0.2 ask 192.168.77.100",
		"0.4 announce 192.168.77.100", "0.4 ask 192.168.77.1", "2.4 announce 192.168.77.100",
	}
	if diff := cmp.Diff(want, w.sent); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	c := w.m.config()
	if !c.carrier || c.own || !c.until.Equal(w.began.Add(time.Hour)) || ways(c.routes) != "[0.0.0.0/0 by 192.168.77.1]" || w.m.why() != "" {
		t.Errorf("it has %+v, %q", c, w.m.why())
	}
	first := w.server.heard[0]
	if first.HostName() != "pushcam" || string(first.Options.Get(dhcpv4.OptionClientIdentifier)) != "\x01"+string(ourHW[:]) {
		t.Errorf("it asks: %v", first.Summary())
	}
}

func TestNoServer(t *testing.T) {
	w := newWorld(t)
	w.carrier(true)
	local := func() bool { return w.m.config().own }
	if !w.until(20*time.Second, local) {
		t.Fatalf("no address of its own after 20 s: %q", w.sent)
	}
	took := w.now.Sub(w.began)
	address := w.m.config().address
	if took < localDelay || address.Bits() != 16 || !address.Addr().IsLinkLocalUnicast() || address.Addr().As4()[2] == 0 || address.Addr().As4()[2] == 255 {
		t.Errorf("it is %v, after %v", address, took)
	}
	if probes := w.count("ask " + address.Addr().String()); probes != probeTries {
		t.Errorf("%d probes, want %d", probes, probeTries)
	}
	if !strings.Contains(w.m.why(), "no router gives an address: the camera has taken "+address.Addr().String()) {
		t.Errorf("it says %q", w.m.why())
	}
	w.run(10 * time.Minute)
	if n := w.count("announce"); n != announceTries {
		t.Errorf("%d announcements, want %d", n, announceTries)
	}
	if n := w.count("DISCOVER"); n < 18 || n > 40 {
		t.Errorf("%d questions in ten minutes", n)
	}
	// The router is there after all.
	w.server = newServer("192.168.77.0/24")
	w.wantAddress(lastPause*11/10+time.Second, "192.168.77.100/24")
	if w.m.local.up {
		t.Error("it still has its own address")
	}
	w.sent = nil
	w.hear(arpPacket{op: arpRequest, senderHW: otherHW, senderIP: address.Addr(), targetIP: address.Addr()})
	w.settle()
	if len(w.sent) > 0 {
		t.Errorf("it defends an address that it has given up: %q", w.sent)
	}
}

// The same hardware address gives the same address, also after the power was off.
func TestLocalAddressStays(t *testing.T) {
	var before netip.Prefix
	for range 2 {
		w := newWorld(t)
		w.carrier(true)
		w.run(30 * time.Second)
		if a := w.m.config().address; before.IsValid() && a != before {
			t.Errorf("%v after %v", a, before)
		} else {
			before = a
		}
	}
}

func TestLocalConflicts(t *testing.T) {
	w := newWorld(t)
	w.carrier(true)
	w.until(20*time.Second, func() bool { return w.m.local.sent > 0 })
	first := w.m.local.address
	w.hosts[first] = otherHW
	w.run(20 * time.Second)
	second := w.m.config().address.Addr()
	if !second.IsLinkLocalUnicast() || second == first {
		t.Fatalf("the address %v is another's, and it has %v", first, second)
	}
	// Another computer probes for the address at the same time.
	other := arpPacket{op: arpRequest, senderHW: otherHW, senderIP: second, targetIP: second}
	w.sent = nil
	w.hear(other)
	w.settle()
	if w.count("announce "+second.String()) != 1 || w.m.config().address.Addr() != second {
		t.Fatalf("it does not defend its address: %q", w.sent)
	}
	w.run(2 * defendInterval)
	w.hear(other)
	w.settle()
	if w.m.config().address.Addr() != second {
		t.Fatal("it does not defend its address a second time, long after")
	}
	w.hear(other)
	w.settle()
	w.wantNone()
	w.run(20 * time.Second)
	if a := w.m.config().address.Addr(); !a.IsLinkLocalUnicast() || a == second || a == first {
		t.Errorf("after losing %v it has %v", second, a)
	}
}

// Somebody who has every address does not make it ask for ever as fast as it can.
func TestLocalConflictsAreLimited(t *testing.T) {
	w := newWorld(t)
	w.carrier(true)
	for range 3000 {
		w.now = w.now.Add(200 * time.Millisecond)
		w.settle()
		w.hear(arpPacket{op: arpReply, senderHW: otherHW, senderIP: w.m.local.address, targetIP: w.m.local.address})
		w.settle()
	}
	if n := w.count("ask 169.254"); n > 30 {
		t.Errorf("%d probes in ten minutes", n)
	}
}

func TestRenewal(t *testing.T) {
	w := home(t)
	w.sent, w.began = nil, w.now
	w.run(time.Hour)
	if n := w.count("REQUEST as 192.168.77.100 from 192.168.77.100 to 192.168.77.1"); n < 2 || w.count("DISCOVER") > 0 {
		t.Errorf("in an hour: %q", w.sent)
	}
	w.wantAddress(0, "192.168.77.100/24")
}

func TestExpiry(t *testing.T) {
	w := home(t)
	until := w.m.config().until
	w.server, w.hosts, w.sent = nil, map[netip.Addr]hardwareAddr{w.server.id: routerHW}, nil
	if !w.until(2*time.Hour, func() bool { return !w.m.config().address.IsValid() }) {
		t.Fatal("it keeps the address for ever")
	}
	if !w.now.Equal(until) {
		t.Errorf("given back at %v, want %v", w.now, until)
	}
	if unicast := w.count(" to 192.168.77.1"); unicast < 2 || w.count("REQUEST as 192.168.77.100")-unicast < 2 {
		t.Errorf("it was not asked of its server, and then of any: %q", w.sent)
	}
	if n := len(w.sent); n > 400 { // the router was asked for every 30 s
		t.Errorf("%d packets in an hour", n)
	}
	w.run(10 * time.Second)
	if !w.m.config().own {
		t.Error("no address of its own in the place of the one given back")
	}
}

func TestRefusedRenewal(t *testing.T) {
	w := home(t)
	w.server.offer = netip.MustParseAddr("192.168.77.200")
	w.until(time.Hour, func() bool { return w.m.config().address.Addr() != netip.MustParseAddr("192.168.77.100") })
	w.wantNone()
	w.wantAddress(time.Second, "192.168.77.200/24")
	if w.m.moves != 0 {
		t.Error("the network is not another one")
	}
}

func TestCableOutAndIn(t *testing.T) {
	w := home(t)
	same := w.server
	w.carrier(false)
	if c := w.m.config(); !w.has("192.168.77.100/24")() || c.carrier || !c.unconfirmed {
		t.Errorf("without a carrier: %+v", c)
	}
	w.run(time.Minute)
	w.moves(same, w.hosts)
	w.run(5 * time.Second)
	want := []string{"0.0 REQUEST 192.168.77.100", "0.0 ask 192.168.77.100", "0.0 ask 192.168.77.1", "0.0 announce 192.168.77.100", "2.0 announce 192.168.77.100"}
	if diff := cmp.Diff(want, w.sent); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if w.wantAddress(0, "192.168.77.100/24"); w.m.moves != 0 || w.m.config().unconfirmed {
		t.Errorf("it is the same network: %d moves, %+v", w.m.moves, w.m.config())
	}
}

func TestCableToAnotherNetwork(t *testing.T) {
	for name, authoritative := range map[string]bool{"whose server refuses the address": true, "whose server says nothing to it": false} {
		t.Run(name, func(t *testing.T) {
			w := home(t)
			to := newServer("192.168.88.0/24")
			to.authoritative = authoritative
			w.moves(to, map[netip.Addr]hardwareAddr{to.id: otherHW})
			w.wantAddress(4*time.Second, "192.168.88.100/24")
			if w.m.moves != 1 {
				t.Errorf("%d moves, want 1", w.m.moves)
			}
			w.run(time.Hour)
			w.wantAddress(0, "192.168.88.100/24")
		})
	}
	t.Run("where another computer has the address", func(t *testing.T) {
		w := home(t)
		to := newServer("192.168.77.0/24")
		to.id, to.offer, to.authoritative = netip.MustParseAddr("192.168.77.254"), netip.MustParseAddr("192.168.77.5"), false
		w.moves(to, map[netip.Addr]hardwareAddr{netip.MustParseAddr("192.168.77.100"): otherHW})
		w.settle()
		w.wantNone()
		w.wantAddress(4*time.Second, "192.168.77.5/24")
	})
	t.Run("without a server", func(t *testing.T) {
		w := home(t)
		w.moves(nil, nil)
		if c := w.m.config(); !c.unconfirmed || !w.has("192.168.77.100/24")() {
			t.Errorf("before anybody could answer: %+v", c)
		}
		w.run(3 * time.Second)
		w.wantNone()
		w.run(12 * time.Second)
		if !w.m.config().own {
			t.Errorf("no address of its own: %q", w.sent)
		}
	})
}

// Its server is starting anew, but the router is the one that it was.
func TestCableOutAndInWithoutServer(t *testing.T) {
	w := home(t)
	w.moves(nil, w.hosts)
	w.run(10 * time.Minute)
	w.wantAddress(0, "192.168.77.100/24")
	w.until(2*time.Hour, func() bool { return !w.has("192.168.77.100/24")() })
	w.wantNone()
}

func TestLeaseEndsWithoutCarrier(t *testing.T) {
	w := home(t)
	w.carrier(false)
	w.run(2 * time.Hour)
	w.wantNone()
	w.moves(newServer("192.168.88.0/24"), nil)
	w.wantAddress(time.Second, "192.168.88.100/24")
	if w.m.moves != 1 {
		t.Errorf("%d moves, want 1", w.m.moves)
	}
}

func TestConflict(t *testing.T) {
	w := newWorld(t)
	w.server = newServer("192.168.77.0/24")
	w.hosts[netip.MustParseAddr("192.168.77.100")] = otherHW
	w.carrier(true)
	w.run(time.Second)
	w.wantNone()
	if w.count("DECLINE 192.168.77.100") != 1 || !strings.Contains(w.m.why(), "another device (02:00:00:00:00:77) has 192.168.77.100") {
		t.Errorf("%q, %q", w.sent, w.m.why())
	}
	w.wantAddress(declinePause+time.Second, "192.168.77.101/24")
}

// The device that has the address answers when the address was taken.
func TestConflictAnsweredLate(t *testing.T) {
	w := newWorld(t)
	w.server = newServer("192.168.77.0/24")
	w.carrier(true)
	w.wantAddress(time.Second, "192.168.77.100/24")
	w.run(time.Second)
	w.hear(arpPacket{op: arpReply, senderHW: otherHW, senderIP: netip.MustParseAddr("192.168.77.100"), targetHW: ourHW, targetIP: unspecified})
	w.settle()
	w.wantNone()
	if w.count("DECLINE 192.168.77.100") != 1 {
		t.Errorf("the server was not told: %q", w.sent)
	}
	w.wantAddress(declinePause+time.Second, "192.168.77.101/24")
}

// A device comes that has been given the same address by hand.
func TestConflictLater(t *testing.T) {
	w := home(t)
	claim := arpPacket{op: arpRequest, senderHW: otherHW, senderIP: netip.MustParseAddr("192.168.77.100"), targetIP: netip.MustParseAddr("192.168.77.1")}
	w.sent = nil
	w.hear(claim)
	w.settle()
	if w.count("announce 192.168.77.100") != 1 {
		t.Errorf("it does not defend its address: %q", w.sent)
	}
	w.run(time.Second)
	w.hear(claim)
	w.settle()
	w.wantNone()
	w.wantAddress(declinePause+time.Second, "192.168.77.101/24")
	if diff := cmp.Diff([]netip.Addr{netip.MustParseAddr("192.168.77.100")}, w.server.declined, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("declined (-want +got):\n%s", diff)
	}
}

// The router was exchanged behind a switch: no carrier tells it.
func TestAnotherRouterBehindASwitch(t *testing.T) {
	t.Run("of another network", func(t *testing.T) {
		w := home(t)
		w.server = newServer("192.168.88.0/24")
		w.hosts = map[netip.Addr]hardwareAddr{w.server.id: routerHW}
		w.wantAddress(time.Minute, "192.168.88.100/24")
	})
	t.Run("of another network, which says nothing to the old address", func(t *testing.T) {
		w := home(t)
		w.server = newServer("192.168.88.0/24")
		w.server.authoritative = false
		w.hosts = map[netip.Addr]hardwareAddr{w.server.id: routerHW}
		w.wantAddress(time.Minute, "192.168.88.100/24")
	})
	t.Run("with the old one's address", func(t *testing.T) {
		w := home(t)
		w.server.offer = netip.MustParseAddr("192.168.77.7")
		w.hosts[w.server.id] = otherHW
		w.wantAddress(time.Minute, "192.168.77.7/24")
	})
	t.Run("which is starting", func(t *testing.T) {
		w := home(t)
		server, hosts := w.server, w.hosts
		w.server, w.hosts, w.sent = nil, nil, nil
		w.run(5 * time.Minute)
		w.wantAddress(0, "192.168.77.100/24") // computers at the same switch go on
		w.server, w.hosts = server, hosts
		w.run(time.Minute)
		w.wantAddress(0, "192.168.77.100/24")
		if w.m.client.phase != bound || w.m.local.wake != (time.Time{}) {
			t.Errorf("phase %d", w.m.client.phase)
		}
	})
	t.Run("which never answers ARP", func(t *testing.T) {
		w := home(t)
		w.hosts, w.sent = nil, nil
		w.run(24 * time.Hour)
		w.wantAddress(0, "192.168.77.100/24")
		if n := len(w.sent); n > 2500 {
			t.Errorf("%d packets in a day", n)
		}
	})
}

// Of two routers the second serves while the first is silent.
func TestTwoRouters(t *testing.T) {
	first, second, third := netip.MustParseAddr("192.168.77.1"), netip.MustParseAddr("192.168.77.2"), netip.MustParseAddr("192.168.77.3")
	w := newWorld(t)
	w.server = newServer("192.168.77.0/24")
	w.server.options = []dhcpv4.Option{dhcpv4.OptRouter(first.AsSlice(), second.AsSlice(), third.AsSlice())}
	w.hosts = map[netip.Addr]hardwareAddr{second: otherHW, third: {2, 0, 0, 0, 0, 0x33}}
	by := func(router netip.Addr) func() bool {
		return func() bool { return ways(w.m.config().routes) == fmt.Sprintf("[0.0.0.0/0 by %v]", router) }
	}
	want := func(within time.Duration, router netip.Addr, what string) {
		t.Helper()
		if began := w.now; !w.until(within, by(router)) {
			t.Fatalf("%s: after %v the way is %s, want it by %v; sent %q", what, within, ways(w.m.config().routes), router, w.sent)
		} else {
			t.Logf("%s: by %v after %v", what, router, w.now.Sub(began))
		}
	}
	w.carrier(true)
	want(5*time.Second, second, "the first is silent from the beginning")
	w.sent = nil
	if w.until(time.Hour, func() bool { return !by(second)() }) || w.count("REQUEST 192") > 0 {
		t.Errorf("the second does not go on to serve, or the servers are asked for its sake: %q", w.sent)
	}
	w.hosts[first] = routerHW
	want(time.Minute, first, "the first is there")
	w.sent = nil
	w.run(5 * time.Minute)
	if n := w.count("ask 192.168.77.2"); n > 0 {
		t.Errorf("the second is asked for %d times while the first serves", n)
	}
	delete(w.hosts, first)
	want(time.Minute, second, "the first falls silent")
	delete(w.hosts, second)
	want(time.Minute, third, "the second falls silent")
	delete(w.hosts, third)
	w.sent = nil
	w.run(10 * time.Minute)
	if n := w.count("REQUEST 192"); !by(third)() || n == 0 {
		t.Errorf("nobody answers: the servers are asked %d times, and the way is %s", n, ways(w.m.config().routes))
	}
}

// A link is silent where neither the router nor a server answers, which for a radio
// means that it may have to be started anew.
func TestSilent(t *testing.T) {
	w := home(t)
	if w.until(10*time.Minute, w.m.silent) {
		t.Error("a link whose router answers is silent")
	}
	server, hosts := w.server, w.hosts
	w.hosts = nil // many a router never answers ARP
	if w.until(10*time.Minute, w.m.silent) {
		t.Error("a link whose server answers is silent")
	}
	w.hosts = hosts
	w.run(15 * time.Minute) // until it is known again that the router answers
	w.server, w.hosts = nil, nil
	if !w.until(time.Minute, w.m.silent) {
		t.Error("a link where nobody answers any more is not silent after a minute")
	}
	w.carrier(false)
	if w.m.silent() {
		t.Error("a link without a carrier is silent")
	}
	w.carrier(true)
	if w.m.silent() || !w.until(20*time.Second, w.m.silent) {
		t.Error("after the carrier was away it is not tried, or not for the right time")
	}
	w.server, w.hosts = server, hosts
	if !w.until(time.Minute, func() bool { return !w.m.silent() }) {
		t.Error("the link is silent although its server answers again")
	}
}

// ways are routes as a text.
func ways(routes []route) string {
	var all []string
	for _, r := range routes {
		if all = append(all, r.to.String()); r.via.IsValid() {
			all[len(all)-1] += " by " + r.via.String()
		}
	}
	return fmt.Sprint(all)
}

func TestLease(t *testing.T) {
	ip := func(s string) net.IP { return net.ParseIP(s).To4() }
	for _, c := range []struct {
		name    string
		address string
		options []dhcpv4.Option
		want    string // address, routes, DNS, domain; or a part of the error
	}{
		{"two routers", "10.0.0.5", []dhcpv4.Option{dhcpv4.OptRouter(ip("10.0.0.1"), ip("10.0.0.2"))}, "10.0.0.5/24 [0.0.0.0/0 by 10.0.0.1] []  "},
		{"the first router is elsewhere", "10.0.0.5", []dhcpv4.Option{dhcpv4.OptRouter(ip("10.9.0.1"), ip("10.0.0.2"))}, "10.0.0.5/24 [0.0.0.0/0 by 10.0.0.2] []  "},
		{"the only router is elsewhere", "10.0.0.5", []dhcpv4.Option{dhcpv4.OptRouter(ip("10.9.0.1"))}, "10.0.0.5/24 [0.0.0.0/0 by 10.9.0.1] []  "},
		{"no router", "10.0.0.5", nil, "10.0.0.5/24 [] []  "},
		{"itself as router", "10.0.0.5", []dhcpv4.Option{dhcpv4.OptRouter(ip("10.0.0.5"))}, "10.0.0.5/24 [] []  "},
		{"routers that are none", "10.0.0.5", []dhcpv4.Option{dhcpv4.OptRouter(ip("0.0.0.0"), ip("255.255.255.255"), ip("224.0.0.1"), ip("127.0.0.1"))}, "10.0.0.5/24 [] []  "},
		{"half a router", "10.0.0.5", []dhcpv4.Option{dhcpv4.OptGeneric(dhcpv4.OptionRouter, []byte{10, 0, 0, 1, 10, 0})}, "10.0.0.5/24 [] []  "},
		{"option 121 instead of a router", "10.0.0.5", []dhcpv4.Option{dhcpv4.OptRouter(ip("10.0.0.1")), dhcpv4.OptGeneric(dhcpv4.OptionClasslessStaticRoute,
			[]byte{0, 10, 0, 0, 9, 8, 172, 10, 0, 0, 8, 24, 192, 168, 9, 0, 0, 0, 0})},
			"10.0.0.5/24 [0.0.0.0/0 by 10.0.0.9 172.0.0.0/8 by 10.0.0.8 192.168.9.0/24] []  "},
		{"half an option 121", "10.0.0.5", []dhcpv4.Option{dhcpv4.OptRouter(ip("10.0.0.1")), dhcpv4.OptGeneric(dhcpv4.OptionClasslessStaticRoute, []byte{24, 10})}, "10.0.0.5/24 [0.0.0.0/0 by 10.0.0.1] []  "},
		{"servers", "10.0.0.5", []dhcpv4.Option{dhcpv4.OptDNS(ip("10.0.0.1"), ip("10.0.0.1"), ip("8.8.8.8")), dhcpv4.OptNTPServers(ip("10.0.0.3")), dhcpv4.OptDomainName("Fritz.Box\x00")}, "10.0.0.5/24 [] [10.0.0.1 8.8.8.8] [10.0.0.3] fritz.box"},
		{"no mask", "172.16.0.5", []dhcpv4.Option{dhcpv4.OptGeneric(dhcpv4.OptionSubnetMask, []byte{255})}, "172.16.0.5/16 [] []  "},
		{"a mask with holes", "192.168.0.5", []dhcpv4.Option{dhcpv4.OptSubnetMask(net.IPMask{255, 0, 255, 0})}, "192.168.0.5/24 [] []  "},
		{"an address for one", "10.0.0.5", []dhcpv4.Option{dhcpv4.OptSubnetMask(net.IPMask{255, 255, 255, 255}), dhcpv4.OptRouter(ip("10.0.0.1"))}, "10.0.0.5/32 [0.0.0.0/0 by 10.0.0.1] []  "},
		{"no address", "0.0.0.0", nil, "no usable address"},
		{"a loopback address", "127.0.0.5", nil, "no usable address"},
		{"a multicast address", "224.0.0.251", nil, "no usable address"},
		{"the broadcast address", "255.255.255.255", nil, "no usable address"},
		{"a link-local address", "169.254.3.4", nil, "no usable address"},
		{"a second", "10.0.0.5", []dhcpv4.Option{dhcpv4.OptIPAddressLeaseTime(time.Second)}, "lease of 1s is too short"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer("10.0.0.0/24")
			s.offer, s.options = netip.MustParseAddr(c.address), c.options
			m, err := dhcpv4.FromBytes(s.reply(&dhcpv4.DHCPv4{ClientHWAddr: ourHW[:]}, dhcpv4.MessageTypeAck).ToBytes())
			if err != nil {
				t.Fatal(err)
			}
			l, err := leaseOf(m, time.Now())
			if err != nil {
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
				return
			}
			ntp := ""
			if len(l.ntp) > 0 {
				ntp = fmt.Sprint(l.ntp)
			}
			if got := fmt.Sprint(l.address, " ", ways((&machine{client: client{lease: l}}).config().routes), " ", l.dns) + " " + ntp + " " + l.domain; got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestLeaseTimes(t *testing.T) {
	now := time.Now()
	for _, c := range []struct{ length, t1, t2, wantT1, wantT2, wantUntil time.Duration }{
		{80 * time.Second, 0, 0, 40 * time.Second, 70 * time.Second, 80 * time.Second},
		{80 * time.Second, 10 * time.Second, 20 * time.Second, 10 * time.Second, 20 * time.Second, 80 * time.Second},
		{80 * time.Second, 90 * time.Second, 95 * time.Second, 40 * time.Second, 70 * time.Second, 80 * time.Second},
		{80 * time.Second, 30 * time.Second, 20 * time.Second, 40 * time.Second, 70 * time.Second, 80 * time.Second},
		{0xffffffff * time.Second, 0, 0, maxRenewal, 0xffffffff * time.Second / 8 * 7, 0},
	} {
		s := newServer("10.0.0.0/24")
		s.lease = c.length
		if c.t1 > 0 {
			s.options = append(s.options, dhcpv4.OptRenewTimeValue(c.t1), dhcpv4.OptRebindingTimeValue(c.t2))
		}
		l, err := leaseOf(s.reply(&dhcpv4.DHCPv4{ClientHWAddr: ourHW[:]}, dhcpv4.MessageTypeAck), now)
		if err != nil {
			t.Fatal(err)
		}
		until := time.Duration(0)
		if !l.until.IsZero() {
			until = l.until.Sub(now)
		}
		if l.t1.Sub(now) != c.wantT1 || l.t2.Sub(now) != c.wantT2 || until != c.wantUntil {
			t.Errorf("%+v: T1 %v, T2 %v, until %v", c, l.t1.Sub(now), l.t2.Sub(now), until)
		}
	}
}

func TestServersThatAreNoHelp(t *testing.T) {
	t.Run("offers and never gives", func(t *testing.T) {
		w := newWorld(t)
		w.server = newServer("192.168.77.0/24")
		w.server.silent = map[dhcpv4.MessageType]bool{dhcpv4.MessageTypeRequest: true}
		w.carrier(true)
		w.run(10 * time.Minute)
		if !w.m.config().own || !strings.Contains(w.m.why(), "offered an address and then not given it") {
			t.Errorf("%v, %q", w.m.config().address, w.m.why())
		}
		if n := len(w.sent); n > 500 {
			t.Errorf("%d packets in ten minutes", n)
		}
	})
	t.Run("offers and refuses", func(t *testing.T) {
		w := newWorld(t)
		w.server = newServer("192.168.77.0/24")
		w.server.silent = map[dhcpv4.MessageType]bool{}
		w.carrier(true)
		w.settle()
		refuse := &refusing{w}
		w.m.out = refuse
		w.m.setCarrier(w.now, false)
		w.m.client.lease = nil
		w.m.setCarrier(w.now, true)
		w.run(10 * time.Minute)
		if !w.m.config().own || !strings.Contains(w.m.why(), "refuses the address that it has offered") {
			t.Errorf("%v, %q", w.m.config().address, w.m.why())
		}
		if n := w.count("REQUEST"); n < 10 || n > 60 {
			t.Errorf("%d requests in ten minutes", n)
		}
	})
	t.Run("offers nothing usable", func(t *testing.T) {
		w := newWorld(t)
		w.server = newServer("192.168.77.0/24")
		w.server.offer = netip.MustParseAddr("127.0.0.1")
		w.carrier(true)
		w.run(time.Minute)
		if !w.m.config().own || !strings.Contains(w.m.why(), "cannot be used") {
			t.Errorf("%v, %q", w.m.config().address, w.m.why())
		}
	})
}

// refusing is a network whose server offers an address and refuses it then.
type refusing struct{ *world }

func (r *refusing) broadcast(m *dhcpv4.DHCPv4) {
	r.said(m.MessageType().String())
	kind := dhcpv4.MessageTypeOffer
	if m.MessageType() == dhcpv4.MessageTypeRequest {
		kind = dhcpv4.MessageTypeNak
	}
	reply := r.server.reply(m, kind)
	r.queue = append(r.queue, func() { r.m.dhcp(r.now, reply) })
}

// A packet of somebody who has not seen the question does nothing.
func TestForeignMessages(t *testing.T) {
	w := home(t)
	for name, change := range map[string]func(*dhcpv4.DHCPv4){
		"another exchange":       func(m *dhcpv4.DHCPv4) { m.TransactionID[0]++ },
		"another computer's":     func(m *dhcpv4.DHCPv4) { m.ClientHWAddr = otherHW[:] },
		"a question":             func(m *dhcpv4.DHCPv4) { m.OpCode = dhcpv4.OpcodeBootRequest },
		"no hardware address":    func(m *dhcpv4.DHCPv4) { m.ClientHWAddr = nil },
		"an offer at this point": func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeOffer)) },
	} {
		nak := w.server.reply(&dhcpv4.DHCPv4{TransactionID: w.m.client.xid, ClientHWAddr: ourHW[:]}, dhcpv4.MessageTypeNak)
		change(nak)
		w.m.dhcp(w.now, nak)
		if !w.has("192.168.77.100/24")() {
			t.Fatalf("%s takes the address away", name)
		}
	}
}

// A program that ends leaves the address on the link, and the next one goes on with
// it.
func TestAdopt(t *testing.T) {
	address := netip.MustParsePrefix("192.168.77.100/24")
	start := func() *world {
		w := newWorld(t)
		w.m.adopt(address, w.now.Add(time.Minute))
		w.carrier(true)
		w.settle()
		return w
	}
	w := newWorld(t)
	w.server = newServer("192.168.77.0/24")
	w.m.adopt(address, w.now.Add(time.Minute))
	w.carrier(true)
	w.settle()
	w.wantAddress(0, "192.168.77.100/24")
	if w.count("DISCOVER") > 0 || len(w.m.config().routes) != 1 {
		t.Errorf("with its server: %+v, %q", w.m.config(), w.sent)
	}
	w = start()
	w.wantAddress(0, "192.168.77.100/24")
	w.run(time.Minute)
	if w.has("192.168.77.100/24")() {
		t.Error("it is kept although nobody has renewed it")
	}
	w = newWorld(t)
	w.m.adopt(netip.MustParsePrefix("169.254.7.7/16"), time.Time{})
	w.carrier(true)
	w.run(20 * time.Second)
	w.wantAddress(0, "169.254.7.7/16")
}

func TestDomain(t *testing.T) {
	for text, want := range map[string]string{
		"fritz.box": "fritz.box", "Home.LAN.": "home.lan", "a b": "a", "lan\x00": "lan", "": "", "\x00": "",
		"a\nnameserver 6.6.6.6": "", "-a": "", "a..b": "", "ü.de": "", "_tcp.a-b": "_tcp.a-b",
		strings.Repeat("a", 64): "", strings.Repeat("a.", 127) + "a": "",
	} {
		if got := domainOf(text); len(text) < 250 && got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestResolvConf(t *testing.T) {
	servers := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("9.9.9.9")}
	want := "# generated by pushcam's network program\nsearch lan\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver 8.8.8.8\n"
	if diff := cmp.Diff(want, resolvConf(servers, "lan")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := resolvConf(nil, ""); strings.Count(got, "\n") != 1 {
		t.Errorf("of nothing: %q", got)
	}
}

func TestARP(t *testing.T) {
	p := arpPacket{arpReply, otherHW, ourHW, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}
	b := p.marshal()
	want := []byte{0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 0x77, 10, 0, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 2}
	if !slices.Equal(b, want) {
		t.Errorf("% x, want % x", b, want)
	}
	if got, err := parseARP(append(b, make([]byte, 18)...)); err != nil || got != p {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range [][]byte{nil, b[:27], append([]byte{0, 6}, b[2:]...), append(slices.Clone(b[:7]), append([]byte{9}, b[8:]...)...)} {
		if got, err := parseARP(bad); err == nil {
			t.Errorf("% x is %v", bad, got)
		}
	}
}
