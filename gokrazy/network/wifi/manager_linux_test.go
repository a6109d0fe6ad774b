package wifi

import (
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/pushcam/pushcam/gokrazy/device"
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

// A driver that hangs while it is loaded does not get a goroutine more at each try.
func TestReloadOfADriverThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		m := &Manager{Log: log, radio: newRadio(device.Root(t.TempDir()), log)}
		answers := make(chan error)
		m.load(func() error { return <-answers })
		hanging := m.loading
		for range 2 {
			if m.reload(t.Context()); m.loading != hanging {
				t.Fatal("another one is loaded beside it")
			}
		}
		answers <- errors.New("not found")
		if m.reload(t.Context()); m.loading != nil || m.loaded.IsZero() {
			t.Error("it is not known that it has ended")
		}
	})
}
