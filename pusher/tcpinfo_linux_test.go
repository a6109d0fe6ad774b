package pusher

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/pusher/pushertest"
)

func TestParseTCPInfo(t *testing.T) {
	raw := make([]byte, 256)
	for offset, value := range map[int]uint32{
		tcpiMSS: 1448, tcpiUnacked: 30, tcpiSacked: 3, tcpiRetrans: 9,
		tcpiUnsent: 4096, tcpiMinRTT: 20_000, tcpiDelivered: 1 << 31, tcpiWindow: 65_000, tcpiLastAck: 7,
	} {
		binary.NativeEndian.PutUint32(raw[offset:], value)
	}
	for offset, value := range map[int]uint64{tcpiAcked: 5 << 32, tcpiSent: 6 << 32, tcpiResent: 1 << 31} {
		binary.NativeEndian.PutUint64(raw[offset:], value)
	}
	raw[tcpiState] = tcpClose
	full := tcpInfo{
		Full: true, Closed: true, PeerClosed: true, MSS: 1448, Unacked: 30, Sacked: 3, Delivered: 1 << 31, Unsent: 4096, Retransmitted: 9,
		MinRTT: 20 * time.Millisecond,
	}
	peer := full
	peer.Peer, peer.Window, peer.Acked, peer.Sent, peer.LastAck = true, 65_000, 5<<32, 6<<32-1<<31, 7*time.Millisecond
	tests := []struct {
		name string
		size int
		want tcpInfo
	}{
		{"Linux 6.18 and newer", 256, peer},
		{"Linux 5.4", tcpiWindow + 4, peer},
		{"Linux 4.19: no window of the peer", tcpiWindow, full},
		{"Linux 4.18", tcpiSize, full},
		{"Linux 4.9: no count of delivered segments", 192, tcpInfo{Closed: true, PeerClosed: true, Unsent: 4096}},
		{"Linux 4.4: no unsent bytes", 136, tcpInfo{Closed: true, PeerClosed: true}},
		{"one byte", 1, tcpInfo{Closed: true, PeerClosed: true}},
		{"nothing", 0, tcpInfo{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, parseTCPInfo(raw[:tt.size])); diff != "" {
				t.Errorf("tcpInfo (-want +got):\n%s", diff)
			}
		})
	}
}

// pair returns two ends of a connection.
func pair(t testing.TB, network, address string) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, client
}

// fill writes to c until nothing more fits into the buffers on its way.
func fill(t *testing.T, c net.Conn) (n int) {
	t.Helper()
	rc, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 1<<20)
	if err := rc.Control(func(fd uintptr) {
		for n < 1<<30 {
			m, err := unix.Write(int(fd), chunk)
			if err != nil {
				return
			}
			n += m
		}
	}); err != nil || n == 0 || n >= 1<<30 {
		t.Fatalf("%d bytes fit into the buffers: %v", n, err)
	}
	return n
}

