//go:build linux

// Package gadget makes the board's own USB port a network adapter for the computer
// at the other end of the cable: a laptop and a cable are enough to see the camera,
// without a router.
//
// The port must be one that can be a device, as the Zero 2 W's and the power socket
// of a Pi 4. The adapter speaks CDC-NCM, the one class for which Linux, macOS and
// Windows all have a driver: Windows 11 by the class alone, Windows 10 by the
// descriptor of Microsoft's that goes with it (Documentation/usb/gadget_configfs.rst;
// Windows has no driver for CDC-ECM, and macOS none that is well for it in a
// composite device).
//
// The laptop gets its address by DHCP, because that is what all three ask for
// first: NetworkManager gives up a link without an answer, and macOS and Windows
// wait for seconds before they take a link-local one. It gets no router and no name
// server, so that its own way to the Internet stays as it is.
package gadget

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/network/dhcp"
)

// A Link is the network on the board's USB port. Its fields must not change while
// Run runs.
type Link struct {
	// Root is where /sys and /proc are looked for.
	Root device.Root
	// Product is what the other computer calls the adapter.
	Product string
	// Log gets a line per change. nil discards.
	Log *slog.Logger

	mount func(dir string) error                        // mounts configfs; nil means the kernel's
	up    func(name string, address netip.Prefix) error // nil means the kernel's
}

// leaseTime is how long the other computer may keep its address without asking again.
// Nobody else gets it.
const leaseTime = time.Hour

// checkPause is how often Run looks whether the port is still as it was set up, and
// tries again what has failed.
const checkPause = 10 * time.Second

var (
	errNoPort = errors.New("this board has no USB port that can be a device")
	errGone   = errors.New("the USB port is not as it was set up any more")
	errMute   = errors.New("nothing that is sent reaches the other computer")
)

// Run sets up the port and gives the computer that is plugged into it an address,
// until ctx is done. The port stays as it is then: who starts Run again goes on where
// it ended, and the other computer notices nothing.
func (l *Link) Run(ctx context.Context) {
	if l.Log == nil {
		l.Log = slog.New(slog.DiscardHandler)
	}
	said := ""
	for {
		err := l.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errGone) {
			continue // serve has looked for a while
		}
		if errors.Is(err, errMute) {
			l.Log.Warn("the board's own USB port is set up anew", "why", err)
			continue // likewise
		}
		if err.Error() != said {
			said = err.Error()
			if errors.Is(err, errNoPort) {
				l.Log.Debug("no network on a USB cable", "err", err)
			} else {
				l.Log.Warn("no network on the board's own USB port", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(checkPause):
		}
	}
}

// serve returns why there is no network any more.
func (l *Link) serve(ctx context.Context) error {
	ports, err := os.ReadDir(l.Root.Path("sys/class/udc"))
	if err != nil || len(ports) == 0 {
		return errNoPort
	}
	id := identify(serial(l.Root))
	port := newPort(l.Root, ports[0].Name(), l.mount)
	name, err := port.setUp(l.Product, id)
	if err != nil {
		return err
	}
	up := l.up
	if up == nil {
		up = bringUp
	}
	if err := up(name, id.here); err != nil {
		return fmt.Errorf("address of %s: %w", name, err)
	}
	listening, err := dhcp.Listen(ctx, name)
	if err != nil {
		return err
	}
	conn := &countingConn{PacketConn: listening}
	l.Log.Info("network on the board's own USB port", "interface", name, "address", id.here)
	ctx, end := context.WithCancelCause(ctx)
	var checking sync.WaitGroup
	checking.Go(func() {
		var m mute
		for port.works(name) {
			if m.look(conn.written.Load(), port.sent(name)) {
				end(errors.Join(errMute, port.remove()))
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(checkPause):
			}
		}
		end(errGone)
	})
	defer checking.Wait()
	defer end(nil)
	s := &dhcp.Server{Address: id.here, First: id.there, Count: 1, LeaseTime: leaseTime}
	return s.Serve(ctx, conn)
}

// A countingConn counts what is written to it.
type countingConn struct {
	net.PacketConn
	written atomic.Uint64
}

func (c *countingConn) WriteTo(b []byte, to net.Addr) (int, error) {
	n, err := c.PacketConn.WriteTo(b, to)
	if err == nil {
		c.written.Add(1)
	}
	return n, err
}

// mute tells when a port swallows what is sent. Linux's driver for it (f_ncm, seen in 6.1
// in one start of about 25) sometimes receives for ever and sends nothing, counts no
// errors, and goes on so when its interface was down and up.
type mute struct {
	written, sent uint64 // at the last look
}

// look compares how many answers were written, and how many packets the interface has
// sent, with the last time.
func (m *mute) look(written, sent uint64) bool {
	is := written >= m.written+2 && sent == m.sent
	*m = mute{written, sent}
	return is
}
