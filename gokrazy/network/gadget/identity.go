//go:build linux

package gadget

import (
	"crypto/sha256"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// An identity is what belongs to one board, and is the same at each start: a computer
// knows the adapter again, and two cameras at one computer are two networks.
type identity struct {
	serial string           // empty if the board does not tell
	mac    net.HardwareAddr // of this end; nil without a serial number: the kernel draws one
	peer   net.HardwareAddr // of the other one
	here   netip.Prefix     // this end's address, with the network
	there  netip.Addr       // the other end's
}

// serial is the board's serial number, which the firmware puts into the device tree.
// It is empty if there is none.
func serial(root device.Root) string {
	text, err := os.ReadFile(root.Path("proc/device-tree/serial-number"))
	if err != nil {
		return ""
	}
	// It goes into descriptors that other computers read.
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, string(text[:min(len(text), maxSerial)]))
}

// maxSerial is how much of a serial number is used, in bytes. A Pi's has 16.
const maxSerial = 32

// identify derives all of it from a serial number.
//
// The network is one of two hosts (RFC 3021 would have no room for a broadcast, by
// which DHCP goes) in a part of 10.0.0.0/8 that routers, VPNs and containers do not
// take by themselves. It is so small that it hides nothing of a network that uses
// all of 10.0.0.0/8.
func identify(serial string) identity {
	sum := sha256.Sum256([]byte("pushcam's USB port, " + serial))
	id := identity{serial: serial}
	if serial != "" {
		// Locally administered addresses of one host.
		id.mac = net.HardwareAddr{0x02, sum[0], sum[1], sum[2], sum[3], sum[4] &^ 1}
		id.peer = net.HardwareAddr{0x02, sum[0], sum[1], sum[2], sum[3], sum[4] | 1}
	}
	base := [4]byte{10, 64 + sum[5]%128, sum[6], sum[7] &^ 3}
	base[3]++
	id.here = netip.PrefixFrom(netip.AddrFrom4(base), 30)
	id.there = id.here.Addr().Next()
	return id
}
