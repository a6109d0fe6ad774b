//go:build linux

package dhcp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	// start is when the tests begin.
	start  = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	laptop = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	phone  = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

// newServer has this many addresses to give, from 10.80.1.2 on.
func newServer(count int) *Server {
	return &Server{Address: netip.MustParsePrefix("10.80.1.1/24"), First: netip.MustParseAddr("10.80.1.2"), Count: count, LeaseTime: time.Hour}
}

// from makes a client's message.
func from(t testing.TB, client net.HardwareAddr, kind dhcpv4.MessageType, more ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	t.Helper()
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{dhcpv4.WithHwAddr(client), dhcpv4.WithMessageType(kind)}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func wants(ip ...byte) dhcpv4.Modifier { return dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(ip)) }
func of(ip ...byte) dhcpv4.Modifier    { return dhcpv4.WithOption(dhcpv4.OptServerIdentifier(ip)) }
func has(ip ...byte) dhcpv4.Modifier   { return dhcpv4.WithClientIP(ip) }

const broadcast = "255.255.255.255"

func TestAnswer(t *testing.T) {
	for _, c := range []struct {
		name    string
		message *dhcpv4.DHCPv4
		want    dhcpv4.MessageType // none: no answer
		to      string             // by default a broadcast
	}{
		{"discover", from(t, laptop, dhcpv4.MessageTypeDiscover), dhcpv4.MessageTypeOffer, ""},
		{"discover, with a wish", from(t, laptop, dhcpv4.MessageTypeDiscover, wants(192, 168, 1, 7)), dhcpv4.MessageTypeOffer, ""},
		{"request of our offer", from(t, laptop, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2), of(10, 80, 1, 1)), dhcpv4.MessageTypeAck, ""},
		{"request of another's offer", from(t, laptop, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2), of(10, 80, 1, 9)), dhcpv4.MessageTypeNone, ""},
		{"plugged in again", from(t, laptop, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2)), dhcpv4.MessageTypeAck, ""},
		{"from another network", from(t, laptop, dhcpv4.MessageTypeRequest, wants(192, 168, 1, 7)), dhcpv4.MessageTypeNak, ""},
		{"our own address", from(t, laptop, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 1)), dhcpv4.MessageTypeNak, ""},
		{"after the last address", from(t, laptop, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 3)), dhcpv4.MessageTypeNak, ""},
		{"renewal", from(t, laptop, dhcpv4.MessageTypeRequest, has(10, 80, 1, 2)), dhcpv4.MessageTypeAck, "10.80.1.2"},
		{"renewal of another's", from(t, laptop, dhcpv4.MessageTypeRequest, has(10, 80, 1, 3)), dhcpv4.MessageTypeNak, ""},
		{"request of nothing", from(t, laptop, dhcpv4.MessageTypeRequest), dhcpv4.MessageTypeNak, ""},
		{"inform", from(t, laptop, dhcpv4.MessageTypeInform, has(10, 80, 1, 200)), dhcpv4.MessageTypeAck, "10.80.1.200"},
		{"inform from elsewhere", from(t, laptop, dhcpv4.MessageTypeInform, has(169, 254, 1, 2)), dhcpv4.MessageTypeAck, ""},
		{"inform from our own address", from(t, laptop, dhcpv4.MessageTypeInform, has(10, 80, 1, 1)), dhcpv4.MessageTypeAck, ""},
		{"release", from(t, laptop, dhcpv4.MessageTypeRelease, of(10, 80, 1, 1)), dhcpv4.MessageTypeNone, ""},
		{"decline", from(t, laptop, dhcpv4.MessageTypeDecline, of(10, 80, 1, 1)), dhcpv4.MessageTypeNone, ""},
		{"an offer", from(t, laptop, dhcpv4.MessageTypeOffer), dhcpv4.MessageTypeNone, ""},
		{"through a relay", from(t, laptop, dhcpv4.MessageTypeDiscover, dhcpv4.WithGatewayIP(net.IP{10, 80, 1, 9})), dhcpv4.MessageTypeNone, ""},
		{"no kind", from(t, laptop, dhcpv4.MessageTypeNone), dhcpv4.MessageTypeNone, ""},
		{"nobody's", from(t, net.HardwareAddr{}, dhcpv4.MessageTypeDiscover), dhcpv4.MessageTypeNone, ""},
		{"a server's message", from(t, laptop, dhcpv4.MessageTypeDiscover, func(m *dhcpv4.DHCPv4) { m.OpCode = dhcpv4.OpcodeBootReply }), dhcpv4.MessageTypeNone, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer, to := newServer(1).answer(start, c.message.ToBytes())
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
			if c.to == "" {
				c.to = broadcast
			}
			if to.String() != c.to {
				t.Errorf("answered to %v, want %v", to, c.to)
			}
			address, lease := net.IP{10, 80, 1, 2}, time.Hour
			if c.want == dhcpv4.MessageTypeNak || c.message.MessageType() == dhcpv4.MessageTypeInform {
				address, lease = net.IPv4zero, 0
			}
			if !m.YourIPAddr.Equal(address) || m.IPAddressLeaseTime(0) != lease {
				t.Errorf("the address is %v for %v, want %v for %v", m.YourIPAddr, m.IPAddressLeaseTime(0), address, lease)
			}
			if ones, _ := m.SubnetMask().Size(); c.want != dhcpv4.MessageTypeNak && ones != 24 {
				t.Errorf("the network's mask is %v", m.SubnetMask())
			}
			if len(m.Router()) > 0 || len(m.DNS()) > 0 {
				t.Errorf("there is a router or a name server: %s", m.Summary())
			}
		})
	}
}

