package link

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

type dhcpMessage = *dhcpv4.DHCPv4

const (
	serverPort = 67
	clientPort = 68
	// sendTimeout is for a packet to get into the interface's queue.
	sendTimeout = time.Second
	// readPause is after an error of a socket, as when the interface is switched off.
	readPause = 200 * time.Millisecond
)

// sockets are those of one interface. Packets that come go to a channel.
type sockets struct {
	iface   iface
	raw     *packet.Conn
	dhcp    net.PacketConn // raw, as UDP
	arpConn *packet.Conn
	renewal net.Conn // to the server of the lease; nil is none
	closed  chan struct{}
	reading sync.WaitGroup
}

var _ wire = (*sockets)(nil)

func openSockets(i iface, out chan<- packetIn) (*sockets, error) {
	ifi := &net.Interface{Index: i.index, Name: i.name, HardwareAddr: i.hw[:]}
	s := &sockets{iface: i, closed: make(chan struct{})}
	var err error
	if s.raw, err = packet.Listen(ifi, packet.Datagram, unix.ETH_P_IP, &packet.Config{Filter: toClientPort}); err != nil {
		return nil, err
	}
	if s.arpConn, err = packet.Listen(ifi, packet.Datagram, unix.ETH_P_ARP, nil); err != nil {
		s.raw.Close()
		return nil, err
	}
	s.dhcp = nclient4.NewBroadcastUDPConn(s.raw, &net.UDPAddr{Port: clientPort})
	s.read(s.dhcp, func(b []byte) {
		if m, err := dhcpv4.FromBytes(b); err == nil {
			s.deliver(out, packetIn{index: i.index, dhcp: m})
		}
	})
	s.read(s.arpConn, func(b []byte) {
		if p, err := parseARP(b); err == nil {
			s.deliver(out, packetIn{index: i.index, arp: &p})
		}
	})
	return s, nil
}

// toClientPort lets packets of UDP to a DHCP client's port through, and not the
// thousands a second of a stream.
var toClientPort = assemble(
	bpf.LoadAbsolute{Off: 9, Size: 1}, // protocol
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_UDP, SkipFalse: 6},
	bpf.LoadAbsolute{Off: 6, Size: 2}, // place of a fragment
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 4},
	bpf.LoadMemShift{Off: 0}, // length of the header
	bpf.LoadIndirect{Off: 2, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: clientPort, SkipFalse: 1},
	bpf.RetConstant{Val: 64 << 10},
	bpf.RetConstant{Val: 0},
)

func assemble(instructions ...bpf.Instruction) []bpf.RawInstruction {
	raw, err := bpf.Assemble(instructions)
	if err != nil {
		panic(err) // they are constants
	}
	return raw
}

// read calls use with each packet until the sockets are closed.
func (s *sockets) read(c net.PacketConn, use func([]byte)) {
	s.reading.Go(func() {
		for b := make([]byte, maxMessage); ; {
			n, _, err := c.ReadFrom(b)
			switch {
			case err == nil:
				use(b[:n])
			case errors.Is(err, net.ErrClosed):
				return
			default:
				select {
				case <-s.closed:
					return
				case <-time.After(readPause):
				}
			}
		}
	})
}

func (s *sockets) deliver(out chan<- packetIn, p packetIn) {
	select {
	case out <- p:
	case <-s.closed:
	}
}

func (s *sockets) close() {
	close(s.closed)
	s.raw.Close()
	s.arpConn.Close()
	if s.renewal != nil {
		s.renewal.Close()
	}
	s.reading.Wait()
}

func (s *sockets) broadcast(m *dhcpv4.DHCPv4) {
	s.raw.SetWriteDeadline(time.Now().Add(sendTimeout))
	s.dhcp.WriteTo(m.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: serverPort})
}

func (s *sockets) arp(p arpPacket) {
	s.arpConn.SetWriteDeadline(time.Now().Add(sendTimeout))
	s.arpConn.WriteTo(p.marshal(), &packet.Addr{HardwareAddr: nclient4.BroadcastMac})
}

// unicast sends by the kernel, which finds the way. The answer is read where all
// are; the socket stays open, or the kernel would refuse it.
func (s *sockets) unicast(m *dhcpv4.DHCPv4, from, to netip.Addr) {
	if s.renewal != nil {
		s.renewal.Close()
		s.renewal = nil
	}
	d := net.Dialer{
		Timeout:   sendTimeout,
		LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, clientPort)),
		Control: func(_, _ string, c syscall.RawConn) (err error) {
			if failed := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), s.iface.name) }); failed != nil {
				return failed
			}
			return err
		},
	}
	c, err := d.DialContext(context.Background(), "udp4", netip.AddrPortFrom(to, serverPort).String())
	if err != nil {
		return
	}
	s.renewal = c
	c.SetWriteDeadline(time.Now().Add(sendTimeout))
	c.Write(m.ToBytes())
}
