package link

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/network/status"
)

const (
	// maxMessage is the longest message of DHCP that is read, in bytes.
	maxMessage = 1472
	// retryInterval is between tries of what the kernel has refused.
	retryInterval = 5 * time.Second
	// maxLinks bounds the interfaces that get addresses.
	maxLinks = 16
)

// A Manager gives all interfaces that have a cable or a radio their addresses and
// routes, as they come and go.
type Manager struct {
	// Hostname is asked for when a link comes, and told to DHCP servers; many routers
	// make a name of it.
	Hostname func() string
	// ResolvConf is the file that the name servers go to.
	ResolvConf string
	// Status gets what there is to say.
	Status *status.Server
	Log    *slog.Logger
	// Root is where /sys is looked for; empty means the system's.
	Root string
	// Serves says of a link that others get their addresses there from this computer:
	// it is left alone. nil says so of none. It is called by Run's goroutine.
	Serves func(link string) bool

	kernel  kernel
	links   map[int]*link // by index
	packets chan packetIn
	wrote   string // what ResolvConf has
	served  []status.Link
}

// A link is one interface.
type link struct {
	iface
	machine *machine
	sockets *sockets
	names   nameServers // that IPv6 routers tell

	applied bool      // the kernel has what have says
	have    config    //
	retry   time.Time // when to apply it again; zero is not needed
	said    string    // the last error
	moves   int       // of the machine, that IPv6 knows of
	ipv6    []netip.Prefix

	addresses []status.Address
	since     time.Time // that addresses are these
}

// An iface is what the kernel says of one interface.
type iface struct {
	index   int
	name    string
	hw      hardwareAddr
	up      bool // switched on
	carrier bool
	lost    bool // its carrier was away since the last look
	served  bool // its address is another part's of this program, which gives others theirs
}

// A packetIn has come on an interface. One of the three is there.
type packetIn struct {
	index int
	dhcp  dhcpMessage
	arp   *arpPacket
	ra    *advertisement
}

// kinds are the links by preference, with the least metric of their routes.
var kinds = map[status.Kind]int{status.Ethernet: 1 << 16, status.USB: 2 << 16, status.WiFi: 3 << 16}

func kindOf(name string) status.Kind {
	switch {
	case strings.HasPrefix(name, "wl"):
		return status.WiFi
	case strings.HasPrefix(name, "usb"):
		return status.USB
	}
	return status.Ethernet
}

// metric is that of the link's routes: no two links have the same, as the kernel
// would take a route to be another link's.
func (i *iface) metric() int { return kinds[kindOf(i.name)] + i.index&0xffff }

// Run does it until ctx is done, and leaves addresses and routes as they are: the
// next run goes on with them.
func (m *Manager) Run(ctx context.Context) error {
	m.links = make(map[int]*link)
	m.packets = make(chan packetIn, 64)
	m.kernel.root = m.Root
	if err := m.kernel.open(); err != nil {
		return err
	}
	defer m.kernel.close()
	m.kernel.setUp(m.Log)
	w := newWatcher(m.Log)
	defer w.run(ctx)()
	defer listenRouters(ctx, m.Log, m.deliver(ctx))()
	defer func() {
		for _, l := range m.links {
			l.sockets.close()
		}
	}()

	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.changed:
			m.look(time.Now(), w.takeLost())
		case p := <-m.packets:
			m.take(time.Now(), p)
		case <-timer.C:
			m.takeWaiting(time.Now())
		}
		timer.Reset(m.work(time.Now()))
	}
}

// deliver gives what readers of packets call.
func (m *Manager) deliver(ctx context.Context) func(packetIn) {
	return func(p packetIn) {
		select {
		case m.packets <- p:
		case <-ctx.Done():
		}
	}
}

// work does what is due and carries out what the machines want, and returns how
// long there is nothing to do.
func (m *Manager) work(now time.Time) time.Duration {
	next := now.Add(time.Hour)
	for _, l := range m.links {
		l.machine.step(now)
		m.carryOut(now, l)
		for _, t := range []time.Time{l.machine.next(), l.retry, l.names.expire(now)} {
			if !t.IsZero() && t.Before(next) {
				next = t
			}
		}
	}
	m.publish(now)
	return next.Sub(now)
}

