package discovery

import (
	"cmp"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
)

const (
	// maxNetworks bounds the interfaces used; Linux lets a socket join 20 groups
	// (net.ipv4.igmp_max_memberships).
	maxNetworks = 16
	// maxAddresses bounds the addresses announced per interface and family.
	maxAddresses = 4
)

// A network is an interface that multicast DNS goes over.
type network struct {
	index    int
	name     string
	prefixes []netip.Prefix // this computer's addresses with their networks, sorted
}

// addresses are those to announce there: of each family the routable ones, or
// the link-local ones where there are no others.
func (n *network) addresses() []netip.Addr {
	var v4, v6, local4, local6 []netip.Addr
	for _, p := range n.prefixes {
		switch a := p.Addr(); {
		case a.Is4() && a.IsLinkLocalUnicast():
			local4 = append(local4, a)
		case a.Is4():
			v4 = append(v4, a)
		case a.IsLinkLocalUnicast():
			local6 = append(local6, a)
		default:
			v6 = append(v6, a)
		}
	}
	if len(v4) == 0 {
		v4 = local4
	}
	if len(v6) == 0 {
		v6 = local6
	}
	return slices.Concat(v4[:min(len(v4), maxAddresses)], v6[:min(len(v6), maxAddresses)])
}

// has says whether a is an address of a host on this network, which all others
// in multicast DNS must be (RFC 6762, 11).
func (n *network) has(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLinkLocalUnicast() {
		return true
	}
	return slices.ContainsFunc(n.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (n *network) equal(o *network) bool {
	return n.index == o.index && n.name == o.name && slices.Equal(n.prefixes, o.prefixes)
}

func sameNetworks(a, b []*network) bool { return slices.EqualFunc(a, b, (*network).equal) }

// systemNetworks are the interfaces of this computer that are up, reach a link
// of several hosts and have an address. A tunnel has no link, and for the port
// of a bridge the bridge speaks. root is where /sys is looked for.
func systemNetworks(root string) ([]*network, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	const want = net.FlagUp | net.FlagRunning | net.FlagMulticast
	var found []*network
	for _, i := range all {
		if i.Flags&want != want || i.Flags&(net.FlagLoopback|net.FlagPointToPoint) != 0 {
			continue
		}
		if _, err := os.Lstat(filepath.Join(root, "sys/class/net", i.Name, "master")); err == nil {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it is gone
		}
		n := &network{index: i.Index, name: i.Name}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				n.prefixes = append(n.prefixes, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()))
			}
		}
		if len(n.prefixes) == 0 {
			continue
		}
		slices.SortFunc(n.prefixes, comparePrefixes)
		found = append(found, n)
	}
	return found[:min(len(found), maxNetworks)], nil
}

func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}