func TestLink(t *testing.T) {
	tests := []struct {
		network, address string
		tcp              bool
	}{
		{"tcp", "127.0.0.1:0", true},
		{"unix", filepath.Join(t.TempDir(), "socket"), false},
	}
	for _, tt := range tests {
		t.Run(tt.network, func(t *testing.T) {
			server, client := pair(t, tt.network, tt.address)
			l, err := newLink(server, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if wait, ok := l.ready(0, 0, 0); !ok {
				t.Errorf("new connection: wait %v, want a yes", wait)
			}

			// Nobody reads: what does not fit must close the gate.
			n := fill(t, server)
			if wait, ok := l.ready(time.Second, 0, 0); ok || wait < gateMinWait {
				t.Errorf("full buffers: %v, %v, want a no", wait, ok)
			}
			if l.info.Full != tt.tcp || l.info.Unsent == 0 {
				t.Errorf("full buffers: %+v", l.info)
			}

			// Neither looking nor pacing allocates.
			now := time.Second
			if n := testing.AllocsPerRun(100, func() {
				now += gateMaxWait
				l.ready(now, 0, 0)
				l.socket.pace(uint32(now))
			}); n != 0 {
				t.Errorf("%v allocations per look", n)
			}

			// All of it was read.
			if _, err := io.CopyN(io.Discard, client, int64(n)); err != nil {
				t.Fatal(err)
			}
			for ; ; now += gateMaxWait {
				wait, ok := l.ready(now, 0, 0)
				if ok {
					break
				}
				if l.info.Unsent == 0 && l.info.Unacked == 0 {
					t.Fatalf("empty buffers: wait %v, want a yes", wait)
				}
			}

			// A connection that is gone opens the gate for the write to fail.
			if err := server.Close(); err != nil {
				t.Fatal(err)
			}
			if _, ok := l.ready(now, 0, 0); !ok {
				t.Error("closed connection: a no, want a yes")
			}
		})
	}
}

// A viewer of one frame an hour who has gone is not served until the next one,
// with a place taken and the camera on. One who has closed only its side of the
// connection has not gone.
func TestRareViewerLeaves(t *testing.T) {
	t.Attr("fault", "network | a viewer of one frame an hour leaves in between | its place is free, and the camera may rest | within a second")
	type step = func(client *net.TCPConn) error
	closes := func(client *net.TCPConn) error { return client.Close() }
	read := func(client *net.TCPConn) error {
		for end := make([]byte, 0, 1<<10); !bytes.HasSuffix(end, tail); {
			n, err := client.Read(end[len(end):cap(end)])
			if end = end[:len(end)+n]; err != nil {
				return err
			}
		}
		return nil
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"closed with unread bytes", []step{closes}},
		{"reset", []step{func(client *net.TCPConn) error { return client.SetLinger(0) }, closes}},
		{"closed", []step{read, closes}},
		{"half closed, then closed", []step{read, func(client *net.TCPConn) error { return client.CloseWrite() },
			func(client *net.TCPConn) error {
				_, err := io.ReadFull(client, make([]byte, len(waitingLine)))
				return err
			}, closes}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, client := pair(t, "tcp", "127.0.0.1:0")
			v := newViewer(server, 10*time.Second, new(ageHistogram))
			v.interval = time.Hour
			h := NewHub(nil)
			h.Publish(testFrame(1))
			first, leave := h.watch()
			defer leave()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			served := make(chan error)
			go func() { served <- v.serve(ctx, h, first) }()
			if _, err := io.ReadFull(client, make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			h.Publish(testFrame(2))
			for _, step := range tt.steps {
				if err := step(client.(*net.TCPConn)); err != nil {
					t.Fatal(err)
				}
			}
			if err := <-served; !errors.Is(err, errPeerClosed) {
				t.Errorf("it ended with: %v, want %v", err, errPeerClosed)
			}
		})
	}
}

// A viewer who has closed its side of the connection gets whole parts, and while
// it waits for a rare one the beginning of its header.
func TestHalfClosedViewer(t *testing.T) {
	t.Attr("fault", "network | a viewer that has closed only its side (half-open) | it gets whole parts | –")
	t.Parallel()
	server, client := pair(t, "tcp", "127.0.0.1:0")
	v := newViewer(server, 10*time.Second, new(ageHistogram))
	v.interval = time.Millisecond
	v.due = time.Now().Add(4 * peerCheck)
	h := NewHub(nil)
	h.Publish(testFrame(1))
	if err := client.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	served := make(chan error)
	go func() { served <- v.run(ctx, h) }()
	var wire bytes.Buffer
	s, err := pushertest.NewStreamReader(io.TeeReader(client, &wire))
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= 2; seq++ {
		p, err := s.Next()
		for err == nil && p.Seq == seq-1 { // the Hub repeats a frame each second
			p, err = s.Next()
		}
		if err != nil || p.Seq != seq {
			t.Fatalf("frame %d, %v; want %d", p.Seq, err, seq)
		}
		h.Publish(testFrame(seq + 1))
	}
	if !bytes.Contains(wire.Bytes(), waitingLine) {
		t.Errorf("nothing was written while it waited:\n%q", wire.Bytes())
	}
	client.Close()
	if err := <-served; err == nil {
		t.Error("its end was not noticed")
	}
}

// TestLinkReset: the peer's reset kills the connection in the kernel only, and
// no write is under way to tell.
func TestLinkReset(t *testing.T) {
	t.Attr("fault", "network | a reset while nothing is written | it is noticed | at the next look")
	server, client := pair(t, "tcp", "127.0.0.1:0")
	l, err := newLink(server, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 1)); err == nil {
		t.Fatal("read from a connection that was reset")
	}
	if _, ok := l.ready(0, 0, 0); !ok || !l.info.Closed {
		t.Errorf("ready %v, info %+v, want a yes because it is closed", ok, l.info)
	}
}

// What a dropped viewer has not taken is gone with its connection.
func TestLinkForget(t *testing.T) {
	server, client := pair(t, "tcp", "127.0.0.1:0")
	l, err := newLink(server, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	l.closing(true)
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, client); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer read to: %v, want a reset", err)
	}
}

