package link

import "time"

const (
	// routerInterval is how often the router is looked for.
	routerInterval = 30 * time.Second
	// A router that is silent is asked again in this distance, this often in all.
	routerPause = time.Second
	routerTries = 3
	// maxRouterInterval bounds the time between the looks after a router that never
	// answers, although its server confirms the lease.
	maxRouterInterval = 10 * time.Minute
	// verifyInterval is the least time between two questions to the servers because the
	// router has another hardware address.
	verifyInterval = time.Minute
)

// A routerWatch looks for the router of the lease: one that has gone, or whose
// hardware address is another, has been exchanged, or the cable behind a switch
// was moved, which no carrier tells.
type routerWatch struct {
	hw        hardwareAddr // that the router had; zero is not known
	asked     int          // times since it last answered
	confirmed bool         // it has answered as known since the last question
	silences  int          // times that all tries were in vain, one after the other
	verified  time.Time    // when the servers were last asked for its sake
	wake      time.Time
}

func (r *routerWatch) stop() { r.wake, r.asked, r.confirmed = time.Time{}, 0, false }

func (r *routerWatch) forget() { *r = routerWatch{} }

// startRouter begins to look for the router of the lease.
func (m *machine) startRouter(now time.Time) {
	r := &m.router
	r.stop()
	if !m.client.lease.gateway().IsValid() {
		return
	}
	r.wake = now
	if r.silences > 0 {
		r.wake = now.Add(min(routerInterval<<min(r.silences, 10), maxRouterInterval))
	}
}

func (m *machine) stepRouter(now time.Time) {
	r := &m.router
	if m.client.phase != bound {
		r.wake = time.Time{} // it starts again with the next lease
		return
	}
	if r.asked < routerTries {
		m.askRouter()
		r.asked++
		r.wake = now.Add(routerPause)
		return
	}
	r.stop()
	r.silences++
	if r.silences == 1 {
		m.log.Info("the router does not answer: the servers are asked whether the address is still right", "router", m.client.lease.gateway())
	}
	m.verify(now)
}

// askRouter asks for the router's hardware address.
func (m *machine) askRouter() {
	l := m.client.lease
	if l == nil || !l.gateway().IsValid() {
		return
	}
	q := probeARP(m.hw, l.gateway())
	if m.client.phase == bound {
		q.senderIP = l.address.Addr()
	}
	m.out.arp(q)
}

// hearRouter takes a packet that may be the router's.
func (m *machine) hearRouter(now time.Time, p arpPacket) {
	r, l := &m.router, m.client.lease
	if l == nil || p.op != arpReply || !l.gateway().IsValid() || !p.claims(l.gateway()) {
		return
	}
	known := r.hw
	switch m.client.phase {
	case rebooting:
		r.confirmed = r.confirmed || p.senderHW == known
	case bound:
		r.hw, r.asked, r.silences = p.senderHW, 0, 0
		r.wake = now.Add(routerInterval)
		if known != (hardwareAddr{}) && known != p.senderHW && (r.verified.IsZero() || now.Sub(r.verified) >= verifyInterval) {
			r.verified = now
			m.log.Info("the router is another device now: the servers are asked whether the address is still right", "router", l.gateway(), "device", p.senderHW, "before", known)
			m.verify(now)
		}
	}
}
