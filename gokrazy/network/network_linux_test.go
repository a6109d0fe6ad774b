package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/network/status"
)

// The first address, with all that belongs to it.
func TestAddress(t *testing.T) {
	t.Parallel()
	r := newRouter(t, "192.168.77.1/24", "--dhcp-option=option:domain-name,fritz.box", "--dhcp-option=option:dns-server,192.168.77.1,192.168.77.2",
		"--dhcp-option=option:ntp-server,192.168.77.3", "--dhcp-option=option:router,192.168.77.2,192.168.77.1") // two of these were gokrazy's end
	c := newCamera(t)
	c.await("no link", func(s status.Status) bool { return s.Links != nil && len(s.Links) == 0 })
	c.plug("eth0", r)
	a := c.awaitAddress("eth0", r)
	c.wantAddresses("eth0 " + a.String() + "/24")
	c.wantRoute("8.8.8.8", "eth0")
	s := c.await("the default route by the router that answers", func(s status.Status) bool {
		l := find(s, "eth0")
		return l.Default && l.Router == r.prefix.Addr()
	})
	l := find(s, "eth0")
	if l.Kind != status.Ethernet || l.Router != r.prefix.Addr() || l.Why != "" || time.Until(l.LeaseUntil) > 2*time.Minute || l.Since.IsZero() {
		t.Errorf("the link: %+v", l)
	}
	if got, want := fmt.Sprintf("%v %v %s", s.DNS, s.NTP, s.Domain), "[192.168.77.1 192.168.77.2] [192.168.77.3] fritz.box"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	c.wantResolvConf("search fritz.box\nnameserver 192.168.77.1\nnameserver 192.168.77.2\n")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if said := r.dnsmasq.says(); !strings.Contains(said, "client provides name: "+host) {
		t.Errorf("the server does not hear the name %s: %s", host, said)
	}
	routes := c.ip("route show default")
	if strings.Count(routes, "\n") != 1 || !strings.Contains(routes, "default via 192.168.77.1 dev eth0") {
		t.Errorf("default routes: %q", routes)
	}

	// A program that ends leaves its address, and the next one goes on with it.
	c.program.cmd.Process.Kill()
	c.program.stop()
	c.wantAddresses("eth0 " + a.String() + "/24")
	c.boot()
	c.await("the address again", func(s status.Status) bool { l := find(s, "eth0"); return given(l).Addr() == a && l.Default })
	c.wantAddresses("eth0 " + a.String() + "/24")
}

// wantResolvConf compares with the file, without its comment.
func (c *camera) wantResolvConf(want string) {
	c.t.Helper()
	await(c.t, "resolv.conf", func() error {
		text, err := os.ReadFile(filepath.Join(c.dir, "resolv.conf"))
		if _, got, _ := strings.Cut(string(text), "\n"); err != nil || got != want {
			return fmt.Errorf("%v, %q, want %q", err, got, want)
		}
		return nil
	})
}

// The cable goes to another router, whose server refuses the old address, and to one
// whose server says nothing to it.
func TestMovedCable(t *testing.T) {
	t.Attr("fault", "network | the cable goes to another router | a new address, whatever the new router says to the old one | when that router has answered")
	t.Parallel()
	first := newRouter(t, "192.168.77.1/24")
	second := newRouter(t, "192.168.88.1/24", "--dhcp-authoritative")
	third := newRouter(t, "10.99.0.1/16")
	c := newCamera(t)
	c.plug("eth0", first)
	c.awaitAddress("eth0", first)
	for _, leg := range []struct{ from, to *router }{{first, second}, {second, third}} {
		c.move("eth0", leg.from, leg.to)
		a := c.awaitAddress("eth0", leg.to)
		c.wantAddresses(fmt.Sprintf("eth0 %v/%d", a, leg.to.prefix.Bits()))
		c.wantRoute("8.8.8.8", "eth0")
	}
	if said := second.dnsmasq.says(); !strings.Contains(said, "DHCPNAK") {
		t.Errorf("the second server has not refused the address: %s", said)
	}
}

// The router behind a switch is exchanged: no carrier tells it. The old address is
// no longer answered for.
func TestServerGoneAndBack(t *testing.T) {
	t.Attr("fault", "network | the router is exchanged behind a switch | the old address is given up | when the new one has answered")
	t.Parallel()
	r := newRouter(t, "192.168.77.1/24")
	c := newCamera(t)
	c.plug("eth0", r)
	before := c.awaitAddress("eth0", r)
	if len(r.whoHas(before, before)) != 1 {
		t.Fatalf("%v is not answered for", before)
	}
	r.be("192.168.88.1/24")
	after := c.awaitAddress("eth0", r)
	c.wantAddresses("eth0 " + after.String() + "/24")
	if got := r.whoHas(before, after); len(got) != 0 {
		t.Errorf("%v is still answered for by %v", before, got)
	}
	c.wantRoute("8.8.8.8", "eth0")
}