// carryOut makes the interface what its machine wants it to be.
func (m *Manager) carryOut(now time.Time, l *link) {
	if l.moves != l.machine.moves {
		l.moves = l.machine.moves
		l.names = nil
		m.kernel.restartIPv6(l.name)
	}
	want := l.machine.config()
	if l.applied && l.have.equal(want) || !l.retry.IsZero() && now.Before(l.retry) && l.have.equal(want) {
		return
	}
	err := m.kernel.apply(&l.iface, want, now)
	l.have, l.applied, l.retry = want, err == nil, time.Time{}
	if err == nil {
		l.said = ""
		return
	}
	l.retry = now.Add(retryInterval)
	if said := err.Error(); said != l.said {
		l.said = said
		m.Log.Error("the kernel does not take the address or a route of a link; it is tried again", "link", l.name, "error", err)
	}
}

func (c config) equal(o config) bool {
	return c.address == o.address && c.until.Equal(o.until) && c.carrier == o.carrier && slices.Equal(c.routes, o.routes)
}

// take hands a packet to the machine that it is for.
func (m *Manager) take(now time.Time, p packetIn) {
	l := m.links[p.index]
	if l == nil {
		return
	}
	switch {
	case p.dhcp != nil:
		l.machine.dhcp(now, p.dhcp)
	case p.arp != nil:
		l.machine.arp(now, *p.arp)
	case p.ra != nil:
		l.names = l.names.add(p.ra.names, now)
	}
}

// takeWaiting takes the packets that came before something became due, on a machine
// that was busy: an answer is not late because it was read late.
func (m *Manager) takeWaiting(now time.Time) {
	for range cap(m.packets) {
		select {
		case p := <-m.packets:
			m.take(now, p)
		default:
			return
		}
	}
}

// look finds out which interfaces there are now. lost are those whose carrier was
// away meanwhile, even if it is back.
func (m *Manager) look(now time.Time, lost map[int]bool) {
	ifaces, addresses, err := m.kernel.list()
	if err != nil {
		m.Log.Error("the kernel does not tell its interfaces", "error", err)
		return
	}
	there := make(map[int]bool)
	m.served = nil
	for _, i := range ifaces {
		if i.served || m.Serves != nil && m.Serves(i.name) {
			m.served = append(m.served, servedLink(&i, addresses[i.index]))
			continue
		}
		i.lost = lost[i.index]
		l := m.links[i.index]
		if l != nil && (l.hw != i.hw || l.name != i.name) {
			m.remove(l)
			l = nil
		}
		if l == nil {
			if len(m.links) >= maxLinks {
				continue
			}
			if l = m.add(now, i); l == nil {
				continue
			}
		}
		there[i.index] = true
		l.iface, l.ipv6 = i, nil
		for _, p := range addresses[i.index] {
			if p.Addr().Is6() {
				l.ipv6 = append(l.ipv6, p)
			}
		}
		if l.have.address.IsValid() && !slices.Contains(addresses[i.index], l.have.address) {
			l.applied = false // somebody has taken it away
		}
		if !i.up {
			if err := m.kernel.switchOn(i.index); err != nil {
				m.Log.Warn("a link cannot be switched on", "link", i.name, "error", err)
			}
		}
		if i.lost {
			l.applied = false // routes may have gone with it
			l.machine.setCarrier(now, false)
		}
		if i.carrier != l.machine.carrier {
			m.Log.Info("the carrier has changed", "link", i.name, "carrier", i.carrier)
		}
		l.machine.setCarrier(now, i.carrier)
	}
	for index, l := range m.links {
		if !there[index] {
			m.remove(l)
		}
	}
}

// add begins with an interface. It returns nil if that has gone again.
func (m *Manager) add(now time.Time, i iface) *link {
	s, err := openSockets(i, m.packets)
	if err != nil {
		m.Log.Warn("a link cannot be used", "link", i.name, "error", err)
		return nil
	}
	l := &link{iface: i, sockets: s, since: now}
	l.machine = &machine{
		hw:       i.hw,
		hostname: m.Hostname(),
		out:      s,
		log:      m.Log.With("link", i.name),
		rand:     rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
	if address, until, ok := m.kernel.address(i.index, now); ok {
		l.machine.adopt(address, until)
	}
	m.kernel.prepare(&i)
	m.links[i.index] = l
	m.Log.Info("a link has come", "link", i.name, "device", i.hw)
	return l
}

func (m *Manager) remove(l *link) {
	l.sockets.close()
	delete(m.links, l.index)
	m.Log.Info("a link has gone", "link", l.name)
}

// manageable says whether an interface is one for a Manager: an Ethernet-like device,
// and no part of another one.
func manageable(kind string, flags uint32, hw net.HardwareAddr, master int) bool {
	return (kind == "device" || kind == "wlan" || kind == "veth") && flags&unix.IFF_LOOPBACK == 0 && len(hw) == len(hardwareAddr{}) && master == 0
}
