package wifi

import (
	"net/netip"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/network/status"
)

func TestUsable(t *testing.T) {
	link := func(name string, carrier, silent bool, from ...status.Origin) (l status.Link) {
		l = status.Link{Name: name, Carrier: carrier, Silent: silent}
		for _, f := range from {
			l.Addresses = append(l.Addresses, status.Address{Prefix: netip.MustParsePrefix("192.0.2.1/24"), From: f})
		}
		return l
	}
	for _, test := range []struct {
		name string
		are  []status.Link
		want links
	}{
		{"nothing", nil, links{}},
		{"an address", []status.Link{link("wlan0", true, false, status.DHCP)}, links{address: true}},
		{"of before", []status.Link{link("wlan0", false, false, status.DHCP)}, links{}},
		{"of nobody", []status.Link{link("wlan0", true, true, status.LinkLocal)}, links{silent: true}},
		{"IPv6 alone, without DHCP", []status.Link{link("wlan0", true, true, status.LinkLocal, status.IPv6)}, links{address: true}},
		{"a cable", []status.Link{link("eth0", true, false, status.DHCP), link("wlan0", false, false)}, links{wired: true}},
		{"a cable to a laptop", []status.Link{link("eth0", true, true, status.LinkLocal)}, links{wired: true}},
		{"a cable without an address", []status.Link{link("eth0", true, false)}, links{}},
		{"a plug", []status.Link{link("usb0", true, false, status.Own)}, links{}},
	} {
		if got := usable(status.Status{Links: test.are}, "wlan0"); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}