// whoHas are the hardware addresses that answer for an address on the router's
// switch. The last are addresses that each computer there answers for: it has heard
// the question before those, and so has answered it if it ever will.
func (r *router) whoHas(a netip.Addr, last ...netip.Addr) (found []string) {
	r.t.Helper()
	ear := r.listenARP()
	defer ear.Close()
	answered := make(map[netip.Addr]int)
	await(r.t, fmt.Sprintf("answers for %v", last), func() error {
		for _, target := range append([]netip.Addr{a}, last...) {
			ear.WriteTo(arpQuestion(ear.LocalAddr().(*packet.Addr).HardwareAddr, target), everybody)
		}
		ear.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		for b := make([]byte, 100); ; {
			size, _, err := ear.ReadFrom(b)
			if err != nil {
				break
			}
			if size < 28 || b[7] != 2 {
				continue
			}
			from := netip.AddrFrom4([4]byte(b[14:18]))
			answered[from]++
			if hw := net.HardwareAddr(b[8:14]).String(); from == a && !slices.Contains(found, hw) {
				found = append(found, hw)
			}
		}
		for _, l := range last {
			if answered[l] < 3 {
				return fmt.Errorf("%v has answered %d times", l, answered[l])
			}
		}
		return nil
	})
	return found
}

var everybody = &packet.Addr{HardwareAddr: net.HardwareAddr{255, 255, 255, 255, 255, 255}}

