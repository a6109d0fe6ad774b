package pusher

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestGuestOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7:80":        "192.0.2.7",
		"[::ffff:10.0.0.1]:1": "10.0.0.1",
		"[2001:db8::7]:80":    "2001:db8::7",
		"[fe80::7%lo]:80":     "fe80::7",
		"127.0.0.9:80":        "invalid IP",
		"[::1]:80":            "invalid IP",
	} {
		if got := guestOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))); got.String() != want {
			t.Errorf("%s counts for %s, want %s", address, got, want)
		}
	}
	for _, a := range []net.Addr{nil, &net.UnixAddr{Name: "/run/proxy", Net: "unix"}, memoryAddr{}} {
		if got := guestOf(a); got.IsValid() {
			t.Errorf("%v counts for %s, want nobody", a, got)
		}
	}
}

// Who gives a piece to a newcomer, while all are held.
func TestYields(t *testing.T) {
	const none = "none"
	tests := []struct {
		name     string
		held     string // who holds a piece, the oldest first; a * behind one that is idle, a ! behind one that is kept
		newcomer string
		share    int
		want     string // index and holder
	}{
		{"one has nearly all", "1.1 1.1 1.1 2.2", "3.3", 4, "0 1.1"},
		{"idle goes first", "1.1 1.1 1.1 2.2*", "3.3", 4, "3 2.2"},
		{"idle of who has the most", "2.2* 1.1* 1.1", "3.3", 4, "1 1.1"},
		{"one more is not enough", "1.1 2.2 3.3", "4.4", 4, none},
		{"nor is it between equals", "1.1 1.1 2.2", "2.2", 4, none},
		{"kept", "1.1! 1.1! 2.2", "3.3", 4, none},
		{"the proxy's are not shared out", " - - - -", "3.3", 4, none},
		{"its idle ones are", "- -* -", "3.3", 4, "1 -"},
		{"a proxy's newcomer takes from others", "1.1 1.1 2.2", "-", 4, "0 1.1"},
		{"a share is spent: of its own alone", "1.1* 2.2 2.2", "2.2", 2, none},
		{"an idle one of its own", "1.1* 2.2 2.2*", "2.2", 2, "2 2.2"},
		{"in a home with one prefix", "2001:db8::1 2001:db8::1 2001:db8::1 2001:db8::2", "2001:db8::3", 4, "0 2001:db8::1"},
		{"addresses of one prefix count together", "2001:db8::1 2001:db8::2 2001:db8::3", "1.1", 4, "0 2001:db8::1"},
	}
	parse := func(s string) netip.Addr {
		s = strings.Trim(s, "*!")
		switch {
		case s == "-":
			return netip.Addr{}
		case !strings.Contains(s, ":"):
			s = "10.0." + s
		}
		return netip.MustParseAddr(s)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLedger(len(strings.Fields(tt.held)))
			l.share = tt.share
			var claims []claim
			for i, h := range strings.Fields(tt.held) {
				claims = append(claims, claim{parse(h), strings.HasSuffix(h, "!"), strings.HasSuffix(h, "*"), time.Unix(int64(i), 0)})
				l.add(parse(h), 1)
			}
			got := none
			if i := l.yields(parse(tt.newcomer), claims); i >= 0 {
				got = fmt.Sprint(i, " ", strings.Trim(strings.Fields(tt.held)[i], "*!"))
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			for _, c := range claims {
				l.add(c.from, -1)
			}
			if l.total != 0 || len(l.held) != 0 {
				t.Errorf("when all is given back, there is %+v", l)
			}
		})
	}
}

// addressed is a connection in memory that comes from an address.
type addressed struct {
	net.Conn
	remote netip.Addr
}

func (c addressed) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.remote, 50000))
}

// from has the rig's connections come from an address, until it is called again.
func (r *rig) from(ip string) { r.remote = netip.MustParseAddr(ip) }

// No address takes all places for viewers: not at once, and not by addresses that each
// take a share.
func TestViewersShare(t *testing.T) {
	t.Attr("fault", "abuse | one address, or many of one network, want all places | each has a share at most | at once")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *Server) { s.Limits = fixed(Limits{MaxViewers: 4}) })
		r.film()
		watch := func(query string, want int) {
			t.Helper()
			conn := r.request("GET", "/stream"+query)
			b := make([]byte, len("HTTP/1.0 200"))
			if _, err := conn.Read(b); err != nil || !strings.HasSuffix(string(b), fmt.Sprint(want)) {
				t.Errorf("%s%s: %q, %v; want %d", r.remote, query, b, err, want)
			}
			go func() {
				for b := make([]byte, 4096); ; {
					if _, err := conn.Read(b); err != nil {
						return
					}
				}
			}()
			time.Sleep(time.Second)
		}
		check := func(want string) {
			t.Helper()
			r.server.mu.Lock()
			defer r.server.mu.Unlock()
			got := map[string]int{}
			for v := range r.server.viewers {
				got[v.from.String()]++
			}
			if fmt.Sprint(got) != want || r.server.places.total != len(r.server.viewers) {
				t.Errorf("viewers %v, want %s; %d places are taken", got, want, r.server.places.total)
			}
		}
		r.from("10.0.0.1")
		watch("", 200)
		watch("", 200)
		watch("", 503)
		r.from("10.0.0.2")
		watch("", 200)
		watch("", 200)
		r.from("10.0.0.3") // who has none gets one of who has two
		watch("", 200)
		check("map[10.0.0.1:1 10.0.0.2:2 10.0.0.3:1]")
		watch("", 503)
		r.from("10.0.0.4")
		watch("?fps=0.01", 200)
		check("map[10.0.0.1:1 10.0.0.2:1 10.0.0.3:1 10.0.0.4:1]")
		r.from("10.0.0.5") // who makes little use of a place gives it away
		watch("", 200)
		check("map[10.0.0.1:1 10.0.0.2:1 10.0.0.3:1 10.0.0.5:1]")
		r.from("10.0.0.6")
		watch("", 503)
	})
}

