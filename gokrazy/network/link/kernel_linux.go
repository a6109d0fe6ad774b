package link

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// netlinkTimeout is for an answer of the kernel.
	netlinkTimeout = 5 * time.Second
	// grace is how much longer than this program the kernel keeps an address. It takes
	// it away if this program has ended.
	grace = 5 * time.Second
)

// A kernel is Linux, asked and told by netlink and sysctl.
type kernel struct {
	root string // where /sys is looked for
	nl   *netlink.Handle
}

func (k *kernel) open() (err error) {
	if k.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	return k.nl.SetSocketTimeout(netlinkTimeout)
}

func (k *kernel) close() { k.nl.Close() }

// sysctl sets one of /proc/sys/net.
func sysctl(name, value string) error {
	return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644)
}

// setUp has each interface speak of its own address only: with two adapters on one
// network Linux would otherwise answer for each address on both.
func (k *kernel) setUp(log *slog.Logger) {
	for name, value := range map[string]string{"ipv4/conf/all/arp_ignore": "1", "ipv4/conf/all/arp_announce": "2"} {
		if err := sysctl(name, value); err != nil {
			log.Warn("a setting of the kernel's network is not to be had", "error", err)
		}
	}
}

// prepare sets what an interface wants before it is used. What the kernel does not
// have of that is not missed.
func (k *kernel) prepare(i *iface) {
	sysctl("ipv6/conf/"+i.name+"/ra_defrtr_metric", strconv.Itoa(i.metric()))
}

// restartIPv6 has an interface forget its network's IPv6 addresses and routes and
// ask the routers of the one that it has come to.
func (k *kernel) restartIPv6(name string) {
	path := "ipv6/conf/" + name + "/disable_ipv6"
	if sysctl(path, "1") == nil { // a kernel without IPv6 has nothing to forget
		sysctl(path, "0")
	}
}

func (k *kernel) switchOn(index int) error { return k.nl.LinkSetUp(device(index)) }

func device(index int) netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}
}

// isGadget says whether an interface is this board's own USB port as a device, whose
// network is of this computer's making (package gadget).
func (k *kernel) isGadget(name string) bool {
	parent, err := os.Readlink(filepath.Join("/", k.root, "sys/class/net", name, "device"))
	return err == nil && strings.HasPrefix(filepath.Base(parent), "gadget")
}

// list are the interfaces for this program, and the addresses of each; of IPv6 those
// that are good for more than its link.
func (k *kernel) list() ([]iface, map[int][]netip.Prefix, error) {
	links, err := k.nl.LinkList()
	if err != nil {
		return nil, nil, err
	}
	var ifaces []iface
	for _, l := range links {
		a := l.Attrs()
		if !manageable(l.Type(), a.RawFlags, a.HardwareAddr, a.MasterIndex) {
			continue
		}
		const running = unix.IFF_UP | unix.IFF_RUNNING
		ifaces = append(ifaces, iface{
			index: a.Index, name: a.Name, hw: hardwareAddr(a.HardwareAddr),
			up: a.RawFlags&unix.IFF_UP != 0, carrier: a.RawFlags&running == running,
			served: k.isGadget(a.Name),
		})
	}
	addrs, err := k.nl.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, nil, err
	}
	found := make(map[int][]netip.Prefix)
	for _, a := range addrs {
		const unusable = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED
		p, ok := prefixOf(a.IPNet)
		if ok && (p.Addr().Is4() || a.Flags&unusable == 0 && !p.Addr().IsLinkLocalUnicast()) {
			found[a.LinkIndex] = append(found[a.LinkIndex], p)
		}
	}
	for _, p := range found {
		slices.SortFunc(p, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	}
	return ifaces, found, nil
}

