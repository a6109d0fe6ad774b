//go:build linux

package gadget

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

// leaseTime is how long the other computer may keep its address without asking
// again. Nobody else gets it.
const leaseTime = time.Hour

// A server gives the one other computer of a network its address (RFC 2131).
type server struct {
	address netip.Prefix // this computer's
	client  netip.Addr   // the other one's

	conn net.PacketConn
}

// listen opens the server's socket, which hears and says nothing on other interfaces.
func (s *server) listen(ctx context.Context, name string) (err error) {
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var bound error
		err := raw.Control(func(fd uintptr) {
			bound = errors.Join(unix.BindToDevice(int(fd), name), unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
		})
		return errors.Join(err, bound)
	}}
	if s.conn, err = c.ListenPacket(ctx, "udp4", fmt.Sprintf(":%d", dhcpv4.ServerPort)); err != nil {
		return fmt.Errorf("listen for DHCP on %s: %w", name, err)
	}
	return nil
}

func (s *server) close() { s.conn.Close() }

// serve answers until ctx is done, or the network does not work any more, for which
// it looks now and then. It returns the reason.
func (s *server) serve(ctx context.Context, works func() bool) error {
	stop := context.AfterFunc(ctx, func() { s.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	packet := make([]byte, 2048)
	for checked := time.Now(); ; {
		if time.Since(checked) >= checkPause {
			if !works() {
				return errGone
			}
			checked = time.Now()
		}
		s.conn.SetReadDeadline(time.Now().Add(checkPause))
		if ctx.Err() != nil { // after the deadline was set: else it would undo the end
			return ctx.Err()
		}
		n, _, err := s.conn.ReadFrom(packet)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case err != nil:
			return fmt.Errorf("DHCP: %w", err)
		}
		if answer := s.answer(packet[:n]); answer != nil {
			// By broadcast, because a client without an address need not take anything else.
			// There is nobody else to hear it. What is lost is asked for again.
			s.conn.SetWriteDeadline(time.Now().Add(time.Second))
			s.conn.WriteTo(answer, &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpv4.ClientPort})
		}
	}
}

// answer is what to say to a message, or nil. The message may be anything.
func (s *server) answer(message []byte) []byte {
	m, err := dhcpv4.FromBytes(message)
	if err != nil || m.OpCode != dhcpv4.OpcodeBootRequest || !m.GatewayIPAddr.IsUnspecified() {
		return nil
	}
	here := net.IP(s.address.Addr().AsSlice())
	if chosen := m.ServerIdentifier(); chosen != nil && !chosen.Equal(here) {
		return nil // it takes another server's offer
	}
	var kind dhcpv4.MessageType
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		kind = dhcpv4.MessageTypeOffer
	case dhcpv4.MessageTypeRequest:
		kind = dhcpv4.MessageTypeAck
		wanted := m.RequestedIPAddress()
		if wanted == nil {
			wanted = m.ClientIPAddr
		}
		if !wanted.Equal(s.client.AsSlice()) {
			kind = dhcpv4.MessageTypeNak // it comes from another network
		}
	case dhcpv4.MessageTypeInform:
		kind = dhcpv4.MessageTypeAck
	default:
		return nil
	}
	about := []dhcpv4.Modifier{dhcpv4.WithMessageType(kind), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(here))}
	if kind != dhcpv4.MessageTypeNak {
		about = append(about, dhcpv4.WithNetmask(net.CIDRMask(s.address.Bits(), 32)))
		if m.MessageType() != dhcpv4.MessageTypeInform {
			about = append(about, dhcpv4.WithYourIP(s.client.AsSlice()), dhcpv4.WithLeaseTime(uint32(leaseTime.Seconds())))
		}
	}
	answer, err := dhcpv4.NewReplyFromRequest(m, about...)
	if err != nil {
		return nil // no random numbers; it is asked again
	}
	return answer.ToBytes()
}
