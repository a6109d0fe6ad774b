package discovery

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
)

func TestAddresses(t *testing.T) {
	for _, test := range []struct {
		name     string
		prefixes []string
		want     string
	}{
		{"one of each", []string{"192.168.1.5/24", "2001:db8::5/64"}, "[192.168.1.5 2001:db8::5]"},
		{"link-local beside routable", []string{"192.168.1.5/24", "169.254.1.1/16", "2001:db8::5/64", "fe80::5/64"}, "[192.168.1.5 2001:db8::5]"},
		{"link-local alone", []string{"169.254.1.1/16", "fe80::5/64"}, "[169.254.1.1 fe80::5]"},
		{"mixed", []string{"192.168.1.5/24", "fe80::5/64"}, "[192.168.1.5 fe80::5]"},
		{"many", []string{"10.0.0.1/8", "10.0.0.2/8", "10.0.0.3/8", "10.0.0.4/8", "10.0.0.5/8"}, "[10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4]"},
	} {
		if got := fmt.Sprint(with(test.prefixes...).now[0].addresses()); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// Packets from afar, and from networks that are none of ours, are not looked at.
func TestReceive(t *testing.T) {
	lan := with("192.168.1.5/24", "2001:db8::5/64").now[0]
	for _, test := range []struct {
		from  string
		index int
		taken bool
	}{
		{"192.168.1.9:5353", lan.index, true},
		{"[::ffff:192.168.1.9]:5353", lan.index, true},
		{"169.254.7.7:5353", lan.index, true},
		{"[fe80::9%eth0]:5353", lan.index, true},
		{"[2001:db8::9]:5353", lan.index, true},
		{"192.168.2.9:5353", lan.index, false},
		{"8.8.8.8:53", lan.index, false},
		{"[2001:db8:1::9]:5353", lan.index, false},
		{"192.168.1.9:5353", lan.index + 1, false},
		{"192.168.1.9:5353", 0, false},
	} {
		s := &sockets{networks: map[int]*network{lan.index: lan}, in: make(chan packet, 1)}
		s.receive([]byte("x"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(test.from)), test.index)
		if taken := len(s.in) == 1; taken != test.taken {
			t.Errorf("from %s at interface %d: taken %v, want %v", test.from, test.index, taken, test.taken)
		}
	}
}

// Packets that nobody takes are dropped, and their buffer is not kept.
func TestReceiveIsBounded(t *testing.T) {
	lan := with("192.168.1.5/24").now[0]
	s := &sockets{networks: map[int]*network{lan.index: lan}, in: make(chan packet, backlog)}
	buf := []byte("first")
	for range 2 * backlog {
		s.receive(buf, &net.UDPAddr{IP: net.IPv4(192, 168, 1, 9), Port: port}, lan.index)
		copy(buf, "later")
	}
	if len(s.in) != backlog {
		t.Errorf("%d packets wait, want %d", len(s.in), backlog)
	}
	if p := <-s.in; string(p.data) != "first" {
		t.Errorf("the first packet is %q", p.data)
	}
}