func (r *router) listenARP() (c *packet.Conn) {
	r.t.Helper()
	var err error
	r.do(func() {
		var ifi *net.Interface
		if ifi, err = net.InterfaceByName("lan"); err == nil {
			c, err = packet.Listen(ifi, packet.Datagram, unix.ETH_P_ARP, nil)
		}
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// arpQuestion asks for an address without having one.
func arpQuestion(from net.HardwareAddr, target netip.Addr) []byte {
	b := append([]byte{0, 1, 8, 0, 6, 4, 0, 1}, from...)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	return append(b, target.AsSlice()...)
}

// Adapters come, go and come again, of every name.
func TestAdapters(t *testing.T) {
	t.Attr("fault", "network | adapters come and go | each gets its address | at once")
	t.Parallel()
	r := newRouter(t, "192.168.77.1/24")
	other := newRouter(t, "192.168.88.1/24", "--dhcp-option=option:dns-server,192.168.88.1")
	c := newCamera(t)
	c.plug("usb0", other)
	c.awaitAddress("usb0", other)
	c.wantRoute("8.8.8.8", "usb0")
	c.plug("eth0", r)
	first := c.awaitAddress("eth0", r)
	c.wantRoute("8.8.8.8", "eth0") // Ethernet goes before usb
	c.plug("eth1", r)
	second := c.awaitAddress("eth1", r)
	if first == second {
		t.Errorf("two links have %v", first)
	}
	c.wantRoute("8.8.8.8", "eth0")
	s := c.await("three links", func(s status.Status) bool { return len(s.Links) == 3 })
	if got := fmt.Sprintf("%s %v %s %v %s %v %s", s.Links[0].Name, s.Links[0].Default, s.Links[1].Name, s.Links[1].Default, s.Links[2].Name, s.Links[2].Default, s.Links[2].Kind); got != "eth0 true eth1 false usb0 false usb" {
		t.Errorf("links by preference: %s", got)
	}
	// Two adapters are on one network, and each address is answered for by one.
	for _, a := range []netip.Addr{first, second} {
		if got := r.whoHas(a, first, second); len(got) != 1 {
			t.Errorf("%v is answered for by %v", a, got)
		}
	}
	r.ip("link set p-eth0 down") // no carrier: no route
	c.wantRoute("8.8.8.8", "eth1")
	c.ip("link del eth0")
	c.ip("link del eth1")
	c.wantRoute("8.8.8.8", "usb0")
	s = c.await("one link", func(s status.Status) bool { return len(s.Links) == 1 })
	if !s.Links[0].Default || fmt.Sprint(s.DNS) != "[192.168.88.1]" {
		t.Errorf("with usb0 alone: %+v", s)
	}
	c.plug("eth0", r) // another one, of the same name
	c.awaitAddress("eth0", r)
	c.wantRoute("8.8.8.8", "eth0")
	c.ip("link del usb0")
	c.await("one link", func(s status.Status) bool { return len(s.Links) == 1 && s.Links[0].Name == "eth0" })
	// A link that somebody has switched off is switched on again.
	c.ip("link set eth0 down")
	c.wantRoute("8.8.8.8", "eth0")
	c.ip("addr flush dev eth0")
	c.awaitAddress("eth0", r)
	c.wantRoute("8.8.8.8", "eth0")
}

// Nobody gives an address, until somebody does.
func TestNoServer(t *testing.T) {
	t.Attr("fault", "network | nobody gives an address | one of its own (link-local), by which the name is found | when a server comes")
	t.Parallel()
	r := newRouter(t, "192.168.77.1/24")
	r.shut()
	c := newCamera(t)
	c.plug("eth0", r)
	s := c.await("an address of its own", func(s status.Status) bool { return own(find(s, "eth0")).IsValid() })
	a := own(find(s, "eth0"))
	if l := find(s, "eth0"); l.Default || l.Router.IsValid() || !strings.Contains(l.Why, "no router gives an address") || !strings.Contains(l.Why, a.Addr().String()) {
		t.Errorf("the link: %+v", l)
	}
	c.wantAddresses("eth0 " + a.String())
	c.wantRoute("169.254.0.1", "eth0")
	c.wantRoute("8.8.8.8", "unreachable")
	if got := r.whoHas(a.Addr(), a.Addr()); len(got) != 1 {
		t.Errorf("%v is answered for by %v", a, got)
	}
	// Another computer has taken the same.
	r.ip("addr add " + a.Addr().String() + "/16 dev lan")
	ear := r.listenARP()
	defer ear.Close()
	hw := ear.LocalAddr().(*packet.Addr).HardwareAddr
	claim := append([]byte{0, 1, 8, 0, 6, 4, 0, 1}, hw...)
	claim = append(claim, a.Addr().AsSlice()...)
	claim = append(claim, make([]byte, 6)...)
	claim = append(claim, a.Addr().AsSlice()...)
	var again netip.Prefix
	await(t, "another address of its own", func() error {
		ear.WriteTo(claim, everybody)
		s, err := statusOf(t.Context(), c.socket())
		if again = own(find(s, "eth0")); err == nil && (!again.IsValid() || again == a) {
			err = fmt.Errorf("it has %v", again)
		}
		return err
	})
	c.wantAddresses("eth0 " + again.String())
	r.serve()
	given := c.awaitAddress("eth0", r)
	c.wantAddresses("eth0 " + given.String() + "/24")
	c.wantRoute("8.8.8.8", "eth0")
}

// The server gives an address that another computer has.
func TestConflict(t *testing.T) {
	t.Attr("fault", "network | another computer has the address | another one is taken | within seconds")
	t.Parallel()
	r := newRouter(t, "192.168.77.1/24")
	r.shut()
	other := newNamespace(t)
	r.ip("link add p-other type veth peer name eth0 netns " + other.path())
	r.ip("link set p-other master lan up")
	other.ip("link set eth0 up")
	other.ip("addr add 192.168.77.50/24 dev eth0")
	c := newCamera(t)
	c.plug("eth0", r)
	hw := strings.Fields(c.ip("-br link show eth0"))[2]
	r.serve("--no-ping", "--dhcp-host="+hw+",192.168.77.50")
	c.await("a sentence on it", func(s status.Status) bool {
		return strings.Contains(find(s, "eth0").Why, "has 192.168.77.50, which the router gave: another address is asked for")
	})
	a := c.awaitAddress("eth0", r)
	if a == netip.MustParseAddr("192.168.77.50") {
		t.Error("it has taken the other's address")
	}
	if said := r.dnsmasq.says(); !strings.Contains(said, "DHCPDECLINE") {
		t.Errorf("the server was not told: %s", said)
	}
	c.wantAddresses("eth0 " + a.String() + "/24")
}

// A lease of seconds is renewed again and again; when its server is gone, address
// and routes go with it.
func TestLeaseEnds(t *testing.T) {
	t.Attr("fault", "network | a lease runs out | address and routes go with it, and none is used for longer | the next lease")
	t.Parallel()
	r := newRouter(t, "192.168.77.1/24")
	r.shut()
	stop := r.lend(10 * time.Second)
	c := newCamera(t)
	c.plug("eth0", r)
	a := c.awaitAddress("eth0", r)
	s, err := statusOf(t.Context(), c.socket())
	if err != nil {
		t.Fatal(err)
	}
	first := find(s, "eth0").LeaseUntil
	c.await("a renewal", func(s status.Status) bool {
		l := find(s, "eth0")
		return l.LeaseUntil.After(first.Add(time.Second)) && given(l).Addr() == a
	})
	c.wantAddresses("eth0 " + a.String() + "/24")
	stop()
	c.await("no address of the router", func(s status.Status) bool { return !given(find(s, "eth0")).IsValid() })
	c.wantRoute("8.8.8.8", "unreachable")
	s = c.await("an address of its own", func(s status.Status) bool { return own(find(s, "eth0")).IsValid() })
	c.wantAddresses("eth0 " + own(find(s, "eth0")).String())
	// The kernel takes the address away if the program cannot.
	stop = r.lend(10 * time.Second)
	defer stop()
	a = c.awaitAddress("eth0", r)
	c.wantAddresses("eth0 " + a.String() + "/24")
	c.program.stop()
	c.wantAddresses()
}

// lend is a server that gives 192.168.77.70 for a time.
func (r *router) lend(length time.Duration) (stop func()) {
	r.t.Helper()
	handler := func(c net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
		kind := dhcpv4.MessageTypeAck
		switch m.MessageType() {
		case dhcpv4.MessageTypeDiscover:
			kind = dhcpv4.MessageTypeOffer
		case dhcpv4.MessageTypeRequest:
		default:
			return
		}
		reply, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(net.IPv4(192, 168, 77, 70)),
			dhcpv4.WithServerIP(r.prefix.Addr().AsSlice()), dhcpv4.WithRouter(r.prefix.Addr().AsSlice()), dhcpv4.WithNetmask(net.CIDRMask(24, 32)),
			dhcpv4.WithLeaseTime(uint32(length/time.Second)), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(r.prefix.Addr().AsSlice())))
		if err != nil {
			r.t.Errorf("a reply: %v", err)
			return
		}
		to := net.Addr(&net.UDPAddr{IP: net.IPv4bcast, Port: 68})
		if !m.ClientIPAddr.IsUnspecified() {
			to = peer
		}
		c.WriteTo(reply.ToBytes(), to)
	}
	var s *server4.Server
	var err error
	r.do(func() { s, err = server4.NewServer("lan", &net.UDPAddr{IP: net.IPv4zero, Port: 67}, handler) })
	if err != nil {
		r.t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { s.Serve() })
	stop = sync.OnceFunc(func() { s.Close(); serving.Wait() })
	r.t.Cleanup(stop)
	return stop
}

// IPv6 is the kernel's, but for the name servers; both go with the network.
func TestIPv6(t *testing.T) {
	t.Parallel()
	r := newRouter(t, "192.168.77.1/24")
	r.shut()
	r.ip("addr add 2001:db8:77::1/64 dev lan nodad")
	r.serve("--enable-ra", "--dhcp-range=2001:db8:77::,ra-only,64,2m",
		"--dhcp-option=option6:dns-server,[2001:db8:77::53]", "--dhcp-option=option:dns-server,192.168.77.1")
	other := newRouter(t, "192.168.88.1/24", "--dhcp-authoritative", "--dhcp-option=option:dns-server,192.168.88.1")
	c := newCamera(t)
	c.plug("eth0", r)
	has := func(s status.Status) bool {
		for _, a := range find(s, "eth0").Addresses {
			if a.From == status.IPv6 && netip.MustParsePrefix("2001:db8:77::/64").Contains(a.Prefix.Addr()) {
				return true
			}
		}
		return false
	}
	named := func(s status.Status) bool { return strings.Contains(fmt.Sprint(s.DNS), "2001:db8:77::53") }
	c.await("an address and a name server of IPv6", func(s status.Status) bool { return has(s) && named(s) && given(find(s, "eth0")).IsValid() })
	c.wantResolvConf("nameserver 192.168.77.1\nnameserver 2001:db8:77::53\n")
	c.move("eth0", r, other)
	c.awaitAddress("eth0", other)
	c.await("nothing of the old network's IPv6", func(s status.Status) bool { return !has(s) && !named(s) })
	c.wantResolvConf("nameserver 192.168.88.1\n")
	if said := c.ip("-6 route show default"); strings.TrimSpace(said) != "" {
		t.Errorf("a router of the old network is left: %s", said)
	}
}
