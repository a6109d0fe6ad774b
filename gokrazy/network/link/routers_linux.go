package link

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
)

// An advertisement is what an IPv6 router tells that the kernel does not use: the
// name servers (RFC 8106).
type advertisement struct {
	names []nameServer
}

// listenRouters delivers the advertisements that come on all interfaces, until ctx
// is done. It gives what waits for its end. The kernel asks for them by itself.
func listenRouters(ctx context.Context, log *slog.Logger, deliver func(packetIn)) (wait func()) {
	conn, err := net.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		log.Warn("there is no IPv6", "error", err)
		return func() {}
	}
	c := ipv6.NewPacketConn(conn)
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	if err := errors.Join(c.SetICMPFilter(&filter), c.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagInterface, true)); err != nil {
		log.Warn("name servers of IPv6 are not heard of", "error", err)
		conn.Close()
		return func() {}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	var running sync.WaitGroup
	running.Go(func() {
		for b := make([]byte, maxMessage); ; {
			n, cm, from, err := c.ReadFrom(b)
			if errors.Is(err, net.ErrClosed) {
				return
			} else if err != nil {
				time.Sleep(readPause)
				continue
			}
			source, ok := from.(*net.IPAddr)
			if !ok || cm == nil || cm.HopLimit != 255 || !source.IP.IsLinkLocalUnicast() { // RFC 4861, 6.1.2
				continue
			}
			if ra, err := parseAdvertisement(b[:n]); err == nil && len(ra.names) > 0 {
				deliver(packetIn{index: cm.IfIndex, ra: ra})
			}
		}
	})
	return func() {
		stop()
		conn.Close()
		running.Wait()
	}
}

// parseAdvertisement reads a message of ICMPv6.
func parseAdvertisement(b []byte) (*advertisement, error) {
	m, err := ndp.ParseMessage(b)
	if err != nil {
		return nil, err
	}
	ra, ok := m.(*ndp.RouterAdvertisement)
	if !ok {
		return nil, errors.New("not a router's advertisement")
	}
	found := new(advertisement)
	for _, o := range ra.Options {
		servers, ok := o.(*ndp.RecursiveDNSServer)
		if !ok {
			continue
		}
		for _, a := range servers.Servers {
			if a.Is6() && !a.Is4In6() && !a.IsMulticast() && !a.IsUnspecified() && !a.IsLoopback() {
				found.names = append(found.names, nameServer{a.WithZone(""), servers.Lifetime})
			}
		}
	}
	return found, nil
}

// A nameServer is good for a while from when it is told.
type nameServer struct {
	address  netip.Addr
	lifetime time.Duration // 0: no longer
}

// nameServers are those that routers of a link have told, and until when each is
// good.
type nameServers []heldServer

type heldServer struct {
	address netip.Addr
	until   time.Time
}

// add takes what a router has told now. Newer ones come last, as the first is the
// router's own choice.
func (held nameServers) add(told []nameServer, now time.Time) nameServers {
	for _, n := range told {
		var kept nameServers
		known := false
		for _, h := range held {
			if h.address == n.address {
				known = true
				h.until = now.Add(n.lifetime)
			}
			if h.until.After(now) {
				kept = append(kept, h)
			}
		}
		if !known && n.lifetime > 0 && len(kept) < maxServers {
			kept = append(kept, heldServer{n.address, now.Add(n.lifetime)})
		}
		held = kept
	}
	return held
}

// expire drops those that are no longer good, and says when the next one will be.
func (held *nameServers) expire(now time.Time) (next time.Time) {
	var kept nameServers
	for _, h := range *held {
		if !h.until.After(now) {
			continue
		}
		kept = append(kept, h)
		if next.IsZero() || h.until.Before(next) {
			next = h.until
		}
	}
	*held = kept
	return next
}

// addresses are the servers', those of the link itself with its name.
func (held nameServers) addresses(link string) (found []netip.Addr) {
	for _, h := range held {
		a := h.address
		if a.IsLinkLocalUnicast() {
			a = a.WithZone(link)
		}
		found = append(found, a)
	}
	return found
}