func TestLinkSetsSocketOptions(t *testing.T) {
	server, _ := pair(t, "tcp", "127.0.0.1:0")
	l, err := newLink(server, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	l.socket.pace(1_000_000)
	get := func(level, name int) int {
		var n int
		var serr error
		if err := l.socket.conn.Control(func(fd uintptr) { n, serr = unix.GetsockoptInt(int(fd), level, name) }); err != nil || serr != nil {
			t.Fatal(err, serr)
		}
		return n
	}
	got := map[string]int{
		"TCP_NODELAY":        get(unix.IPPROTO_TCP, unix.TCP_NODELAY),
		"TCP_USER_TIMEOUT":   get(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT),
		"TCP_KEEPIDLE":       get(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE),
		"SO_KEEPALIVE":       get(unix.SOL_SOCKET, unix.SO_KEEPALIVE),
		"SO_MAX_PACING_RATE": get(unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE),
	}
	want := map[string]int{
		"TCP_NODELAY": 1, "TCP_USER_TIMEOUT": 0, "TCP_KEEPIDLE": 5, "SO_KEEPALIVE": 1, "SO_MAX_PACING_RATE": 1_000_000,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("socket options (-want +got):\n%s", diff)
	}
	congestion := func() (name string) {
		if err := l.socket.conn.Control(func(fd uintptr) { name, err = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION) }); err != nil {
			t.Fatal(err)
		}
		return name
	}
	wantCC := congestion()
	if known, err := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control"); err != nil {
		t.Fatal(err)
	} else if slices.Contains(strings.Fields(string(known)), "bbr") && os.Geteuid() == 0 {
		wantCC = "bbr"
	}
	if l.socket.useBBR(); congestion() != wantCC {
		t.Errorf("the congestion control for a lossy link is %s, want %s", congestion(), wantCC)
	}
	l.closing(false)
	if ms := get(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); ms != 10_000 {
		t.Errorf("what is left when it is closed is kept for %d ms, want 10 s", ms)
	}
}

// A peer whose window is closed, and opens a little now and then, takes something: the
// link is not stalled, and the kernel does not end it. It is stalled when the peer takes
// nothing for the timeout. The kernel's clock is the real one; that a busy machine makes
// the pauses longer changes nothing.
func TestLinkOfASlowTaker(t *testing.T) {
	t.Attr("fault", "network | a window of a few bytes that opens now and then (tiny windows) | it is slow, and not dropped; it gets no old frames | –")
	t.Parallel()
	const timeout = time.Second
	server, client := pair(t, "tcp", "127.0.0.1:0")
	l, err := newLink(server, timeout)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	fill(t, server)
	now := time.Duration(0)
	stalled := func() time.Duration {
		if _, ok := l.ready(now, 0, 0); ok {
			t.Fatalf("it may send at %v: %+v", now, l.info)
		}
		return l.stalled(now)
	}
	stalled()
	for range 6 {
		time.Sleep(timeout / 2) // until the kernel has asked the peer for its window again
		now += timeout * 9 / 10
		for before := l.info.Delivered; l.info.Delivered == before; {
			if _, err := io.CopyN(io.Discard, client, 8<<10); err != nil {
				t.Fatal(err)
			}
			if d := stalled(); d > timeout {
				t.Fatalf("it is stalled for %v at %v: %+v", d, now, l.info)
			}
		}
	}
	now += timeout + time.Millisecond
	if d := stalled(); d <= timeout {
		t.Errorf("nothing was taken, and it is stalled for %v", d)
	}
}

// While a frame is on its way to a slow reader far away, the answer to the last question
// is looked for, and not any more when it has come.
func TestLinkListens(t *testing.T) {
	server, _ := pair(t, "tcp", "127.0.0.1:0")
	l, err := newLink(server, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if l.listen(0) {
		t.Error("it listens to a reader that must not be asked")
	}
	l.asks = true
	l.reader = reader{slow: true, open: 1, takes: 100 * time.Millisecond}
	l.reader.asks[0].end = 1
	l.info.MinRTT = 50 * time.Millisecond
	if _, err := server.Write([]byte(".")); err != nil {
		t.Fatal(err)
	}
	for l.reader.open > 0 {
		if !l.listen(time.Second) {
			t.Fatalf("it does not listen before the answer is there: %+v", l.info)
		}
		l.info.MinRTT = 50 * time.Millisecond // loopback's is shorter
	}
	if l.listen(time.Second) {
		t.Error("it listens after the answer")
	}
}

// A viewer of one frame an hour who takes nothing of the last one is dropped before the
// next one.
func TestRareViewerTakesNothing(t *testing.T) {
	t.Parallel()
	server, _ := pair(t, "tcp", "127.0.0.1:0")
	v := newViewer(server, time.Second, new(ageHistogram))
	v.interval = time.Hour
	v.due = time.Now().Add(time.Hour)
	fill(t, server)
	h := NewHub(nil)
	h.Publish(testFrame(1))
	first, leave := h.watch()
	defer leave()
	if err := v.serve(t.Context(), h, first); !errors.Is(err, errStalled) {
		t.Errorf("it ended with: %v, want %v", err, errStalled)
	}
}

func BenchmarkLinkReady(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	k, err := newLink(c, 10*time.Second)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var now time.Duration
	for b.Loop() {
		now += gateMaxWait
		k.ready(now, 0, 0)
	}
}
