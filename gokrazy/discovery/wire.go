package discovery

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	port = 5353 // of multicast DNS
	// maxPacket is the largest message in bytes, headers included (RFC 6762, 17).
	maxPacket = 9000
	// backlog is how many packets wait for the loop; more are dropped.
	backlog = 64
	// sendTimeout is how long one packet may wait for room in the socket.
	sendTimeout = 250 * time.Millisecond
	readPause   = 50 * time.Millisecond
	hops        = 255 // RFC 6762, 11
)

var (
	group4 = netip.MustParseAddr("224.0.0.251")
	group6 = netip.MustParseAddr("ff02::fb")
)

// A packet is one that came in.
type packet struct {
	data    []byte
	from    netip.AddrPort
	network *network
}

// A wire carries multicast DNS over several networks.
type wire interface {
	// packets gives what comes in from hosts on the networks.
	packets() <-chan packet
	// multicast sends to all hosts on a network, over IPv4 and IPv6.
	multicast(*network, []byte) error
	// unicast sends to one host.
	unicast(*network, netip.AddrPort, []byte) error
	// close ends the wire and waits until nothing of it runs.
	close()
}

// sockets is the wire of a real computer: a socket per family on the port that
// other programs of the computer listen on too.
type sockets struct {
	v4       *ipv4.PacketConn
	v6       *ipv6.PacketConn
	networks map[int]*network // by index
	in       chan packet
	readers  sync.WaitGroup
}

var _ wire = (*sockets)(nil)

// openSockets joins multicast DNS on the networks. It fails if neither family
// can be had on any of them.
func openSockets(networks []*network) (wire, error) {
	s := &sockets{networks: make(map[int]*network), in: make(chan packet, backlog)}
	for _, n := range networks {
		s.networks[n.index] = n
	}
	err4, err6 := s.open4(networks), s.open6(networks)
	if s.v4 == nil && s.v6 == nil {
		return nil, errors.Join(err4, err6)
	}
	if s.v4 != nil {
		s.readers.Go(func() { s.read(s.read4) })
	}
	if s.v6 != nil {
		s.readers.Go(func() { s.read(s.read6) })
	}
	return s, nil
}

func (s *sockets) open4(networks []*network) error {
	// A group's address makes package net share the port with other programs; the
	// socket is bound to the wildcard address.
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(group4, port)))
	if err != nil {
		return fmt.Errorf("cannot open multicast DNS over IPv4: %w", err)
	}
	p := ipv4.NewPacketConn(c)
	err = errors.Join(p.SetControlMessage(ipv4.FlagInterface, true), p.SetMulticastTTL(hops), p.SetTTL(hops), p.SetMulticastLoopback(true))
	if err == nil {
		err = join(networks, netip.Addr.Is4, func(i *net.Interface) error {
			return p.JoinGroup(i, &net.UDPAddr{IP: group4.AsSlice()})
		})
	}
	if err != nil {
		p.Close()
		return fmt.Errorf("cannot join multicast DNS over IPv4: %w", err)
	}
	s.v4 = p
	return nil
}

func (s *sockets) open6(networks []*network) error {
	c, err := net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(group6, port)))
	if err != nil {
		return fmt.Errorf("cannot open multicast DNS over IPv6: %w", err)
	}
	p := ipv6.NewPacketConn(c)
	err = errors.Join(p.SetControlMessage(ipv6.FlagInterface, true), p.SetMulticastHopLimit(hops), p.SetHopLimit(hops), p.SetMulticastLoopback(true))
	if err == nil {
		err = join(networks, netip.Addr.Is6, func(i *net.Interface) error {
			return p.JoinGroup(i, &net.UDPAddr{IP: group6.AsSlice()})
		})
	}
	if err != nil {
		p.Close()
		return fmt.Errorf("cannot join multicast DNS over IPv6: %w", err)
	}
	s.v6 = p
	return nil
}

// join joins the networks that have an address of a family. It fails if it can
// join none.
func join(networks []*network, family func(netip.Addr) bool, group func(*net.Interface) error) error {
	var errs []error
	joined := 0
	for _, n := range networks {
		if !n.speaks(family) {
			continue
		}
		if err := group(&net.Interface{Index: n.index, Name: n.name}); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", n.name, err))
			continue
		}
		joined++
	}
	if joined == 0 {
		return errors.Join(append(errs, errors.New("no network has an address for it"))...)
	}
	return nil
}

func (n *network) speaks(family func(netip.Addr) bool) bool {
	for _, p := range n.prefixes {
		if family(p.Addr()) {
			return true
		}
	}
	return false
}

func (s *sockets) packets() <-chan packet { return s.in }

// read receives until the socket is closed. A socket that cannot be read now, as
// while its interface goes, is tried again after a while.
func (s *sockets) read(from func(buf []byte) (n, index int, src net.Addr, err error)) {
	buf := make([]byte, maxPacket)
	for {
		n, index, src, err := from(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(readPause)
		default:
			s.receive(buf[:n], src, index)
		}
	}
}

func (s *sockets) read4(buf []byte) (int, int, net.Addr, error) {
	n, cm, src, err := s.v4.ReadFrom(buf)
	if cm == nil {
		return n, 0, src, err
	}
	return n, cm.IfIndex, src, err
}

func (s *sockets) read6(buf []byte) (int, int, net.Addr, error) {
	n, cm, src, err := s.v6.ReadFrom(buf)
	if cm == nil {
		return n, 0, src, err
	}
	return n, cm.IfIndex, src, err
}

// receive hands a packet on, unless it comes from afar or too many wait. It
// keeps nothing of data.
func (s *sockets) receive(data []byte, from net.Addr, index int) {
	udp, ok := from.(*net.UDPAddr)
	n := s.networks[index]
	if !ok || n == nil {
		return
	}
	addr := netip.AddrPortFrom(udp.AddrPort().Addr().Unmap(), uint16(udp.Port))
	if !n.has(addr.Addr()) {
		return
	}
	select {
	case s.in <- packet{append([]byte(nil), data...), addr, n}:
	default:
	}
}

func (s *sockets) multicast(n *network, data []byte) error {
	var errs []error
	if s.v4 != nil && n.speaks(netip.Addr.Is4) {
		errs = append(errs, s.unicast(n, netip.AddrPortFrom(group4, port), data))
	}
	if s.v6 != nil && n.speaks(netip.Addr.Is6) {
		errs = append(errs, s.unicast(n, netip.AddrPortFrom(group6, port), data))
	}
	return errors.Join(errs...)
}

func (s *sockets) unicast(n *network, to netip.AddrPort, data []byte) error {
	addr := net.UDPAddrFromAddrPort(to)
	deadline := time.Now().Add(sendTimeout)
	var err error
	switch {
	case to.Addr().Is4() && s.v4 != nil:
		s.v4.SetWriteDeadline(deadline)
		_, err = s.v4.WriteTo(data, &ipv4.ControlMessage{IfIndex: n.index}, addr)
	case to.Addr().Is6() && s.v6 != nil:
		s.v6.SetWriteDeadline(deadline)
		_, err = s.v6.WriteTo(data, &ipv6.ControlMessage{IfIndex: n.index}, addr)
	}
	return err
}

func (s *sockets) close() {
	if s.v4 != nil {
		s.v4.Close()
	}
	if s.v6 != nil {
		s.v6.Close()
	}
	s.readers.Wait()
}
