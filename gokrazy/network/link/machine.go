package link

import (
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// A wire is the link that a machine sends to. Packets may be lost there; that the
// sending failed is not said.
type wire interface {
	// broadcast sends a message to every DHCP server, from no address.
	broadcast(*dhcpv4.DHCPv4)
	// unicast sends a message to one DHCP server, from this computer's address.
	unicast(m *dhcpv4.DHCPv4, from, to netip.Addr)
	arp(arpPacket)
}

// A machine decides for one link. Its methods are called by one goroutine; each
// takes the time that it is, which never goes back. What it wants the link to have
// is in config after each of them.
type machine struct {
	hw       hardwareAddr
	hostname string
	out      wire
	log      *slog.Logger
	rand     *rand.Rand

	carrier bool
	// moves counts the times that the link has, or may have, come to another network.
	moves int

	client client
	router routerWatch
	local  linkLocal
	// announcement is due for the address of the lease, which was announced before.
	announcement time.Time
	defended     time.Time // when the lease's address was last defended
}

// A config is what a machine wants its link to have.
type config struct {
	address netip.Prefix // not valid: none
	own     bool         // it is link-local, given by nobody
	lease   *lease       // that the address is of; nil if it is own or missing
	until   time.Time    // when the kernel is to take the address away; zero: never
	// unconfirmed: the lease is from before the carrier was away, and nobody has said since
	// whether this is the same network.
	unconfirmed bool
	// routes besides that to the link's own network. Without a carrier there are none.
	carrier bool
	routes  []route
}

// config is what the link shall have now.
func (m *machine) config() config {
	switch l := m.client.lease; {
	case l != nil:
		return config{address: l.address, lease: l, until: l.until, unconfirmed: m.client.moved, carrier: m.carrier, routes: l.way(m.gateway())}
	case m.local.up:
		return config{address: netip.PrefixFrom(m.local.address, 16), own: true, carrier: m.carrier}
	}
	return config{carrier: m.carrier}
}

// why is a sentence on a link that has no address of a router.
func (m *machine) why() string {
	switch {
	case m.client.lease != nil:
		return ""
	case !m.carrier:
		return "nothing is plugged in, or what is at the other end is switched off"
	case m.client.trouble != "":
		return m.client.trouble
	case m.client.unanswered < unansweredTries:
		return "a router is being asked for an address"
	case m.local.up:
		return "no router gives an address: the camera has taken " + m.local.address.String() + ", by which only computers at the same cable or switch reach it"
	}
	return "no router gives an address"
}

// silent says that nobody answers on a link that has a carrier: no router of a lease,
// and no server that could give another one.
func (m *machine) silent() bool {
	return m.carrier && m.client.phase == selecting && m.client.unanswered >= unansweredTries
}

// adopt is for an address that the link has already, from a program that ended: it
// is kept while its server is asked whether that is right. It is called before the
// first carrier.
func (m *machine) adopt(address netip.Prefix, until time.Time) {
	if address.Addr().IsLinkLocalUnicast() {
		m.local.address = address.Addr() // the one to try first
		return
	}
	m.client.lease = &lease{address: address, t1: until, t2: until, until: until}
}

// setCarrier tells that there is somebody at the other end, or no longer.
func (m *machine) setCarrier(now time.Time, carrier bool) {
	if carrier == m.carrier {
		return
	}
	m.carrier = carrier
	m.announcement = time.Time{}
	m.router.stop()
	m.local.stop()
	if !carrier {
		m.client.stop()
		return
	}
	m.plugIn(now)
}

// step does what is due.
func (m *machine) step(now time.Time) {
	if l := m.client.lease; l != nil && l.over(now) {
		m.log.Warn("the address had to be given back: no server has renewed it", "address", l.address.Addr())
		m.withdraw(now, 0)
		if m.carrier {
			m.discover(now)
		}
	}
	if !m.carrier {
		return
	}
	if due(m.client.wake, now) {
		m.stepClient(now)
	}
	if due(m.announcement, now) {
		m.announcement = time.Time{}
		if l := m.client.lease; l != nil {
			m.out.arp(announceARP(m.hw, l.address.Addr()))
		}
	}
	if due(m.router.wake, now) {
		m.stepRouter(now)
	}
	if due(m.local.wake, now) {
		m.stepLocal(now)
	}
}

// next is when step has something to do; zero is never.
func (m *machine) next() time.Time {
	var next time.Time
	if l := m.client.lease; l != nil {
		next = l.until
	}
	if !m.carrier {
		return next
	}
	for _, t := range []time.Time{m.client.wake, m.announcement, m.router.wake, m.local.wake} {
		if next.IsZero() || !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	return next
}

func due(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }

// arp takes a packet that has come.
func (m *machine) arp(now time.Time, p arpPacket) {
	if !m.carrier || p.senderHW == m.hw {
		return
	}
	if l := m.client.lease; l != nil && p.claims(l.address.Addr()) {
		m.contested(now, p.senderHW)
	}
	if m.client.phase == checking && p.wants(m.client.wanted.address.Addr()) {
		m.decline(now, p.senderHW)
	}
	m.hearRouter(now, p)
	m.hearLocal(now, p)
}

// withdraw gives the address of the lease up. One of its own comes in its place
// after the delay, unless a server has given another one until then.
func (m *machine) withdraw(now time.Time, delay time.Duration) {
	m.client.lease = nil
	m.announcement = time.Time{}
	m.router.stop()
	if m.carrier {
		m.startLocal(now.Add(delay))
	}
}

// jitter is d, give or take up to a tenth.
func (m *machine) jitter(d time.Duration) time.Duration {
	return d + time.Duration((m.rand.Float64()-0.5)*float64(d)/5)
}
