//go:build linux

// Package dhcp gives addresses to the clients of a network that this computer makes
// itself (RFC 2131): that of the board's own USB port, and the set-up network.
package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"
)

// A Server gives each client one of a fixed number of addresses. When all are taken, a
// new client gets the one whose client has been silent for longest, so that nobody can
// keep others out by asking for many. Its fields must not change while it serves.
type Server struct {
	// Address is this computer's, with the network.
	Address netip.Prefix
	// First is the first address to give, and Count is how many there are from it on. They
	// are in the network of Address and differ in their last byte only.
	First netip.Addr
	Count int
	// LeaseTime is how long a client may keep its address without asking again.
	LeaseTime time.Duration
	// Router tells the clients that this computer is their router and name server.
	Router bool

	leases []lease // of First and those after it
}

// A lease is an address that is taken until a time. Nobody has it if client is empty:
// it was declined, because it is in use by a computer that did not ask for it.
type lease struct {
	client string // hardware address
	until  time.Time
}

// offerTime is how long an offered address waits for its client to take it.
const offerTime = 30 * time.Second

// maxMessage is the longest message that is read, in bytes.
const maxMessage = 2048

// Listen opens the server's socket on an interface; it hears and says nothing on others.
func Listen(ctx context.Context, name string) (net.PacketConn, error) {
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var bound error
		err := raw.Control(func(fd uintptr) {
			bound = errors.Join(unix.BindToDevice(int(fd), name), unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
		})
		return errors.Join(err, bound)
	}}
	conn, err := c.ListenPacket(ctx, "udp4", fmt.Sprintf(":%d", dhcpv4.ServerPort))
	if err != nil {
		return nil, fmt.Errorf("listen for DHCP on %s: %w", name, err)
	}
	return conn, nil
}

// Serve answers on conn, which it closes, until ctx is done, whose cause it returns, or
// conn fails. A Server serves once.
func (s *Server) Serve(ctx context.Context, conn net.PacketConn) error {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for message := make([]byte, maxMessage); ; {
		n, _, err := conn.ReadFrom(message)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case err != nil:
			return fmt.Errorf("DHCP: %w", err)
		}
		if answer, to := s.answer(time.Now(), message[:n]); answer != nil {
			// What is lost is asked for again.
			conn.SetWriteDeadline(time.Now().Add(time.Second))
			conn.WriteTo(answer, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, dhcpv4.ClientPort)))
		}
	}
}

// answer is what to say to a message, and to which address, or nil. The message may be
// anything.
func (s *Server) answer(now time.Time, message []byte) ([]byte, netip.Addr) {
	// By broadcast, because a client without an address need not take anything else.
	to := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	m, err := dhcpv4.FromBytes(message)
	if err != nil || m.OpCode != dhcpv4.OpcodeBootRequest || !m.GatewayIPAddr.IsUnspecified() || len(m.ClientHWAddr) == 0 {
		return nil, to
	}
	here := net.IP(s.Address.Addr().AsSlice())
	if chosen := m.ServerIdentifier(); chosen != nil && !chosen.Equal(here) {
		return nil, to // it takes another server's offer
	}
	client, has := string(m.ClientHWAddr), address(m.ClientIPAddr)
	var kind dhcpv4.MessageType
	var given netip.Addr
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		kind, given = dhcpv4.MessageTypeOffer, s.offer(now, client)
	case dhcpv4.MessageTypeRequest:
		kind, given = dhcpv4.MessageTypeAck, has
		if wanted := m.RequestedIPAddress(); wanted != nil {
			given = address(wanted)
		}
		if !s.take(now, client, given) {
			kind = dhcpv4.MessageTypeNak // as it comes from another network
		}
	case dhcpv4.MessageTypeInform:
		kind = dhcpv4.MessageTypeAck
	case dhcpv4.MessageTypeRelease:
		s.free(client, has, time.Time{})
		return nil, to
	case dhcpv4.MessageTypeDecline:
		s.free(client, address(m.RequestedIPAddress()), now.Add(s.LeaseTime))
		return nil, to
	default:
		return nil, to
	}
	about := []dhcpv4.Modifier{dhcpv4.WithMessageType(kind), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(here))}
	if kind != dhcpv4.MessageTypeNak {
		about = append(about, dhcpv4.WithNetmask(net.CIDRMask(s.Address.Bits(), 32)))
		if s.Router {
			about = append(about, dhcpv4.WithRouter(here), dhcpv4.WithDNS(here))
		}
		if given.IsValid() {
			about = append(about, dhcpv4.WithYourIP(given.AsSlice()), dhcpv4.WithLeaseTime(uint32(s.LeaseTime.Seconds())))
		}
		if kind == dhcpv4.MessageTypeAck && has != s.Address.Addr() && s.Address.Contains(has) {
			to = has // it has this address already, and hears nothing else when it renews it
		}
	}
	answer, err := dhcpv4.NewReplyFromRequest(m, about...)
	if err != nil {
		return nil, to // no random numbers; it is asked again
	}
	return answer.ToBytes(), to
}

// address is not valid if there is none.
func address(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip.To4())
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

// offer keeps an address for a client for a while.
func (s *Server) offer(now time.Time, client string) netip.Addr {
	all := s.all()
	place := 0
	for i, l := range all {
		if l.client == client {
			place = i
			break
		}
		if l.until.Before(all[place].until) {
			place = i
		}
	}
	if until := now.Add(offerTime); all[place].client != client || all[place].until.Before(until) {
		all[place] = lease{client, until}
	}
	return s.at(place)
}

// take gives a client an address that is its own or nobody's, and no other one.
func (s *Server) take(now time.Time, client string, wanted netip.Addr) bool {
	all := s.all()
	for i, l := range all {
		if s.at(i) == wanted && (l.client == client || !now.Before(l.until)) {
			for j := range all {
				if all[j].client == client {
					all[j] = lease{}
				}
			}
			all[i] = lease{client, now.Add(s.LeaseTime)}
			return true
		}
	}
	return false
}

// free takes a client's address from it, for nobody until then.
func (s *Server) free(client string, has netip.Addr, until time.Time) {
	for i, l := range s.all() {
		if s.at(i) == has && l.client == client {
			s.leases[i] = lease{until: until}
		}
	}
}

func (s *Server) all() []lease {
	if s.leases == nil {
		s.leases = make([]lease, s.Count)
	}
	return s.leases
}

// at is the address of a lease.
func (s *Server) at(place int) netip.Addr {
	a := s.First.As4()
	a[3] += byte(place)
	return netip.AddrFrom4(a)
}