// address is the IPv4 address that an interface has, and until when.
func (k *kernel) address(index int, now time.Time) (address netip.Prefix, until time.Time, ok bool) {
	addrs, err := k.nl.AddrList(device(index), netlink.FAMILY_V4)
	if err != nil || len(addrs) == 0 {
		return netip.Prefix{}, time.Time{}, false
	}
	address, ok = prefixOf(addrs[0].IPNet)
	if valid := uint32(addrs[0].ValidLft); valid != math.MaxUint32 && valid != 0 {
		until = now.Add(time.Duration(valid) * time.Second)
	}
	return address, until, ok
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits), ok
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// apply makes the interface have this address and these routes of IPv4, and no
// others. It does as much as it can.
func (k *kernel) apply(i *iface, c config, now time.Time) error {
	dev := device(i.index)
	addrs, err := k.nl.AddrList(dev, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	var errs []error
	failed := func(err error, what string, args ...any) {
		if err != nil && !errors.Is(err, unix.ENODEV) { // that it has gone is told soon
			errs = append(errs, fmt.Errorf(what+": %w", append(args, err)...))
		}
	}
	for _, a := range addrs {
		if p, ok := prefixOf(a.IPNet); ok && p != c.address {
			failed(k.nl.AddrDel(dev, &netlink.Addr{IPNet: a.IPNet}), "remove address %v", p)
		}
	}
	var want []netlink.Route
	if c.address.IsValid() {
		addr := &netlink.Addr{IPNet: ipNet(c.address), Flags: unix.IFA_F_NOPREFIXROUTE}
		if c.own {
			addr.Scope = int(netlink.SCOPE_LINK)
		}
		if !c.until.IsZero() {
			seconds := lifetime(c.until.Sub(now))
			addr.ValidLft, addr.PreferedLft = seconds, seconds
		}
		failed(k.nl.AddrReplace(dev, addr), "add address %v", c.address)
		want = routesOf(i, c)
	}
	have, err := k.nl.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{LinkIndex: i.index}, netlink.RT_FILTER_OIF)
	if err != nil {
		return err
	}
	for _, r := range have {
		if !slices.ContainsFunc(want, func(w netlink.Route) bool { return sameRoute(r, w) }) {
			r.Flags = 0                                                // the kernel does not take those back that it gives
			if err := k.nl.RouteDel(&r); !errors.Is(err, unix.ESRCH) { // gone with the address
				failed(err, "remove route %v", r.Dst)
			}
		}
	}
	for _, r := range want {
		if !slices.ContainsFunc(have, func(h netlink.Route) bool { return sameRoute(h, r) }) {
			failed(k.nl.RouteReplace(&r), "add route to %v by %v", r.Dst, r.Gw)
		}
	}
	return errors.Join(errs...)
}

// lifetime is how long the kernel is to keep an address that is good for so long, in seconds.
// It counts in 32 bits, and the longest lease has as many and the grace.
func lifetime(left time.Duration) int {
	return int(min(max(left+grace, time.Second)/time.Second, math.MaxInt32))
}

// routesOf are the routes of an interface: to its own network, and by its routers,
// which need not be in it.
func routesOf(i *iface, c config) []netlink.Route {
	if !c.carrier {
		return nil
	}
	src := net.IP(c.address.Addr().AsSlice())
	base := netlink.Route{LinkIndex: i.index, Src: src, Protocol: unix.RTPROT_DHCP, Priority: i.metric()}
	own := base
	own.Dst, own.Scope = ipNet(c.address.Masked()), netlink.SCOPE_LINK
	routes := []netlink.Route{own}
	for _, r := range c.routes {
		next := base
		if r.to.Bits() > 0 {
			next.Dst = ipNet(r.to)
		}
		if r.via.IsValid() {
			next.Gw, next.Flags = r.via.AsSlice(), int(netlink.FLAG_ONLINK)
		} else {
			next.Scope = netlink.SCOPE_LINK
		}
		routes = append(routes, next)
	}
	return routes
}

func sameRoute(a, b netlink.Route) bool {
	to := func(r netlink.Route) netip.Prefix {
		if p, ok := prefixOf(r.Dst); ok {
			return p
		}
		return defaultRoute
	}
	return to(a) == to(b) && a.Gw.Equal(b.Gw) && a.Src.Equal(b.Src) && a.Priority == b.Priority
}
