//go:build linux

package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// A station is another computer on the machine's network. It hears and asks by
// multicast DNS (RFC 6762), and answers with answer.
type station struct {
	conn    net.Conn // each datagram is one Ethernet frame
	reading sync.WaitGroup
	answer  atomic.Pointer[func(frame []byte) (answer []byte)] // nil is none

	mu    sync.Mutex
	heard []dnsmessage.Resource
}

// maxHeard bounds what a station remembers.
const maxHeard = 10_000

// The addresses of multicast DNS, and of a station in QEMU's user network.
var (
	mdnsMAC, mdnsIP, mdnsPort = []byte{0x01, 0x00, 0x5e, 0, 0, 0xfb}, []byte{224, 0, 0, 251}, uint16(5353)
	stationMAC, stationIP     = []byte{0x52, 0x54, 0, 0, 0, 0x77}, []byte{10, 0, 2, 77}
)

// newStation listens until close.
func newStation(conn net.Conn) *station {
	s := &station{conn: conn}
	s.reading.Go(func() {
		for frame := make([]byte, 64<<10); ; {
			n, err := conn.Read(frame)
			if err != nil {
				return
			}
			if answers, err := parseMDNS(frame[:n]); err == nil {
				s.mu.Lock()
				s.heard = append(s.heard, answers[:min(len(answers), maxHeard-len(s.heard))]...)
				s.mu.Unlock()
			}
			if answer := s.answer.Load(); answer != nil {
				if back := (*answer)(frame[:n]); back != nil {
					conn.Write(back) // a lost frame is no fault: the machine asks again
				}
			}
		}
	})
	return s
}

func (s *station) close() {
	s.conn.Close()
	s.reading.Wait()
}

const (
	etherLen = 14
	ipLen    = 20
	udpLen   = 8
)

// parseMDNS returns what a frame tells about names; nothing if it is no such frame.
func parseMDNS(frame []byte) ([]dnsmessage.Resource, error) {
	if len(frame) < etherLen+ipLen+udpLen || !slices.Equal(frame[:6], mdnsMAC) || frame[etherLen] != 0x45 {
		return nil, errors.New("not multicast DNS over IPv4")
	}
	var m dnsmessage.Message
	if err := m.Unpack(frame[etherLen+ipLen+udpLen:]); err != nil {
		return nil, err
	}
	if !m.Response {
		return nil, nil // a question, which may name what the asker is about to claim
	}
	return slices.Concat(m.Answers, m.Additionals), nil
}

// ask sends a question to all.
func (s *station) ask(t *testing.T, name string, kind dnsmessage.Type) {
	t.Helper()
	question := dnsmessage.Message{Questions: []dnsmessage.Question{
		{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}}}
	text, err := question.Pack()
	if err != nil {
		t.Fatal(err)
	}
	frame := udpFrame(datagram{mdnsMAC, stationMAC, mdnsIP, stationIP, mdnsPort, mdnsPort, text})
	if err := s.conn.SetWriteDeadline(time.Now().Add(controlTimeout)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.conn.Write(frame); err != nil {
		t.Fatal(err)
	}
}

// A datagram is one of UDP, over IPv4 and Ethernet.
type datagram struct {
	toMAC, fromMAC   []byte
	toIP, fromIP     []byte
	toPort, fromPort uint16
	data             []byte
}

func udpFrame(d datagram) []byte {
	be := binary.BigEndian
	frame := slices.Concat(d.toMAC, d.fromMAC, []byte{0x08, 0x00})
	const ttl, udp = 255, 17
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, ttl, udp, 0, 0}
	ip = slices.Concat(ip, d.fromIP, d.toIP)
	be.PutUint16(ip[2:], uint16(ipLen+udpLen+len(d.data)))
	be.PutUint16(ip[10:], ipChecksum(ip))
	frame = append(frame, ip...)
	frame = be.AppendUint16(frame, d.fromPort)
	frame = be.AppendUint16(frame, d.toPort)
	frame = be.AppendUint16(frame, uint16(udpLen+len(d.data)))
	frame = be.AppendUint16(frame, 0) // no checksum
	return append(frame, d.data...)
}

// ipChecksum is the checksum of an IPv4 header (RFC 791).
func ipChecksum(header []byte) uint16 {
	var sum uint32
	for i := 0; i < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// forget drops what was heard, so that last only finds what comes after it.
func (s *station) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = nil
}

// last is what was last heard of a name, nil if nothing was.
func (s *station) last(name string, kind dnsmessage.Type) *dnsmessage.Resource {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range slices.Backward(s.heard) {
		if r.Header.Name.String() == name && r.Header.Type == kind {
			return &r
		}
	}
	return nil
}

// resolve asks for a name until it is answered.
func (m *machine) resolve(t *testing.T, name string, kind dnsmessage.Type) (found dnsmessage.ResourceBody) {
	t.Helper()
	m.station.forget()
	var asked time.Time
	m.await(t, fmt.Sprintf("an answer for %s %v", name, kind), func() error {
		if r := m.station.last(name, kind); r != nil && r.Header.TTL > 0 {
			found = r.Body
			return nil
		}
		if time.Since(asked) > 2*time.Second {
			asked = time.Now()
			m.station.ask(t, name, kind)
		}
		return errors.New("there is none")
	})
	return found
}

// service is what pushcamctl looks for.
const service = "_pushcam._tcp.local."

// testName looks the appliance up as browsers and pushcamctl do.
func testName(t *testing.T, m *machine, hostname string) {
	host := hostname + ".local."
	if a, ok := m.resolve(t, host, dnsmessage.TypeA).(*dnsmessage.AResource); !ok || a.A != [4]byte{10, 0, 2, 15} {
		t.Errorf("%s is %v, want 10.0.2.15, which QEMU gave it", host, a)
	}
	pointer, ok := m.resolve(t, service, dnsmessage.TypePTR).(*dnsmessage.PTRResource)
	if !ok {
		t.Fatalf("%s leads to %v", service, pointer)
	}
	instance := pointer.PTR.String()
	if at, ok := m.resolve(t, instance, dnsmessage.TypeSRV).(*dnsmessage.SRVResource); !ok || at.Port != 80 || at.Target.String() != host {
		t.Errorf("%s is at %v, want port 80 of %s", instance, at, host)
	}
	m.resolve(t, "_http._tcp.local.", dnsmessage.TypePTR)
}
