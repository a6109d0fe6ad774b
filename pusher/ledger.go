package pusher

import (
	"net"
	"net/netip"
	"time"
)

// A ledger counts who holds how much of what there is only so much of: connections,
// requests under way, viewers' places, sessions. No address may hold more than a share.
// An IPv6 address counts by its /64 too, because one computer has as many of those as it
// likes. But a whole home may have the same /64, so within its share each address gives
// way to those that have less.
//
// The zero address is nobody in particular: this computer, where a proxy may ask for
// everybody, and the program itself. It has no share, and gives nothing away to be fair.
//
// A ledger belongs to what it counts for, and is guarded by its lock.
type ledger struct {
	max   int // for all together
	share int // for one address
	total int
	held  map[netip.Prefix]int
}

// newLedger is for max pieces, of which one address gets half at most.
func newLedger(max int) *ledger {
	l := &ledger{held: make(map[netip.Prefix]int)}
	l.resize(max)
	return l
}

// resize changes how many pieces there are. Nobody loses one for that.
func (l *ledger) resize(max int) { l.max, l.share = max, (max+1)/2 }

// guestOf is the address that a connection from a counts for.
func guestOf(a net.Addr) netip.Addr {
	t, ok := a.(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.Addr{}
	}
	ip := t.AddrPort().Addr().Unmap().WithZone("")
	if ip.IsLoopback() {
		return netip.Addr{}
	}
	return ip
}

// network is what has the share that ip is part of; host is ip alone.
func network(ip netip.Addr) netip.Prefix {
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, _ := ip.Prefix(bits) // the zero address has none, and the zero prefix then
	return p
}

func host(ip netip.Addr) netip.Prefix { return netip.PrefixFrom(ip, ip.BitLen()) }

// add counts n more pieces, or -n less, for ip.
func (l *ledger) add(ip netip.Addr, n int) {
	l.total += n
	if !ip.IsValid() {
		return
	}
	l.count(network(ip), n)
	if ip.Is6() {
		l.count(host(ip), n)
	}
}

func (l *ledger) count(p netip.Prefix, n int) {
	if l.held[p] += n; l.held[p] == 0 {
		delete(l.held, p)
	}
}

// spent tells whether ip has its whole share.
func (l *ledger) spent(ip netip.Addr) bool {
	return ip.IsValid() && l.held[network(ip)] >= l.share
}

// room tells whether ip may have another piece without anybody giving one away.
func (l *ledger) room(ip netip.Addr) bool { return l.total < l.max && !l.spent(ip) }

// claim is a piece that somebody holds.
type claim struct {
	from  netip.Addr
	kept  bool      // it is not given away
	idle  bool      // its holder makes little use of it
	since time.Time // when that began
}

// yields picks which of the claims is given away so that ip can have a piece: one that is
// idle, else one of an address that has more than ip would have. It takes it from whoever
// has the most, and there the oldest. It returns -1 if ip has to go without.
func (l *ledger) yields(ip netip.Addr, claims []claim) int {
	best := -1
	for i, c := range claims {
		if c.kept || l.spent(ip) && (!c.from.IsValid() || network(c.from) != network(ip)) {
			continue
		}
		if !c.idle && l.lead(c.from, ip) <= 1 {
			continue
		}
		if best < 0 || l.before(c, claims[best]) {
			best = i
		}
	}
	return best
}

// lead is how much more a has than b: their networks, or the hosts if they are in the
// same one.
func (l *ledger) lead(a, b netip.Addr) int {
	switch {
	case !a.IsValid():
		return 0
	case b.IsValid() && network(a) == network(b):
		return l.held[host(a)] - l.held[host(b)]
	}
	return l.held[network(a)] - l.held[network(b)]
}

// before tells whether a is given away rather than b.
func (l *ledger) before(a, b claim) bool {
	if a.idle != b.idle {
		return a.idle
	}
	if lead := l.lead(a.from, b.from); lead != 0 {
		return lead > 0
	}
	return a.since.Before(b.since)
}
