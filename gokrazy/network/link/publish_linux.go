package link

import (
	"cmp"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/pushcam/pushcam/gokrazy/network/status"
)

// publish writes the status and resolv.conf.
func (m *Manager) publish(now time.Time) {
	links := slices.SortedFunc(values(m.links), func(a, b *link) int { return cmp.Compare(a.metric(), b.metric()) })
	var s status.Status
	haveDefault := false
	for _, l := range links {
		c := l.machine.config()
		out := status.Link{Name: l.name, Kind: kindOf(l.name), Carrier: l.machine.carrier, Why: l.machine.why(), Silent: l.machine.silent()}
		if out.Kind == status.WiFi && !out.Carrier {
			out.Why = "it is in no wireless network" // more is in Status.WiFi
		}
		if c.address.IsValid() {
			from := status.DHCP
			if c.own {
				from = status.LinkLocal
			}
			out.Addresses = append(out.Addresses, status.Address{Prefix: c.address, From: from})
		}
		for _, p := range l.ipv6 {
			out.Addresses = append(out.Addresses, status.Address{Prefix: p, From: status.IPv6})
		}
		if c.lease != nil {
			out.Unconfirmed = c.unconfirmed
			out.Router, out.LeaseUntil = l.machine.gateway(), c.lease.until
			out.Default = l.machine.carrier && out.Router.IsValid() && !haveDefault
			haveDefault = haveDefault || out.Default
		}
		if !slices.Equal(out.Addresses, l.addresses) {
			l.addresses, l.since = out.Addresses, now
		}
		out.Since = l.since
		s.Links = append(s.Links, out)
		if !l.machine.carrier {
			continue
		}
		if c.lease != nil {
			s.DNS = append(s.DNS, c.lease.dns...)
			s.NTP = append(s.NTP, c.lease.ntp...)
			s.Domain = cmp.Or(s.Domain, c.lease.domain)
		}
		s.DNS = append(s.DNS, l.names.addresses(l.name)...)
	}
	s.Links = append(s.Links, m.served...)
	s.DNS, s.NTP = unique(s.DNS), unique(s.NTP)
	m.Status.Update(func(all *status.Status) {
		all.Links, all.DNS, all.Domain, all.NTP = s.Links, s.DNS, s.Domain, s.NTP
	})
	m.writeResolvConf(s.DNS, s.Domain)
}

// servedLink is what there is to say of a link whose address is not of a Manager: that
// of the board's own USB port (package gadget), or of the set-up network (package wifi).
func servedLink(i *iface, addresses []netip.Prefix) status.Link {
	l := status.Link{Name: i.name, Kind: kindOf(i.name), Carrier: i.carrier}
	if !i.carrier && l.Kind == status.USB {
		l.Why = "no computer is plugged into the board's own USB port"
	}
	for _, p := range addresses {
		from := status.Own
		if p.Addr().Is6() {
			from = status.IPv6
		}
		l.Addresses = append(l.Addresses, status.Address{Prefix: p, From: from})
	}
	return l
}

func values(m map[int]*link) func(func(*link) bool) {
	return func(yield func(*link) bool) {
		for _, l := range m {
			if !yield(l) {
				return
			}
		}
	}
}

// unique are the first of those that are the same.
func unique(addrs []netip.Addr) (found []netip.Addr) {
	for _, a := range addrs {
		if !slices.Contains(found, a) {
			found = append(found, a)
		}
	}
	return found
}

// writeResolvConf replaces the file if it is to say something else. Nothing of the
// card is in that: it is in memory.
func (m *Manager) writeResolvConf(servers []netip.Addr, domain string) {
	text := resolvConf(servers, domain)
	if text == m.wrote {
		return
	}
	next := m.ResolvConf + ".next"
	err := os.WriteFile(next, []byte(text), 0o644)
	if err == nil {
		err = os.Rename(next, m.ResolvConf)
	}
	if err != nil {
		m.Log.Error("the name servers cannot be written down", "error", err)
		return
	}
	m.wrote = text
}
