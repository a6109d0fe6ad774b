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
	"net/netip"
	"os"
	"sync"
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
	conn, err := dhcp.Listen(ctx, name)
	if err != nil {
		return err
	}
	l.Log.Info("network on the board's own USB port", "interface", name, "address", id.here)
	ctx, end := context.WithCancelCause(ctx)
	var checking sync.WaitGroup
	checking.Go(func() {
		for port.works(name) {
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
