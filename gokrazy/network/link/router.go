package link

import (
	"net/netip"
	"slices"
	"time"
)

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
// was moved, which no carrier tells. Of several routers the first that answers serves.
type routerWatch struct {
	using     netip.Addr   // of several; not valid is the first
	heard     *arpPacket   // the best answer of a router behind the first, since that is asked
	hw        hardwareAddr // that the router had; zero is not known
	asked     int          // times since it last answered
	confirmed bool         // it has answered as known since the last question
	silences  int          // times that all tries were in vain, one after the other
	verified  time.Time    // when the servers were last asked for its sake
	wake      time.Time
}

func (r *routerWatch) stop() { r.wake, r.asked, r.confirmed, r.heard = time.Time{}, 0, false, nil }

func (r *routerWatch) forget() { *r = routerWatch{} }

// gateway is the router of the default route; it is not valid if there is none.
func (m *machine) gateway() netip.Addr {
	if m.client.lease == nil {
		return netip.Addr{}
	}
	all := m.client.lease.gateways()
	switch {
	case len(all) == 0:
		return netip.Addr{}
	case slices.Contains(all, m.router.using):
		return m.router.using
	}
	return all[0]
}

// startRouter begins to look for the router of the lease.
func (m *machine) startRouter(now time.Time) {
	r := &m.router
	r.stop()
	if !m.gateway().IsValid() {
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
		routers := m.client.lease.gateways()
		if r.asked == 0 {
			routers = routers[:min(1, len(routers))] // the others if that is silent
		}
		m.askRouters(routers...)
		r.asked++
		r.wake = now.Add(routerPause)
		return
	}
	if r.heard != nil {
		m.useRouter(now, *r.heard)
		return
	}
	r.stop()
	r.silences++
	if r.silences == 1 {
		m.log.Info("the router does not answer: the servers are asked whether the address is still right", "router", m.gateway())
	}
	m.verify(now)
}

// askRouters asks for the hardware addresses of routers.
func (m *machine) askRouters(routers ...netip.Addr) {
	for _, r := range routers {
		if !r.IsValid() {
			continue
		}
		q := probeARP(m.hw, r)
		if m.client.phase == bound {
			q.senderIP = m.client.lease.address.Addr()
		}
		m.out.arp(q)
	}
}

// hearRouter takes a packet that may be a router's.
func (m *machine) hearRouter(now time.Time, p arpPacket) {
	r, l := &m.router, m.client.lease
	if l == nil || p.op != arpReply {
		return
	}
	all := l.gateways()
	place := slices.Index(all, p.senderIP)
	if place < 0 {
		return
	}
	switch m.client.phase {
	case rebooting:
		r.confirmed = r.confirmed || p.senderIP == m.gateway() && p.senderHW == r.hw
	case bound:
		if place == 0 {
			m.useRouter(now, p)
		} else if r.asked > 0 && (r.heard == nil || place < slices.Index(all, r.heard.senderIP)) {
			r.heard = &p
		}
	}
}

// useRouter has the router that has answered serve.
func (m *machine) useRouter(now time.Time, p arpPacket) {
	r, before, known := &m.router, m.gateway(), m.router.hw
	r.using, r.hw, r.asked, r.silences, r.heard = p.senderIP, p.senderHW, 0, 0, nil
	r.wake = now.Add(routerInterval)
	switch {
	case before != p.senderIP:
		m.log.Info("another of the routers serves now: it is the first one that answers", "router", p.senderIP, "device", p.senderHW, "before", before)
	case known != (hardwareAddr{}) && known != p.senderHW && (r.verified.IsZero() || now.Sub(r.verified) >= verifyInterval):
		r.verified = now
		m.log.Info("the router is another device now: the servers are asked whether the address is still right", "router", p.senderIP, "device", p.senderHW, "before", known)
		m.verify(now)
	}
}
