package link

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// The times of RFC 3927, section 9.
const (
	probeWait       = time.Second // at most, before the first probe
	probeTries      = 3
	probeMin        = time.Second
	probeMax        = 2 * time.Second
	announceWait    = 2 * time.Second // after the last probe
	announceTries   = 2
	announceEvery   = 2 * time.Second
	maxConflicts    = 10
	rateLimitPeriod = time.Minute // between tries after so many conflicts
	defendInterval  = 10 * time.Second
)

// A linkLocal is the state of the address that a link gives itself.
type linkLocal struct {
	address   netip.Addr // that it has or tries; kept to be tried first the next time
	up        bool       // the address is in use
	sent      int        // probes, or announcements if it is up
	conflicts int
	picked    uint64    // addresses tried
	defended  time.Time // when the address was last defended
	wake      time.Time // when there is something to do; zero is never
}

func (l *linkLocal) stop() { l.up, l.sent, l.conflicts, l.wake = false, 0, 0, time.Time{} }

// startLocal begins to look for an address at the given time.
func (m *machine) startLocal(at time.Time) {
	m.local.stop()
	m.local.wake = at.Add(time.Duration(m.rand.Float64() * float64(probeWait)))
}

func (m *machine) stepLocal(now time.Time) {
	l := &m.local
	switch {
	case !l.up && l.sent < probeTries:
		if !l.address.IsValid() {
			m.pickLocal()
		}
		m.out.arp(probeARP(m.hw, l.address))
		l.sent++
		l.wake = now.Add(probeMin + time.Duration(m.rand.Float64()*float64(probeMax-probeMin)))
		if l.sent == probeTries {
			l.wake = now.Add(announceWait)
		}
	case !l.up:
		l.up, l.sent = true, 0
		m.log.Info("no server gives an address: the link has taken one of its own", "address", l.address)
		fallthrough
	default:
		m.out.arp(announceARP(m.hw, l.address))
		l.sent++
		l.wake = now.Add(announceEvery)
		if l.sent >= announceTries {
			l.wake = time.Time{}
		}
	}
}

// pickLocal picks the next address: always the same ones in the same order for a
// hardware address, so that a computer mostly gets the one that it had.
func (m *machine) pickLocal() {
	var seed uint64
	for _, b := range m.hw {
		seed = seed<<8 | uint64(b)
	}
	n := rand.New(rand.NewPCG(seed, m.local.picked)).UintN(254 * 256)
	m.local.picked++
	m.local.address = netip.AddrFrom4([4]byte{169, 254, byte(1 + n/256), byte(n)}) // the first and the last 256 are reserved
}

// hearLocal takes a packet that may be about the link's own address.
func (m *machine) hearLocal(now time.Time, p arpPacket) {
	l := &m.local
	switch {
	case !l.address.IsValid():
	case l.up && p.claims(l.address):
		if l.defended.IsZero() || now.Sub(l.defended) > defendInterval {
			l.defended = now
			m.out.arp(announceARP(m.hw, l.address))
			return
		}
		m.loseLocal(now, p)
	case !l.up && l.sent > 0 && p.wants(l.address):
		m.loseLocal(now, p)
	}
}

// loseLocal takes another address, as this one is somebody else's.
func (m *machine) loseLocal(now time.Time, p arpPacket) {
	l := &m.local
	m.log.Info("another device has the address that the link has taken: it takes another one", "address", l.address, "device", p.senderHW)
	l.up, l.sent, l.defended = false, 0, time.Time{}
	l.conflicts++
	m.pickLocal()
	l.wake = now.Add(time.Duration(m.rand.Float64() * float64(probeWait)))
	if l.conflicts >= maxConflicts {
		l.wake = now.Add(rateLimitPeriod)
	}
}
