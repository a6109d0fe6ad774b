//go:build linux

package e2e

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// toRouterThatTellsMore moves the cable to a router that names a time server (DHCP
// option 42) and the domain of its network (option 15), and is no way to the Internet.
func (m *machine) toRouterThatTellsMore(t *testing.T, hostname string) {
	t.Helper()
	// QEMU's router has options of its own, and would be the first to answer.
	m.link(t, "router", false)
	told := m.station.route("fritz.box")
	m.link(t, "lan1", false)
	m.link(t, "lan1", true)
	m.await(t, "the router's time server is asked", func() error {
		if told.Load() == 0 {
			return errors.New("it is not")
		}
		return nil
	})
	m.link(t, "router", true) // our way to the machine
	s := m.is(t, "a clock that the router's time server has set", func(s state) bool { return s.Network.Clock.Error == "" })
	if c := s.Network.Clock; !c.Set || c.Server != net.IP(stationIP).String() {
		t.Errorf("the clock is %+v, want it of %v", c, net.IP(stationIP))
	}
	for host, want := range map[string]int{
		hostname + ".fritz.box":   http.StatusOK,
		hostname + ".example.com": http.StatusForbidden,
	} {
		code, _, body, err := m.do(http.MethodGet, "/api/log", getTimeout, func(r *http.Request) {
			r.Host = host
			r.SetBasicAuth("owner", password)
		})
		if err != nil || code != want {
			t.Errorf("the owner's log at %s: status %d, %v, want %d: %s", host, code, err, want, body[:min(len(body), 200)])
		}
	}
}

// route makes the station a router, which gives the machine the address that it has
// from QEMU's, and tells it the time. It counts how often the time was asked for.
func (s *station) route(domain string) *atomic.Int64 {
	asked := new(atomic.Int64)
	answer := func(frame []byte) []byte {
		switch d, ok := parseUDP(frame); {
		case isARP(frame):
			return answerARP(frame)
		case ok && d.toPort == 67:
			if lease := answerDHCP(d.data, domain); lease != nil {
				return udpFrame(datagram{d.fromMAC, stationMAC, []byte{255, 255, 255, 255}, stationIP, 68, 67, lease})
			}
		case ok && d.toPort == 123 && slices.Equal(d.toIP, stationIP):
			asked.Add(1)
			return back(d, answerNTP(d.data))
		}
		return nil
	}
	s.answer.Store(&answer)
	return asked
}

// answerDHCP offers and gives 10.0.2.15 to whoever asks (RFC 2131).
func answerDHCP(data []byte, domain string) []byte {
	q, err := dhcpv4.FromBytes(data)
	if err != nil {
		return nil
	}
	kind := dhcpv4.MessageTypeAck
	switch q.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		kind = dhcpv4.MessageTypeOffer
	case dhcpv4.MessageTypeRequest:
	default:
		return nil
	}
	a, err := dhcpv4.NewReplyFromRequest(q, dhcpv4.WithMessageType(kind),
		dhcpv4.WithYourIP(net.IPv4(10, 0, 2, 15)), dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithLeaseTime(3600),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(stationIP)), dhcpv4.WithRouter(net.IPv4(10, 0, 2, 2)), dhcpv4.WithDNS(net.IPv4(10, 0, 2, 3)),
		dhcpv4.WithOption(dhcpv4.OptNTPServers(stationIP)), dhcpv4.WithOption(dhcpv4.OptDomainName(domain)))
	if err != nil {
		return nil
	}
	return a.ToBytes()
}
