package link

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
)

// A hardwareAddr is an Ethernet address.
type hardwareAddr [6]byte

func (h hardwareAddr) String() string { return net.HardwareAddr(h[:]).String() }

// An arpPacket is one of RFC 826 for IPv4 over Ethernet.
type arpPacket struct {
	op                 uint16
	senderHW, targetHW hardwareAddr
	senderIP, targetIP netip.Addr
}

const (
	arpRequest = 1
	arpReply   = 2
	arpLen     = 28
)

var (
	// arpHeader says Ethernet, IPv4 and the lengths of their addresses.
	arpHeader   = [6]byte{0, 1, 8, 0, 6, 4}
	unspecified = netip.IPv4Unspecified()
	errNotARP   = errors.New("not ARP for IPv4 over Ethernet")
)

func (p arpPacket) marshal() []byte {
	b := append(make([]byte, 0, arpLen), arpHeader[:]...)
	b = binary.BigEndian.AppendUint16(b, p.op)
	b = append(b, p.senderHW[:]...)
	b = append(b, p.senderIP.AsSlice()...)
	b = append(b, p.targetHW[:]...)
	return append(b, p.targetIP.AsSlice()...)
}

// parseARP reads a packet, behind which an Ethernet frame may have padding.
func parseARP(b []byte) (arpPacket, error) {
	if len(b) < arpLen || [6]byte(b) != arpHeader {
		return arpPacket{}, errNotARP
	}
	p := arpPacket{
		op:       binary.BigEndian.Uint16(b[6:]),
		senderHW: hardwareAddr(b[8:]),
		senderIP: netip.AddrFrom4([4]byte(b[14:])),
		targetHW: hardwareAddr(b[18:]),
		targetIP: netip.AddrFrom4([4]byte(b[24:])),
	}
	if p.op != arpRequest && p.op != arpReply {
		return arpPacket{}, errNotARP
	}
	return p, nil
}

// probeARP asks whether anybody has an address, without claiming it (RFC 5227, 1.1).
func probeARP(from hardwareAddr, a netip.Addr) arpPacket {
	return arpPacket{op: arpRequest, senderHW: from, senderIP: unspecified, targetIP: a}
}

// announceARP tells all that an address is this computer's.
func announceARP(from hardwareAddr, a netip.Addr) arpPacket {
	return arpPacket{op: arpRequest, senderHW: from, senderIP: a, targetIP: a}
}

// claims says whether the packet is of somebody who uses the address.
func (p arpPacket) claims(a netip.Addr) bool { return p.senderIP == a }

// wants says whether the packet is of somebody who claims the address or asks
// whether he can have it.
func (p arpPacket) wants(a netip.Addr) bool {
	return p.claims(a) || p.op == arpRequest && p.senderIP == unspecified && p.targetIP == a
}