// A talk has clients ask one after the other, and keeps what they were told.
type talk struct {
	t    *testing.T
	s    *Server
	now  time.Time
	said []string
}

func (k *talk) say(client net.HardwareAddr, kind dhcpv4.MessageType, more ...dhcpv4.Modifier) {
	k.t.Helper()
	answer, _ := k.s.answer(k.now, from(k.t, client, kind, more...).ToBytes())
	if answer == nil {
		k.said = append(k.said, "nothing")
		return
	}
	m, err := dhcpv4.FromBytes(answer)
	if err != nil {
		k.t.Fatal(err)
	}
	k.said = append(k.said, m.MessageType().String()+" "+m.YourIPAddr.String())
}

func TestLeases(t *testing.T) {
	third, fourth := net.HardwareAddr{2, 0, 0, 0, 0, 3}, net.HardwareAddr{2, 0, 0, 0, 0, 4}
	for _, c := range []struct {
		name  string
		count int
		talk  func(*talk)
		want  []string
	}{
		{"each has its own", 3, func(k *talk) {
			k.say(laptop, dhcpv4.MessageTypeDiscover)
			k.say(phone, dhcpv4.MessageTypeDiscover)
			k.say(phone, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 3))
			k.say(laptop, dhcpv4.MessageTypeDiscover)
			k.say(laptop, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2))
			k.say(phone, dhcpv4.MessageTypeDiscover)
		}, []string{"OFFER 10.80.1.2", "OFFER 10.80.1.3", "ACK 10.80.1.3", "OFFER 10.80.1.2", "ACK 10.80.1.2", "OFFER 10.80.1.3"}},
		{"another's", 3, func(k *talk) {
			k.say(laptop, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 3))
			k.say(phone, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 3))
			k.now = k.now.Add(time.Hour)
			k.say(phone, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 3))
			k.say(laptop, dhcpv4.MessageTypeRequest, has(10, 80, 1, 3))
		}, []string{"ACK 10.80.1.3", "NAK 0.0.0.0", "ACK 10.80.1.3", "NAK 0.0.0.0"}},
		{"one more than there are", 2, func(k *talk) {
			k.say(laptop, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2))
			k.now = k.now.Add(time.Second)
			k.say(phone, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 3))
			k.now = k.now.Add(time.Second)
			k.say(laptop, dhcpv4.MessageTypeRequest, has(10, 80, 1, 2))
			k.say(third, dhcpv4.MessageTypeDiscover) // the phone has been silent for longest
			k.say(third, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 3))
			k.say(phone, dhcpv4.MessageTypeRequest, has(10, 80, 1, 3))
			k.now = k.now.Add(time.Second)
			k.say(fourth, dhcpv4.MessageTypeDiscover)
		}, []string{"ACK 10.80.1.2", "ACK 10.80.1.3", "ACK 10.80.1.2", "OFFER 10.80.1.3", "ACK 10.80.1.3", "NAK 0.0.0.0", "OFFER 10.80.1.2"}},
		{"another laptop at the cable", 1, func(k *talk) {
			k.say(laptop, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2))
			k.say(phone, dhcpv4.MessageTypeDiscover)
			k.say(phone, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2))
		}, []string{"ACK 10.80.1.2", "OFFER 10.80.1.2", "ACK 10.80.1.2"}},
		{"given back", 2, func(k *talk) {
			k.say(laptop, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2))
			k.say(phone, dhcpv4.MessageTypeRelease, has(10, 80, 1, 2)) // it is not the phone's
			k.say(phone, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2))
			k.say(laptop, dhcpv4.MessageTypeRelease, has(10, 80, 1, 2))
			k.say(phone, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2))
		}, []string{"ACK 10.80.1.2", "nothing", "NAK 0.0.0.0", "nothing", "ACK 10.80.1.2"}},
		{"in use by another computer", 2, func(k *talk) {
			k.say(laptop, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2))
			k.say(laptop, dhcpv4.MessageTypeDecline, wants(10, 80, 1, 2))
			k.say(laptop, dhcpv4.MessageTypeDiscover)
			k.say(phone, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2))
			k.now = k.now.Add(time.Hour)
			k.say(phone, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2))
		}, []string{"ACK 10.80.1.2", "nothing", "OFFER 10.80.1.3", "NAK 0.0.0.0", "ACK 10.80.1.2"}},
		{"a renewal's address stays while it is offered again", 1, func(k *talk) {
			k.say(laptop, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2))
			k.say(laptop, dhcpv4.MessageTypeDiscover)
			k.now = k.now.Add(2 * offerTime)
			k.say(phone, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2))
		}, []string{"ACK 10.80.1.2", "OFFER 10.80.1.2", "NAK 0.0.0.0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := &talk{t: t, s: newServer(c.count), now: start}
			c.talk(k)
			if diff := cmp.Diff(c.want, k.said); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRouter(t *testing.T) {
	s := newServer(1)
	s.Router = true
	answer, _ := s.answer(start, from(t, laptop, dhcpv4.MessageTypeDiscover).ToBytes())
	m, err := dhcpv4.FromBytes(answer)
	if err != nil {
		t.Fatal(err)
	}
	here := []net.IP{{10, 80, 1, 1}}
	if diff := cmp.Diff([][]net.IP{here, here}, [][]net.IP{m.Router(), m.DNS()}); diff != "" {
		t.Errorf("router and name server (-want +got):\n%s", diff)
	}
}

// Whatever comes in, what goes out is a message of ours, of an address that is ours to
// give, to somebody on this network: never a router or a name server, which would take
// the other computer's way to the Internet, and never longer than what a packet holds.
func FuzzAnswer(f *testing.F) {
	f.Add(from(f, laptop, dhcpv4.MessageTypeDiscover).ToBytes())
	f.Add(from(f, laptop, dhcpv4.MessageTypeRequest, wants(10, 80, 1, 2), of(10, 80, 1, 1)).ToBytes())
	f.Add(from(f, laptop, dhcpv4.MessageTypeRequest, wants(10, 80)).ToBytes())
	f.Add(from(f, laptop, dhcpv4.MessageTypeInform, has(10, 80, 1, 2)).ToBytes())
	f.Add(from(f, laptop, dhcpv4.MessageTypeDecline, wants(10, 80, 1, 2)).ToBytes())
	f.Add(from(f, laptop, dhcpv4.MessageTypeRelease, has(10, 80, 1, 2)).ToBytes())
	f.Add(from(f, laptop, dhcpv4.MessageTypeDiscover, dhcpv4.WithGeneric(dhcpv4.OptionClientIdentifier, bytes.Repeat([]byte{7}, 255))).ToBytes())
	f.Add([]byte{})
	pool := netip.MustParsePrefix("10.80.1.0/24")
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) > maxMessage {
			return
		}
		s := newServer(4)
		for range 2 { // the second time there is a lease
			answer, to := s.answer(start, message)
			if len(s.leases) > 4 {
				t.Errorf("%d leases", len(s.leases))
			}
			if answer == nil {
				continue
			}
			m, err := dhcpv4.FromBytes(answer)
			if err != nil {
				t.Fatalf("%x: %v", answer, err)
			}
			given, _ := netip.AddrFromSlice(m.YourIPAddr.To4())
			if m.OpCode != dhcpv4.OpcodeBootReply || len(m.Router()) > 0 || len(m.DNS()) > 0 ||
				!given.IsUnspecified() && (given.Less(s.First) || given.Compare(netip.MustParseAddr("10.80.1.5")) > 0) {
				t.Errorf("answered %s", m.Summary())
			}
			if to.String() != broadcast && !pool.Contains(to) {
				t.Errorf("answered to %v", to)
			}
			if len(answer) > len(message)+300 {
				t.Errorf("%d bytes are answered by %d", len(message), len(answer))
			}
		}
	})
}

// The server ends with its context, with the reason, and closes its socket.
func TestServe(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	ctx, end := context.WithCancelCause(t.Context())
	over := errors.New("over")
	go func() { done <- newServer(1).Serve(ctx, conn) }()
	end(over)
	if err := <-done; err != over {
		t.Errorf("ended with %v", err)
	}
	if _, err := conn.WriteTo(nil, conn.LocalAddr()); err == nil {
		t.Error("the socket is still open")
	}
}
