package link

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
)

func advertise(t testing.TB, lifetime time.Duration, servers ...string) []byte {
	var addrs []netip.Addr
	for _, s := range servers {
		addrs = append(addrs, netip.MustParseAddr(s))
	}
	b, err := ndp.MarshalMessage(&ndp.RouterAdvertisement{RouterLifetime: time.Hour, Options: []ndp.Option{
		&ndp.MTU{MTU: 1400}, &ndp.RecursiveDNSServer{Lifetime: lifetime, Servers: addrs}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNameServersOfIPv6(t *testing.T) {
	now := time.Now()
	var held nameServers
	hear := func(lifetime time.Duration, servers ...string) {
		t.Helper()
		ra, err := parseAdvertisement(advertise(t, lifetime, servers...))
		if err != nil {
			t.Fatal(err)
		}
		held = held.add(ra.names, now)
	}
	want := func(text string) {
		t.Helper()
		held.expire(now)
		if got := fmt.Sprint(held.addresses("eth0")); got != text {
			t.Errorf("%s, want %s", got, text)
		}
	}
	hear(time.Minute, "fe80::1", "2001:db8::1")
	hear(time.Hour, "ff02::1", "::", "::1") // are none
	want("[fe80::1%eth0 2001:db8::1]")
	now = now.Add(50 * time.Second)
	hear(time.Minute, "2001:db8::1", "2001:db8::2")
	now = now.Add(20 * time.Second)
	want("[2001:db8::1 2001:db8::2]")
	hear(0, "2001:db8::1") // no longer
	want("[2001:db8::2]")
	hear(time.Hour, "2001:db8::3", "2001:db8::4", "2001:db8::5", "2001:db8::6", "2001:db8::7")
	if len(held) != maxServers {
		t.Errorf("%d servers, want %d at most", len(held), maxServers)
	}
	now = now.Add(2 * time.Hour)
	want("[]")
}

func FuzzAdvertisement(f *testing.F) {
	f.Add(advertise(f, time.Minute, "fe80::1"))
	f.Add([]byte{134, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		ra, err := parseAdvertisement(b)
		if err != nil {
			return
		}
		held := nameServers(nil).add(ra.names, time.Now())
		if len(held) > maxServers {
			t.Errorf("%d servers", len(held))
		}
		for _, a := range held.addresses("eth0") {
			if !a.Is6() || a.Is4In6() || a.IsMulticast() || a.IsUnspecified() {
				t.Errorf("the name server %v", a)
			}
		}
	})
}
