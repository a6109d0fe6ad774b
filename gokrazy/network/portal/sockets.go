//go:build linux

package portal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addAddresses gives a link addresses, which it may have already.
func addAddresses(name string, addresses []netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	for _, a := range addresses {
		if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: ipNet(a)}); err != nil {
			return fmt.Errorf("address %v of %s: %w", a, name, err)
		}
	}
	return nil
}

// removeAddresses takes them away. If the link has gone, so have they.
func removeAddresses(name string, addresses []netip.Prefix) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return
	}
	for _, a := range addresses {
		netlink.AddrDel(link, &netlink.Addr{IPNet: ipNet(a)})
	}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// listenConfig makes sockets that are one link's alone, so that nobody reaches them
// from another one, and that may be beside the camera's program, which listens at all
// addresses: of two listeners the kernel takes the one with the more particular address
// (socket(7), SO_REUSEPORT; the camera's sets it too).
func listenConfig(link string) net.ListenConfig {
	return net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var set error
		err := raw.Control(func(fd uintptr) {
			set = errors.Join(unix.BindToDevice(int(fd), link), unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
		})
		return errors.Join(err, set)
	}}
}

func listenUDP(ctx context.Context, link string, at netip.AddrPort) (net.PacketConn, error) {
	c := listenConfig(link)
	conn, err := c.ListenPacket(ctx, "udp4", at.String())
	if err != nil {
		return nil, fmt.Errorf("listen on %v of %s: %w", at, link, err)
	}
	return conn, nil
}

func listenTCP(ctx context.Context, link string, at netip.AddrPort) (net.Listener, error) {
	c := listenConfig(link)
	l, err := c.Listen(ctx, "tcp4", at.String())
	if err != nil {
		return nil, fmt.Errorf("listen on %v of %s: %w", at, link, err)
	}
	return l, nil
}
