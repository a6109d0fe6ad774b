package link

import (
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// A phase is a state of a DHCP client (RFC 2131, 4.4).
type phase int

const (
	idle       phase = iota // there is no carrier
	rebooting               // the servers are asked whether the address is still right
	selecting               // the servers are asked for an address
	requesting              // one server is asked for the address that it offered
	checking                // it is given; nobody else must have it
	bound
	waiting // until all begins anew, after a refusal or a conflict
)

const (
	// An old address is asked for this often, in this distance, before it is another
	// network, or one without a server.
	rebootTries = 3
	rebootPause = 800 * time.Millisecond
	// An offer is asked for this often.
	requestTries = 3
	requestPause = time.Second
	// Questions for an address come after these pauses, the first of which is doubled
	// until it is the last.
	firstPause = time.Second
	lastPause  = 30 * time.Second
	// unansweredTries without an answer say that there is no server.
	unansweredTries = 3
	// localDelay is when a link without a server takes an address of its own: after the
	// tries above.
	localDelay = 7 * time.Second
	// A given address is asked for this often by ARP. RFC 5227 wants 4 to 7 s of that;
	// servers look too, and nobody is to wait so long for a picture.
	checkTries = 2
	checkPause = 200 * time.Millisecond
	// declinePause is how long to wait after an address was refused (RFC 2131, 3.1.5).
	declinePause = 10 * time.Second
	// These bound the time between two tries to renew.
	minRenewPause = 10 * time.Second
	maxRenewPause = time.Hour
	// maxNAKPause bounds the pause between refusals.
	maxNAKPause = 30 * time.Second
	// announcePause is between the two announcements of an address.
	announcePause = 2 * time.Second
)

// A client is the state of DHCP on one link.
type client struct {
	phase phase
	lease *lease     // the address that the link has, nil if none
	last  netip.Addr // the latest address of this link, to be asked for again

	wanted     *lease // that is offered, or given and not yet checked
	xid        dhcpv4.TransactionID
	began      time.Time // the exchange that goes on
	tries      int       // in this phase
	wake       time.Time // when there is something to do; zero is never
	unanswered int       // questions for an address that nobody has answered
	naks       int       // refusals one after the other
	moved      bool      // the carrier was away: it may be another network
	trouble    string    // a sentence on the latest try
}

func (c *client) stop() {
	c.phase, c.wake, c.wanted, c.trouble = idle, time.Time{}, nil, ""
	c.moved = true
}

// enter begins an exchange.
func (m *machine) enter(now time.Time, p phase) {
	m.client.phase, m.client.tries = p, 0
	m.newExchange(now)
	m.stepClient(now)
}

// plugIn begins where a carrier has come.
func (m *machine) plugIn(now time.Time) {
	c := &m.client
	c.unanswered, c.naks, c.trouble = 0, 0, ""
	if c.lease != nil {
		m.enter(now, rebooting)
		return
	}
	if c.moved {
		m.move()
	}
	m.startLocal(now.Add(localDelay))
	m.discover(now)
}

// move says that this is another network than before, as far as is known.
func (m *machine) move() {
	m.client.moved = false
	m.moves++
}

func (m *machine) discover(now time.Time) {
	m.client.wanted = nil
	m.enter(now, selecting)
}

// verify asks the servers whether the lease is still right; the link keeps it
// meanwhile.
func (m *machine) verify(now time.Time) {
	if m.client.phase == bound {
		m.enter(now, rebooting)
	}
}

// stepClient does what the client's wake was set for.
func (m *machine) stepClient(now time.Time) {
	c := &m.client
	c.tries++
	switch c.phase {
	case rebooting:
		if c.tries > rebootTries {
			m.unconfirmed(now)
			return
		}
		address := c.lease.address.Addr()
		m.send(now, dhcpv4.MessageTypeRequest, dhcpv4.OptRequestedIPAddress(address.AsSlice()))
		m.out.arp(probeARP(m.hw, address)) // in another network it may be another computer's
		m.askRouters(m.gateway())
		c.wake = now.Add(rebootPause)
	case selecting:
		c.unanswered++
		var again []dhcpv4.Option
		if c.last.IsValid() {
			again = append(again, dhcpv4.OptRequestedIPAddress(c.last.AsSlice()))
		}
		m.send(now, dhcpv4.MessageTypeDiscover, again...)
		c.wake = now.Add(m.jitter(min(firstPause<<min(c.tries-1, 10), lastPause)))
	case requesting:
		if c.tries > requestTries {
			c.trouble = "a router has offered an address and then not given it"
			m.discover(now)
			return
		}
		m.send(now, dhcpv4.MessageTypeRequest, dhcpv4.OptRequestedIPAddress(c.wanted.address.Addr().AsSlice()), dhcpv4.OptServerIdentifier(c.wanted.server.AsSlice()))
		c.wake = now.Add(m.jitter(requestPause << (c.tries - 1)))
	case checking:
		if c.tries > checkTries {
			m.bind(now)
			return
		}
		m.out.arp(probeARP(m.hw, c.wanted.address.Addr()))
		c.wake = now.Add(checkPause)
	case bound:
		m.renew(now)
	case waiting:
		m.discover(now)
	case idle:
		c.wake = time.Time{}
	}
}

// unconfirmed decides on an address after which no server answers.
func (m *machine) unconfirmed(now time.Time) {
	c := &m.client
	if m.router.confirmed {
		// The router of the lease is there, with the hardware address that it had: this is
		// the network (RFC 4436).
		m.keep(now)
		return
	}
	if c.moved {
		m.log.Info("nobody knows the address here: this is another network", "address", c.lease.address.Addr())
		m.move()
		m.withdraw(now, localDelay-rebootTries*rebootPause)
	}
	// Without a move it is kept until it is over, as its server may be starting anew.
	m.discover(now)
}

// keep goes on with the lease that the link has.
func (m *machine) keep(now time.Time) {
	c := &m.client
	c.phase, c.tries, c.wanted, c.moved, c.trouble = bound, 0, nil, false, ""
	c.unanswered, c.naks = 0, 0
	m.awaitRenewal(now)
	m.startRouter(now)
	m.local.stop()
}

// bind takes the wanted lease.
func (m *machine) bind(now time.Time) {
	c := &m.client
	before, rebooted := c.lease, c.phase == rebooting
	if c.moved && (before == nil || before.address != c.wanted.address) {
		m.move()
	}
	c.lease, c.last = c.wanted, c.wanted.address.Addr()
	m.keep(now)
	m.newExchange(now) // another server may still refuse what this one has given
	isNew := before == nil || before.address != c.lease.address
	if isNew {
		m.router.forget()
		m.log.Info("the link has an address", "address", c.lease.address, "router", m.gateway(), "server", c.lease.server)
		m.startRouter(now)
	}
	if isNew || rebooted {
		m.out.arp(announceARP(m.hw, c.last))
		m.announcement = now.Add(announcePause)
	}
}

// awaitRenewal sets when to ask for the next renewal.
func (m *machine) awaitRenewal(now time.Time) {
	c := &m.client
	c.wake = c.lease.t1
	if !c.wake.IsZero() && c.wake.Before(now) {
		c.wake = now
	}
}

// renew asks the server that gave the lease, and later any (RFC 2131, 4.4.5).
func (m *machine) renew(now time.Time) {
	c := &m.client
	if c.tries == 1 {
		m.newExchange(now)
	}
	request := m.message(now, dhcpv4.MessageTypeRequest)
	request.ClientIPAddr = c.lease.address.Addr().AsSlice()
	limit := c.lease.until
	if now.Before(c.lease.t2) && c.lease.server.IsValid() {
		m.out.unicast(request, c.lease.address.Addr(), c.lease.server)
		limit = c.lease.t2
	} else {
		m.out.broadcast(request)
	}
	c.wake = now.Add(min(max(limit.Sub(now)/2, minRenewPause), maxRenewPause))
	if now.Before(limit) && c.wake.After(limit) {
		c.wake = limit
	}
}

// dhcp takes a message that has come.
func (m *machine) dhcp(now time.Time, r *dhcpv4.DHCPv4) {
	c := &m.client
	if !m.carrier || r.OpCode != dhcpv4.OpcodeBootReply || r.TransactionID != c.xid || string(r.ClientHWAddr) != string(m.hw[:]) {
		return
	}
	switch kind := r.MessageType(); {
	case kind == dhcpv4.MessageTypeOffer && c.phase == selecting:
		m.offered(now, r)
	case kind == dhcpv4.MessageTypeAck && (c.phase == requesting || c.phase == rebooting || c.phase == bound):
		m.given(now, r)
	case kind == dhcpv4.MessageTypeNak && (c.phase == requesting || c.phase == rebooting || c.phase == bound):
		m.refused(now, r)
	}
}

func (m *machine) offered(now time.Time, r *dhcpv4.DHCPv4) {
	c := &m.client
	offer, err := leaseOf(r, now)
	if err == nil && !offer.server.IsValid() {
		return // it cannot be answered
	}
	if err != nil {
		c.trouble = "a router offers an address that cannot be used: " + err.Error()
		return // another server may do better
	}
	c.unanswered = 0
	c.phase, c.tries, c.wanted = requesting, 0, offer // the exchange goes on
	m.stepClient(now)
}

func (m *machine) given(now time.Time, r *dhcpv4.DHCPv4) {
	c := &m.client
	l, err := leaseOf(r, now)
	if err != nil {
		return // it is asked again
	}
	if !l.server.IsValid() && c.wanted != nil {
		l.server = c.wanted.server
	}
	c.wanted = l
	if c.lease != nil && c.lease.address == l.address {
		m.bind(now) // the link has it: whoever had it too would have been heard
		return
	}
	if c.lease != nil {
		m.withdraw(now, localDelay)
	}
	c.phase, c.tries = checking, 0
	m.stepClient(now)
}

func (m *machine) refused(now time.Time, r *dhcpv4.DHCPv4) {
	c := &m.client
	// Only the server that was asked may refuse; where any was asked, any may.
	if from, ok := hostAddr(r.ServerIdentifier()); c.phase == requesting && (!ok || from != c.wanted.server) {
		return
	}
	c.naks++
	if c.lease != nil {
		m.log.Info("a server says that the address is not right here", "address", c.lease.address.Addr(), "server", r.ServerIdentifier(), "message", r.Message())
		if c.moved {
			m.move()
		}
		m.withdraw(now, localDelay)
	}
	c.last = netip.Addr{}
	if c.naks == 1 {
		m.discover(now)
		return
	}
	c.trouble = "a router refuses the address that it has offered"
	m.wait(now, min(firstPause<<min(c.naks, 10), maxNAKPause))
}

// wait begins anew after a pause.
func (m *machine) wait(now time.Time, pause time.Duration) {
	c := &m.client
	c.phase, c.tries, c.wanted, c.wake = waiting, 0, nil, now.Add(pause)
}

// decline gives the wanted address back, as another computer has it.
func (m *machine) decline(now time.Time, other hardwareAddr) {
	c := &m.client
	m.giveBack(now, c.wanted, other)
	m.wait(now, declinePause)
}

// giveBack tells the server of a lease that another computer has its address.
func (m *machine) giveBack(now time.Time, l *lease, other hardwareAddr) {
	c := &m.client
	address := l.address.Addr()
	m.log.Warn("another device has the address that the router gave", "address", address, "device", other)
	c.trouble = "another device (" + other.String() + ") has " + address.String() + ", which the router gave: another address is asked for"
	c.last = netip.Addr{}
	if l.server.IsValid() {
		m.newExchange(now)
		d := m.bare(now, dhcpv4.MessageTypeDecline)
		d.UpdateOption(dhcpv4.OptRequestedIPAddress(address.AsSlice()))
		d.UpdateOption(dhcpv4.OptServerIdentifier(l.server.AsSlice()))
		m.out.broadcast(d)
	}
}

// contested is for another computer that uses the address of the lease: it is told
// once that it is this one's, and gets it if it goes on (RFC 5227, 2.4 b). If it says
// so soon after the address was given, it had it before, and has answered late.
func (m *machine) contested(now time.Time, other hardwareAddr) {
	c := &m.client
	l := c.lease
	if c.phase == rebooting && c.moved {
		// The address was another network's.
		m.log.Info("the address is another device's here", "address", l.address.Addr(), "device", other)
		m.move()
		m.withdraw(now, localDelay)
		c.last = netip.Addr{}
		m.discover(now)
		return
	}
	if m.announcement.IsZero() && (m.defended.IsZero() || now.Sub(m.defended) > defendInterval) {
		m.defended = now
		m.out.arp(announceARP(m.hw, l.address.Addr()))
		return
	}
	m.giveBack(now, l, other)
	m.withdraw(now, localDelay)
	m.wait(now, declinePause)
}
