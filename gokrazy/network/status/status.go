// Package status is what the appliance's network program says of itself: the
// links, their addresses, the name servers, the clock. The program serves it as
// JSON over HTTP on a unix socket; others get it once or follow its changes.
package status

import (
	"net/netip"
	"time"
)

// Socket is where the program serves its status on the appliance.
const Socket = "/run/pushcam/network.sock"

// Status is a value: nothing in it changes after it was handed out.
type Status struct {
	// Links are by preference: the first with Default holds the default route.
	Links []Link `json:"links"`
	// DNS are the name servers in use, the preferred link's first.
	DNS []netip.Addr `json:"dns,omitempty"`
	// Domain is the domain name that the router gave (DHCP option 15), such as
	// fritz.box; empty if it gave none.
	Domain string `json:"domain,omitempty"`
	// NTP are the time servers that the router gave (DHCP option 42).
	NTP   []netip.Addr `json:"ntp,omitempty"`
	Clock Clock        `json:"clock"`
	// WiFi is what the board's radio does; nil if the board has none.
	WiFi *Radio `json:"wifi,omitempty"`
}

// A Link is a network interface.
type Link struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Carrier says that there is somebody at the other end of the cable, or an access
	// point that has let this computer in.
	Carrier bool `json:"carrier"`
	// Default says that the link holds the default route.
	Default   bool      `json:"default"`
	Addresses []Address `json:"addresses,omitempty"`
	// Unconfirmed says that the address is of the network in which the link was before, and
	// that nobody has said yet whether it is right in this one.
	Unconfirmed bool `json:"unconfirmed,omitempty"`
	// Router is the one that the DHCP server named, if the link has an address of it.
	Router netip.Addr `json:"router,omitzero"`
	// LeaseUntil is when the address has to be given back unless it is renewed.
	LeaseUntil time.Time `json:"lease_until,omitzero"`
	// Since is when the link got what Addresses says, or lost it.
	Since time.Time `json:"since,omitzero"`
	// Why is a sentence on a link that has no address that a router gave.
	Why string `json:"why,omitempty"`
	// Silent says that there is a carrier, and that neither a router nor a DHCP server
	// answers there any more, or ever did.
	Silent bool `json:"silent,omitempty"`
}

// Kind is what a link is made of.
type Kind string

const (
	Ethernet Kind = "ethernet"
	USB      Kind = "usb" // a cable to one other computer
	WiFi     Kind = "wifi"
)

// An Address is one of this computer's, with its network.
type Address struct {
	Prefix netip.Prefix `json:"prefix"`
	From   Origin       `json:"from"`
}

// Origin is where an address comes from.
type Origin string

const (
	DHCP      Origin = "dhcp"       // an IPv4 address that a server has given
	LinkLocal Origin = "link-local" // an IPv4 address that nobody has given (RFC 3927)
	IPv6      Origin = "ipv6"       // an IPv6 address for more than this link
	Own       Origin = "own"        // an IPv4 address by which this computer gives the one at the other end its own
)

// Clock is how the computer's clock came to its time.
type Clock struct {
	// Set says that the clock tells the time. Before, times are since its start.
	Set bool `json:"set"`
	// Server is the one that was last asked with success, a name or an address.
	Server string `json:"server,omitempty"`
	// Offset is how far the clock was from that server's, positive if it was slow.
	Offset time.Duration `json:"offset_ns"`
	// Since is when the clock was set, or last compared.
	Since time.Time `json:"since,omitzero"`
	// Error is a sentence on why it could not be compared since.
	Error string `json:"error,omitempty"`
}

// onWall is the status with times as the clock shows them now: a time that was
// taken before the clock was set is moved with it.
func (s Status) onWall(now time.Time) Status {
	links := make([]Link, len(s.Links)) // never null in JSON
	for i, l := range s.Links {
		l.LeaseUntil, l.Since = onWall(l.LeaseUntil, now), onWall(l.Since, now)
		links[i] = l
	}
	s.Links = links
	s.Clock.Since = onWall(s.Clock.Since, now)
	if s.WiFi != nil {
		w := *s.WiFi
		w.Since = onWall(w.Since, now)
		if w.SetUp != nil {
			w.SetUp = &SetUp{w.SetUp.SSID, onWall(w.SetUp.Until, now)}
		}
		s.WiFi = &w
	}
	return s
}

// onWall is t on the clock that shows now. Sub goes by the monotonic clock, which
// does not jump, as long as t has a reading of it.
func onWall(t, now time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return now.Add(t.Sub(now)).UTC().Truncate(time.Millisecond)
}
