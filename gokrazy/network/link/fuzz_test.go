package link

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
)

// sane fails if the machine wants something for its link that no kernel and no
// resolver should be given.
func (w *world) sane() {
	w.t.Helper()
	c := w.m.config()
	a := c.address.Addr()
	if c.address.IsValid() && (!a.Is4() || a.IsMulticast() || a.IsLoopback() || a.IsUnspecified() || c.own != a.IsLinkLocalUnicast()) {
		w.t.Fatalf("the address %v, its own: %v", c.address, c.own)
	}
	if len(c.routes) > maxRoutes {
		w.t.Fatalf("%d routes", len(c.routes))
	}
	if l := c.lease; l != nil {
		if len(l.dns) > maxServers || len(l.ntp) > maxServers {
			w.t.Fatalf("%d name servers, %d time servers", len(l.dns), len(l.ntp))
		}
		for line := range strings.Lines(resolvConf(l.dns, l.domain)) {
			if key, value, _ := strings.Cut(strings.TrimSpace(line), " "); !slices.Contains([]string{"#", "search", "nameserver"}, key) || key != "#" && len(strings.Fields(value)) != 1 {
				w.t.Fatalf("a line of resolv.conf: %q", line)
			}
		}
	}
	if next := w.m.next(); !next.IsZero() && !next.After(w.now) {
		w.t.Fatal("there is something left to do")
	}
}

// FuzzDHCP gives what a server may send to a machine that waits for it, in each
// phase.
func FuzzDHCP(f *testing.F) {
	s := newServer("192.168.77.0/24")
	for _, kind := range []dhcpv4.MessageType{dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeAck, dhcpv4.MessageTypeNak} {
		f.Add(s.reply(&dhcpv4.DHCPv4{ClientHWAddr: ourHW[:]}, kind).ToBytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range []phase{rebooting, selecting, requesting, checking, bound} {
			m, err := dhcpv4.FromBytes(b)
			if err != nil {
				return
			}
			w := newWorld(t)
			w.server = newServer("192.168.77.0/24")
			w.server.silent = map[dhcpv4.MessageType]bool{dhcpv4.MessageTypeDiscover: p == selecting, dhcpv4.MessageTypeRequest: p == requesting}
			w.carrier(true)
			w.until(time.Second, func() bool { return w.m.client.phase == p })
			if p == rebooting {
				w.server = nil
				w.m.verify(w.now)
			}
			m.OpCode, m.TransactionID, m.ClientHWAddr = dhcpv4.OpcodeBootReply, w.m.client.xid, ourHW[:]
			w.server = nil
			w.m.dhcp(w.now, m)
			w.settle()
			w.sane()
			w.run(time.Minute)
			w.sane()
		}
	})
}

// FuzzMachine does to a machine what the bytes say, in any order, and looks that it
// comes to rest, wants nothing wrong and does not flood its link.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	f.Add([]byte{0, 1, 20, 1, 0, 3, 3, 3, 1, 1, 6, 6, 1, 5, 9, 1, 1, 0, 0, 8, 1, 1, 1})
	f.Fuzz(func(t *testing.T, ops []byte) {
		w := newWorld(t)
		w.server = newServer("192.168.77.0/24")
		began := w.now
		for _, op := range ops[:min(len(ops), 200)] {
			arg := int(op / 16)
			switch op % 16 {
			case 0:
				w.carrier(!w.m.carrier)
			case 1:
				w.run(time.Duration(arg*arg) * time.Second)
			case 2:
				w.run(time.Duration(arg) * 100 * time.Millisecond)
			case 3, 4: // somebody claims what the machine has or wants, or asks for it
				a := w.m.config().address.Addr()
				if wanted := w.m.client.wanted; arg%2 == 1 && wanted != nil {
					a = wanted.address.Addr()
				} else if arg%4 == 2 {
					a = w.m.local.address
				}
				if a.IsValid() {
					p := arpPacket{op: arpReply, senderHW: otherHW, senderIP: a, targetIP: a}
					if op%16 == 4 {
						p = probeARP(otherHW, a)
					}
					w.hear(p)
				}
			case 5:
				w.server.authoritative = !w.server.authoritative
			case 6:
				w.server.offer = w.server.offer.Next()
			case 7:
				w.deaf = !w.deaf
			case 8:
				w.server.lease = time.Duration(arg*arg*arg) * time.Second
			case 9:
				w.hosts[w.server.id] = hardwareAddr{2, 0, 0, 0, 1, byte(arg)}
			case 10:
				delete(w.hosts, w.server.id)
			case 11:
				w.server.silent = map[dhcpv4.MessageType]bool{dhcpv4.MessageTypeDiscover: arg%2 == 1, dhcpv4.MessageTypeRequest: arg/2%2 == 1}
			case 12:
				w.hosts[w.server.offer] = otherHW
			case 13:
				w.server.id = netip.AddrFrom4([4]byte{192, 168, 77, byte(arg)})
			}
			w.settle()
			w.sane()
		}
		// What a link or a server does can always be asked about at once.
		if seconds := w.now.Sub(began).Seconds(); float64(len(w.sent)) > 3*seconds+50*float64(len(ops)+1) {
			t.Errorf("%d packets in %.0f s", len(w.sent), seconds)
		}
	})
}

func FuzzARP(f *testing.F) {
	f.Add(announceARP(ourHW, netip.MustParseAddr("10.0.0.1")).marshal())
	f.Add(make([]byte, arpLen))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parseARP(b); err == nil && !bytes.Equal(p.marshal(), b[:arpLen]) {
			t.Errorf("% x is %+v", b, p)
		}
	})
}

// FuzzDatagram gives frames to the library that unpacks them, behind our filter.
func FuzzDatagram(f *testing.F) {
	text := newServer("10.0.0.0/24").reply(&dhcpv4.DHCPv4{ClientHWAddr: ourHW[:]}, dhcpv4.MessageTypeOffer).ToBytes()
	f.Add(append([]byte{0x45, 0, byte((len(text) + 28) >> 8), byte(len(text) + 28), 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 255, 255, 255, 255,
		0, 67, 0, 68, byte((len(text) + 8) >> 8), byte(len(text) + 8), 0, 0}, text...))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := nclient4.NewBroadcastUDPConn(&oneFrame{frame: b}, &net.UDPAddr{Port: 68})
		buf := make([]byte, 1472)
		if n, _, err := c.ReadFrom(buf); err == nil {
			dhcpv4.FromBytes(buf[:n])
		}
	})
}

// oneFrame is a socket to which one frame comes.
type oneFrame struct {
	net.PacketConn
	frame []byte
}

func (o *oneFrame) ReadFrom(b []byte) (int, net.Addr, error) {
	if o.frame == nil {
		return 0, nil, net.ErrClosed
	}
	n := copy(b, o.frame)
	o.frame = nil
	return n, nil, nil
}
