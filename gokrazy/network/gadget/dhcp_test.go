//go:build linux

package gadget

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

var (
	testServer = &server{address: netip.MustParsePrefix("10.80.1.1/30"), client: netip.MustParseAddr("10.80.1.2")}
	laptop     = net.HardwareAddr{2, 0, 0, 0, 0, 1}
)

// from makes a client's message.
func from(t testing.TB, kind dhcpv4.MessageType, more ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	t.Helper()
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{dhcpv4.WithHwAddr(laptop), dhcpv4.WithMessageType(kind)}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func wants(ip ...byte) dhcpv4.Modifier { return dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(ip)) }
func of(ip ...byte) dhcpv4.Modifier    { return dhcpv4.WithOption(dhcpv4.OptServerIdentifier(ip)) }

func TestAnswer(t *testing.T) {
	for _, c := range []struct {
		name    string
		message *dhcpv4.DHCPv4
		want    dhcpv4.MessageType // none: no answer
	}{
		{"discover", from(t, dhcpv4.MessageTypeDiscover), dhcpv4.MessageTypeOffer},
		{"discover, with a wish", from(t, dhcpv4.MessageTypeDiscover, wants(192, 168, 1, 7)), dhcpv4.MessageTypeOffer},
		{"request of our offer", from(t, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2), of(10, 80, 1, 1)), dhcpv4.MessageTypeAck},
		{"request of another's offer", from(t, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2), of(10, 80, 1, 9)), dhcpv4.MessageTypeNone},
		{"plugged in again", from(t, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2)), dhcpv4.MessageTypeAck},
		{"from another network", from(t, dhcpv4.MessageTypeRequest, wants(192, 168, 1, 7)), dhcpv4.MessageTypeNak},
		{"our own address", from(t, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 1)), dhcpv4.MessageTypeNak},
		{"renewal", from(t, dhcpv4.MessageTypeRequest, dhcpv4.WithClientIP(net.IP{10, 80, 1, 2})), dhcpv4.MessageTypeAck},
		{"renewal of another's", from(t, dhcpv4.MessageTypeRequest, dhcpv4.WithClientIP(net.IP{10, 80, 1, 3})), dhcpv4.MessageTypeNak},
		{"request of nothing", from(t, dhcpv4.MessageTypeRequest), dhcpv4.MessageTypeNak},
		{"inform", from(t, dhcpv4.MessageTypeInform, dhcpv4.WithClientIP(net.IP{169, 254, 1, 2})), dhcpv4.MessageTypeAck},
		{"release", from(t, dhcpv4.MessageTypeRelease, of(10, 80, 1, 1)), dhcpv4.MessageTypeNone},
		{"decline", from(t, dhcpv4.MessageTypeDecline, of(10, 80, 1, 1)), dhcpv4.MessageTypeNone},
		{"an offer", from(t, dhcpv4.MessageTypeOffer), dhcpv4.MessageTypeNone},
		{"through a relay", from(t, dhcpv4.MessageTypeDiscover, dhcpv4.WithGatewayIP(net.IP{10, 80, 1, 9})), dhcpv4.MessageTypeNone},
		{"no kind", from(t, dhcpv4.MessageTypeNone), dhcpv4.MessageTypeNone},
		{"a server's message", from(t, dhcpv4.MessageTypeDiscover, func(m *dhcpv4.DHCPv4) { m.OpCode = dhcpv4.OpcodeBootReply }), dhcpv4.MessageTypeNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := testServer.answer(c.message.ToBytes())
			if c.want == dhcpv4.MessageTypeNone {
				if answer != nil {
					t.Errorf("answered %x", answer)
				}
				return
			}
			m, err := dhcpv4.FromBytes(answer)
			if err != nil {
				t.Fatalf("answered %x: %v", answer, err)
			}
			if m.MessageType() != c.want || m.TransactionID != c.message.TransactionID || !bytes.Equal(m.ClientHWAddr, laptop) || !m.ServerIdentifier().Equal(net.IP{10, 80, 1, 1}) {
				t.Errorf("answered %s", m.Summary())
			}
			address, lease := net.IP{10, 80, 1, 2}, leaseTime
			if c.want == dhcpv4.MessageTypeNak || c.message.MessageType() == dhcpv4.MessageTypeInform {
				address, lease = net.IPv4zero, 0
			}
			if !m.YourIPAddr.Equal(address) || m.IPAddressLeaseTime(0) != lease {
				t.Errorf("the address is %v for %v, want %v for %v", m.YourIPAddr, m.IPAddressLeaseTime(0), address, lease)
			}
			if ones, _ := m.SubnetMask().Size(); c.want != dhcpv4.MessageTypeNak && ones != 30 {
				t.Errorf("the network's mask is %v", m.SubnetMask())
			}
		})
	}
}

// Whatever comes in, what goes out is a message of ours: never a router or a name
// server, which would take the other computer's way to the Internet, and never
// longer than what a packet holds.
func FuzzAnswer(f *testing.F) {
	f.Add(from(f, dhcpv4.MessageTypeDiscover).ToBytes())
	f.Add(from(f, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2), of(10, 80, 1, 1)).ToBytes())
	f.Add(from(f, dhcpv4.MessageTypeRequest, wants(10, 80)).ToBytes())
	f.Add(from(f, dhcpv4.MessageTypeInform, dhcpv4.WithClientIP(net.IP{10, 80, 1, 2})).ToBytes())
	f.Add(from(f, dhcpv4.MessageTypeDiscover, dhcpv4.WithGeneric(dhcpv4.OptionClientIdentifier, bytes.Repeat([]byte{7}, 255))).ToBytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) > 2048 {
			return // more than is read
		}
		answer := testServer.answer(message)
		if answer == nil {
			return
		}
		m, err := dhcpv4.FromBytes(answer)
		if err != nil {
			t.Fatalf("%x: %v", answer, err)
		}
		if m.OpCode != dhcpv4.OpcodeBootReply || len(m.Router()) > 0 || len(m.DNS()) > 0 || !(m.YourIPAddr.IsUnspecified() || m.YourIPAddr.Equal(net.IP{10, 80, 1, 2})) {
			t.Errorf("answered %s", m.Summary())
		}
		if len(answer) > len(message)+300 {
			t.Errorf("%d bytes are answered by %d", len(message), len(answer))
		}
	})
}
