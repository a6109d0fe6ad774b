package link

import (
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Where there are two servers, as with an access point that is a router too, one gives the
// address again after a cable was out, and the other refuses it, because it knows only its own.
func TestAnotherServerRefuses(t *testing.T) {
	w := home(t)
	w.carrier(false)
	w.run(time.Second)
	w.server.heard = nil
	w.carrier(true)
	w.settle()
	if w.m.client.phase != bound || len(w.server.heard) == 0 {
		t.Fatal("the server has not given the address again")
	}
	refusal := newServer("10.0.0.0/24").reply(w.server.heard[0], dhcpv4.MessageTypeNak)
	w.m.dhcp(w.now, refusal)
	w.settle()
	w.wantAddress(0, "192.168.77.100/24")
	if n := w.count("DISCOVER"); n > 1 {
		t.Errorf("%d questions for an address", n)
	}
	// The server that is asked to renew it may refuse.
	w.server.offer = w.server.offer.Next()
	w.wantAddress(time.Hour, "192.168.77.101/24")
}