// Who takes a byte now and then is never dropped for being silent, and gives way.
func TestSlowViewerGivesWay(t *testing.T) {
	t.Attr("fault", "abuse | a viewer that takes a byte now and then | it gives way to newcomers | at once")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *Server) { s.Limits = fixed(Limits{MaxViewers: 1}) })
		r.film()
		_, slow := r.stream("/stream")
		for range 20 {
			slow.Read(make([]byte, 20))
			time.Sleep(time.Second)
		}
		s, _ := r.stream("/stream")
		r.next(s)
		synctest.Wait()
		if m := r.do("GET", "/metrics").Body; !strings.Contains(m, "pushcam_viewers_evicted_total 1\n") {
			t.Error("nobody is counted as dropped")
		}
	})
}

// One address that takes all sessions that it gets leaves some, and those that nobody
// looks at give way.
func TestSessionsShare(t *testing.T) {
	t.Attr("fault", "abuse | one address takes session after session | those that nobody looks at give way | at once")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *Server) { s.Limits = fixed(Limits{MaxSessions: 4}) })
		begin := func(ip string) int {
			r.from(ip)
			return r.do("POST", "/sessions").Code
		}
		for i, want := range []int{200, 200, 503, 503} {
			if code := begin("10.0.0.1"); code != want {
				t.Errorf("session %d of one address: %d", i+1, code)
			}
		}
		for range 2 {
			if code := begin("10.0.0.2"); code != 200 {
				t.Errorf("a session beside them: %d", code)
			}
		}
		if code := begin("10.0.0.3"); code != 200 {
			t.Errorf("who has none, while two have two each: %d", code)
		}
		time.Sleep(sessionUnused)
		for i := range 20 { // nobody looks at any of them
			if code := begin("10.0.0.1"); code != 200 && i < 2 {
				t.Errorf("session %d after a while: %d", i+1, code)
			}
		}
		if n, known := r.server.sessions.count(), len(r.server.sessions.byID); n > 4 || known > 4 {
			t.Errorf("%d sessions, %d known", n, known)
		}
	})
}

// short is a listener on a system that has no descriptors left for a while.
type short struct {
	net.Listener
	times int
}

func (l *short) Accept() (net.Conn, error) {
	if l.times--; l.times >= 0 {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

// A lack of descriptors is said once, costs those their connections who ask for nothing,
// and passes.
func TestNoDescriptorsLeft(t *testing.T) {
	t.Attr("fault", "system | no descriptors are left (EMFILE) | said once; connections that ask for nothing are closed | when there are some again")
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		r := newRig(t, func(s *Server) { s.Log = slog.New(slog.NewTextHandler(&said, nil)) })
		quiet := r.dial()
		synctest.Wait()
		l := &pipeListener{make(chan net.Conn), make(chan struct{})}
		d := &door{Listener: &short{l, 100}, connections: r.server.connections}
		accepted := make(chan net.Conn)
		go func() {
			conn, err := d.Accept()
			if err != nil {
				t.Error(err)
			}
			accepted <- conn
		}()
		if _, err := quiet.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a quiet connection: %v, want its end", err)
		}
		client, server := net.Pipe()
		defer client.Close()
		l.conns <- server
		if conn := <-accepted; conn != server {
			t.Error("no connection is accepted when there are descriptors again")
		}
		server.Close()
		r.stop()
		if n := strings.Count(said.String(), "nothing left for another connection"); n != 1 {
			t.Errorf("it is said %d times:\n%s", n, said.String())
		}
	})
}

// The requests that one address has under way are bounded.
func TestRequestsShare(t *testing.T) {
	t.Attr("fault", "abuse | one address has many requests under way | 16 at most | when they are over")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.from("10.0.0.1")
		for range requestShare {
			r.request("GET", "/snapshot") // there is no frame yet
		}
		synctest.Wait()
		if a := r.do("GET", "/healthz"); a.Code != 503 || !strings.Contains(a.Body, fmt.Sprintf("Your address has %d requests under way", requestShare)) {
			t.Errorf("one too many: %+v", a)
		}
		r.from("10.0.0.2")
		if a := r.do("GET", "/healthz"); a.Code != 200 {
			t.Errorf("somebody else: %+v", a)
		}
		time.Sleep(snapshotTimeout + time.Second)
		r.from("10.0.0.1")
		if a := r.do("GET", "/healthz"); a.Code != 200 {
			t.Errorf("when they are over: %+v", a)
		}
		if n := r.server.connections.requests.total; n != 0 {
			t.Errorf("%d requests are still counted", n)
		}
	})
}
