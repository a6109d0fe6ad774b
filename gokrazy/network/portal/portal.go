//go:build linux

// Package portal is what a phone finds in the camera's own set-up network: an address,
// an answer to every name, and a page on which its owner types the network that the
// camera is to join.
//
// Phones look whether a new network leads to the Internet, by asking for a page that
// they know. Here every name leads to the camera and every page to its own, by which
// phones see a captive portal, and open the page by themselves.
package portal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/network/dhcp"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// The addresses are none of a private network's, because Samsung's phones open no page
// at such a one. Nothing is lost by that: nothing else is to be reached from the set-up
// network.
var (
	// Address is where the page is.
	Address = netip.MustParsePrefix("4.3.2.1/24")
	// CameraAddress is the same computer's too: there, the camera's program answers, as
	// it does at all addresses but the first. So a phone can see the picture.
	CameraAddress = netip.MustParsePrefix("4.3.2.2/24")
	firstClient   = netip.MustParseAddr("4.3.2.10")
)

const (
	// maxClients is how many phones have an address at a time.
	maxClients = 32
	// leaseTime is as long as the set-up network is there at a time.
	leaseTime = 10 * time.Minute
	// retryPause is between tries of what has failed, and between looks whether the link
	// is still as it was set up.
	retryPause = 2 * time.Second
)

// A Portal serves the set-up network. Its fields must not change while Run runs.
type Portal struct {
	// Link is the set-up network's. The portal gives it its addresses, and takes them
	// away at the end.
	Link string
	// Network is the name of the set-up network, and Hostname that of the camera.
	Network, Hostname string
	// Seen are the networks that were heard before this one came, the strongest first.
	// What is hidden or cannot be joined may be among them.
	Seen []Seen
	// Failure is a sentence on why the networks of Settings are not reached. Empty if
	// none was tried.
	Failure string
	// Settings are those that serve.
	Settings setup.Settings
	// Owner is who may set the camera up.
	Owner Owner
	// Submit keeps what was typed, and has the camera leave for the new network, but not
	// before it has returned for two seconds, in which the page says so. Its error wraps
	// setup.ErrNotKept if the settings serve all the same; with any other they do not.
	Submit func(change func(*setup.Settings)) error
	// Log gets a line per change. nil discards.
	Log *slog.Logger
}

// An Owner knows whose the camera is: nobody's yet, by which whoever sets it up becomes
// its owner, or the one's who has the password.
type Owner interface {
	// Free tells whether it is nobody's, as far as is known without waiting for the card.
	Free() bool
	// Verify tells whether a password is the owner's. Before, it finds out whether there
	// is one by now.
	Verify(password string) (bool, error)
}

var _ Owner = (*device.Ownership)(nil)

// Seen is a network on the air.
type Seen struct {
	SSID   []byte // any bytes; empty if it is hidden
	Signal int    // dBm
	// Security is what it wants of its guests, as in status.SeenNetwork.
	Security string
}

var errLink = errors.New("the set-up network's link is not as it was any more")

// Run serves until ctx is done. What fails is tried again.
func (p *Portal) Run(ctx context.Context) {
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	said := ""
	for {
		err := p.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != said {
			said = text
			p.Log.Warn("the set-up network's page is not served; it is tried again", "link", p.Link, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryPause):
		}
	}
}

// serve returns why it does not any more.
func (p *Portal) serve(ctx context.Context) error {
	own := []netip.Prefix{Address, CameraAddress}
	if err := addAddresses(p.Link, own); err != nil {
		return err
	}
	defer removeAddresses(p.Link, own)
	leases, err := dhcp.Listen(ctx, p.Link)
	if err != nil {
		return err
	}
	defer leases.Close()
	names, err := listenUDP(ctx, p.Link, netip.AddrPortFrom(Address.Addr(), 53))
	if err != nil {
		return err
	}
	defer names.Close()
	pages, err := listenTCP(ctx, p.Link, netip.AddrPortFrom(Address.Addr(), 80))
	if err != nil {
		return err
	}
	defer pages.Close()
	p.Log.Info("the set-up page is there", "link", p.Link, "address", pageURL)
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		s := &dhcp.Server{Address: Address, First: firstClient, Count: maxClients, LeaseTime: leaseTime, Router: true}
		return s.Serve(ctx, leases)
	})
	all.Go(func() error { return serveNames(ctx, names) })
	all.Go(func() error { return serveWeb(ctx, pages, p.Site(), p.Log) })
	all.Go(func() error { return p.watch(ctx) })
	return all.Wait()
}

// Site answers the set-up network's HTTP: at Address with the page, and at any other host
// with the way there. Log must not be nil.
func (p *Portal) Site() http.Handler { return newWeb(p) }

// watch returns when the link is another one than that which the sockets are bound to,
// or has lost its address.
func (p *Portal) watch(ctx context.Context) error {
	first := 0
	for {
		i, err := net.InterfaceByName(p.Link)
		if err != nil {
			return fmt.Errorf("%w: %w", errLink, err)
		}
		has, err := i.Addrs()
		if err != nil || first != 0 && i.Index != first || !contains(has, Address) {
			return errLink
		}
		first = i.Index
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryPause):
		}
	}
}

func contains(all []net.Addr, address netip.Prefix) bool {
	for _, a := range all {
		if a.String() == address.String() {
			return true
		}
	}
	return false
}
