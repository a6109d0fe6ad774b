package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// A lease is what a DHCP server has offered or given. Nothing in it is changed.
type lease struct {
	address netip.Prefix
	server  netip.Addr
	routers []netip.Addr
	routes  []route // of option 121, which stands above routers (RFC 3442)
	dns     []netip.Addr
	ntp     []netip.Addr
	domain  string

	t1, t2, until time.Time // when to renew, to rebind, to give back
}

// A route leads to a network, by a router or, without one, on the link itself.
type route struct {
	to  netip.Prefix
	via netip.Addr
}

const (
	// minLease is the shortest lease that is taken. A server that gives less would keep
	// everybody busy with renewals.
	minLease = 5 * time.Second
	// maxRenewal is the longest time until a renewal, also of a lease for ever.
	maxRenewal = 24 * time.Hour

	// These bound what is taken from one server.
	maxServers = 4 // for names and for time
	maxRouters = 8
	maxRoutes  = 32
)

var (
	errNoAddress = errors.New("it has no usable address for this computer")
	defaultRoute = netip.PrefixFrom(unspecified, 0)
)

// leaseOf is what an offer or an acknowledgement that has come now says.
func leaseOf(m *dhcpv4.DHCPv4, now time.Time) (*lease, error) {
	address, ok := hostAddr(m.YourIPAddr)
	if !ok {
		return nil, errNoAddress
	}
	bits, size := m.SubnetMask().Size()
	if size != 32 || bits == 0 {
		if bits, _ = net.IP(address.AsSlice()).DefaultMask().Size(); bits == 0 {
			return nil, errNoAddress
		}
	}
	l := &lease{
		address: netip.PrefixFrom(address, bits),
		routers: hostAddrs(m.Router(), maxRouters),
		dns:     hostAddrs(m.DNS(), maxServers),
		ntp:     hostAddrs(m.NTPServers(), maxServers),
		domain:  domainOf(m.DomainName()),
	}
	l.server, _ = hostAddr(m.ServerIdentifier())
	for _, r := range m.ClasslessStaticRoute() {
		if r == nil || r.Dest == nil || len(l.routes) == maxRoutes {
			continue
		}
		to, ok := netip.AddrFromSlice(r.Dest.IP.To4())
		bits, size := r.Dest.Mask.Size()
		if !ok || size != 32 || to.IsMulticast() || to.IsLoopback() {
			continue
		}
		via, isHost := hostAddr(r.Router)
		if !isHost && !r.Router.IsUnspecified() {
			continue
		}
		l.routes = append(l.routes, route{netip.PrefixFrom(to, bits).Masked(), via})
	}
	const forever = 0xffffffff * time.Second
	length := m.IPAddressLeaseTime(0)
	if length < minLease {
		return nil, fmt.Errorf("its lease of %v is too short to be of use", length)
	}
	t1, t2 := m.IPAddressRenewalTime(0), m.IPAddressRebindingTime(0)
	if t1 <= 0 || t1 >= t2 || t2 >= length {
		t1, t2 = length/2, length/8*7 // RFC 2131, 4.4.5
	}
	l.t1, l.t2 = now.Add(min(t1, maxRenewal)), now.Add(t2)
	if length != forever {
		l.until = now.Add(length)
	}
	return l, nil
}

// over says whether the lease has ended.
func (l *lease) over(now time.Time) bool { return !l.until.IsZero() && !l.until.After(now) }

// gateways are the routers that can be that of the default route, the best first.
func (l *lease) gateways() (all []netip.Addr) {
	if len(l.routes) > 0 {
		for _, r := range l.routes {
			if r.to == defaultRoute && r.via.IsValid() {
				return []netip.Addr{r.via}
			}
		}
		return nil
	}
	// The servers' list is by preference (RFC 2132, 3.5), but some name routers that
	// are not in the network: these come last.
	for _, r := range l.routers {
		if r != l.address.Addr() && l.address.Contains(r) {
			all = append(all, r)
		}
	}
	for _, r := range l.routers {
		if !l.address.Contains(r) {
			all = append(all, r)
		}
	}
	return all
}

// way are the routes besides that to the link's own network, the default one by
// gateway, which is one of gateways.
func (l *lease) way(gateway netip.Addr) []route {
	if len(l.routes) > 0 {
		return l.routes
	}
	if !gateway.IsValid() {
		return nil
	}
	return []route{{defaultRoute, gateway}}
}

// hostAddr is an address that one computer can have.
func hostAddr(ip net.IP) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(ip.To4())
	if !ok || a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.As4()[0] == 0 || a.As4()[0] >= 240 {
		return netip.Addr{}, false
	}
	return a, true
}

// hostAddrs are the first n addresses of those that a computer can have.
func hostAddrs(ips []net.IP, n int) (found []netip.Addr) {
	for _, ip := range ips {
		if a, ok := hostAddr(ip); ok && len(found) < n && !slices.Contains(found, a) {
			found = append(found, a)
		}
	}
	return found
}

// domainOf is the first domain name in what a server gives as one, as it can be
// written into resolv.conf and compared with a Host header; empty if that is none.
func domainOf(text string) string {
	fields := strings.FieldsFunc(text, func(r rune) bool { return r == 0 || r == ' ' || r == ',' })
	if len(fields) == 0 {
		return ""
	}
	name := strings.ToLower(strings.Trim(fields[0], "."))
	if len(name) > 253 {
		return ""
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return ""
		}
		for _, c := range []byte(label) {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return ""
			}
		}
	}
	return name
}
