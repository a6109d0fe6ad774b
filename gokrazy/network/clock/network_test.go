package clock

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serveTime answers each question with what answer makes of it, at an address; nil is no
// answer. Port 0 is any.
func serveTime(t *testing.T, at string, answer func(question []byte) []byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for buf := make([]byte, 1500); ; {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if a := answer(buf[:n]); a != nil {
				conn.WriteToUDPAddrPort(a, from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-ended })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// timeMessage is a server's answer at a time (RFC 5905, 7.3).
func timeMessage(question []byte, now time.Time) []byte {
	const version4, server = 4 << 3, 4
	const since1900 = 2_208_988_800 // seconds to 1970
	stamp := func(t time.Time) uint64 { return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/1e9 }
	m := make([]byte, 48)
	m[0], m[1] = version4|server, 1 // stratum
	binary.BigEndian.PutUint64(m[16:], stamp(now.Add(-time.Minute)))
	copy(m[24:], question[40:48])
	binary.BigEndian.PutUint64(m[32:], stamp(now))
	binary.BigEndian.PutUint64(m[40:], stamp(now))
	return m
}

// What the library makes of real messages is what the policy is built on.
func TestQuery(t *testing.T) {
	for _, test := range []struct {
		name   string
		time   time.Time
		change func(message []byte) []byte
		err    string // a part; "" is none
	}{
		{"this year's", time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), nil, ""},
		{"after 2036, when the seconds begin anew", time.Date(2040, 3, 1, 12, 0, 0, 0, time.UTC), nil, ""},
		{"an answer to another question", time.Now(), func(m []byte) []byte { m[24]++; return m }, "server response didn"},
		{"a question", time.Now(), func(m []byte) []byte { m[0] = 4<<3 | 3; return m }, "invalid mode"},
		{"no time", time.Now(), func(m []byte) []byte { clear(m[40:]); return m }, "invalid transmit time"},
		{"half an answer", time.Now(), func(m []byte) []byte { return m[:20] }, "invalid"},
		{"a kiss", time.Now(), func(m []byte) []byte { m[1] = 0; copy(m[12:], "RATE"); return m }, "does not want to be asked (RATE)"},
		{"nothing", time.Now(), func([]byte) []byte { return nil }, "does not answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := serveTime(t, "127.0.0.1:0", func(q []byte) []byte {
				m := timeMessage(q, test.time)
				if test.change != nil {
					m = test.change(m)
				}
				return m
			})
			w := &world{skew: time.Until(time.Unix(10, 0))}
			c := &Clock{query: query, system: w, port: server.Port(), kissed: make(map[netip.Addr]time.Time)}
			r, err := c.read(t.Context(), server.Addr())
			switch {
			case test.err == "" && err != nil:
				t.Error(err)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("error %v, want %q", err, test.err)
			case err == nil:
				// How long the answer took on this machine is within its delay.
				if off := w.now().Add(r.offset).Sub(test.time); off < -time.Second || off > time.Minute {
					t.Errorf("the clock would be wrong by %v: %+v", off, r)
				}
			}
		})
	}
}

// A question ends with its context.
func TestQueryEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := serveTime(t, "127.0.0.1:0", func([]byte) []byte { cancel(); return nil })
	if _, err := query(ctx, server); err != context.Canceled {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// refusing is a connection on which refusals come before an answer.
type refusing struct {
	net.Conn
	times int
}

func (c *refusing) Read(b []byte) (int, error) {
	if c.times--; c.times >= 0 {
		return 0, &net.OpError{Op: "read", Net: "udp", Err: os.NewSyscallError("recvmsg", syscall.ECONNREFUSED)}
	}
	return copy(b, "answer"), os.ErrDeadlineExceeded
}

// Whoever says that a server is not there does not keep its answer from being read.
func TestRefusalsAreNoAnswer(t *testing.T) {
	b := make([]byte, 10)
	n, err := patientConn{&refusing{times: 3}}.Read(b)
	if string(b[:n]) != "answer" || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q, %v", b[:n], err)
	}
}
