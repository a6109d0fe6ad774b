package discovery

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// zone is records in the text of zone files.
func zone(t testing.TB, text string) (all []dns.RR) {
	t.Helper()
	z := dns.NewZoneParser(strings.NewReader(text), ".", "")
	for rr, ok := z.Next(); ok; rr, ok = z.Next() {
		all = append(all, rr)
	}
	if err := z.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func response(t testing.TB, text string) []byte {
	t.Helper()
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}, Answer: zone(t, text)}
	data, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const camera = `_pushcam._tcp.local. 4500 IN PTR x._pushcam._tcp.local.
x._pushcam._tcp.local. 120 IN SRV 0 0 80 x.local.
x._pushcam._tcp.local. 4500 IN TXT "version=1" "VERSION=2" "model" "=z" "path=/p"
x.local. 120 IN A 192.168.1.5
`

func TestDirectory(t *testing.T) {
	lan := with("192.168.1.9/24", "fe80::9/64").now[0]
	base := Found{Name: "x", Host: "x.local", Port: 80, Path: "/p", Version: "1", Addresses: []netip.Addr{netip.MustParseAddr("192.168.1.5")}}
	for _, test := range []struct {
		name     string
		messages []string
		want     []Found
	}{
		{"all in one", []string{camera}, []Found{base}},
		{"twice", []string{camera, camera}, []Found{base}},
		{"goodbye", []string{camera, "_pushcam._tcp.local. 0 IN PTR x._pushcam._tcp.local."}, []Found{}},
		{"other services", []string{strings.ReplaceAll(camera, "_pushcam", "_http")}, []Found{}},
		{"a service of another type", []string{"_pushcam._tcp.local. 4500 IN PTR x._http._tcp.local.\nx._http._tcp.local. 120 IN SRV 0 0 80 x.local."}, []Found{}},
		{"no name before the type", []string{"_pushcam._tcp.local. 4500 IN PTR _pushcam._tcp.local.\n_pushcam._tcp.local. 120 IN SRV 0 0 80 x.local."}, []Found{}},
		{"addresses elsewhere", []string{strings.ReplaceAll(camera, "192.168.1.5", "8.8.8.8")}, []Found{{Name: "x", Host: "x.local", Port: 80, Path: "/p", Version: "1"}}},
		{"this computer itself", []string{strings.ReplaceAll(camera, "192.168.1.5", "127.0.0.1")}, []Found{{Name: "x", Host: "x.local", Port: 80, Path: "/p", Version: "1"}}},
		{"a new address", []string{camera, "x.local. 120 IN A 192.168.1.6"}, []Found{{Name: "x", Host: "x.local", Port: 80, Path: "/p", Version: "1", Addresses: []netip.Addr{netip.MustParseAddr("192.168.1.6")}}}},
		{"control characters", []string{`_pushcam._tcp.local. 4500 IN PTR \027[2Jx._pushcam._tcp.local.
\027[2Jx._pushcam._tcp.local. 120 IN SRV 0 0 80 \007.local.
\027[2Jx._pushcam._tcp.local. 120 IN TXT "model=\027]0;owned\007" "version=\010\013"`},
			[]Found{{Name: "�[2Jx", Host: "�.local", Port: 80, Model: "�]0;owned�", Version: "��"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := make(directory)
			for _, m := range test.messages {
				d.handle(packet{response(t, m), netip.MustParseAddrPort("192.168.1.5:5353"), lan})
			}
			if diff := cmp.Diff(test.want, d.found(), compareAddr); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// What a pushcam does not tell by itself is asked for.
func TestDirectoryAsks(t *testing.T) {
	lan := with("192.168.1.9/24").now[0]
	d := make(directory)
	for _, line := range strings.SplitAfter(strings.TrimSpace(camera), "\n") {
		d.handle(packet{response(t, line), netip.MustParseAddrPort("192.168.1.5:5353"), lan})
		var asked []string
		for _, q := range d.questions().Question[1:] {
			asked = append(asked, dns.TypeToString[q.Qtype]+" "+q.Name)
		}
		want := map[string][]string{
			"PTR": {"SRV x._pushcam._tcp.local.", "TXT x._pushcam._tcp.local."},
			"SRV": {"A x.local.", "AAAA x.local.", "TXT x._pushcam._tcp.local."},
			"TXT": {"A x.local.", "AAAA x.local."},
			"A":   nil,
		}[strings.Fields(line)[3]]
		if diff := cmp.Diff(want, asked); diff != "" {
			t.Errorf("after %s-want +got:\n%s", line, diff)
		}
	}
}

func TestDirectoryIsBounded(t *testing.T) {
	lan := with("192.168.1.9/24").now[0]
	d := make(directory)
	for i := range 4 * maxFound {
		text := strings.ReplaceAll(camera, "x", fmt.Sprint("x", i))
		for a := range 50 {
			text += fmt.Sprintf("x%d.local. 120 IN A 192.168.1.%d\n", i, a+1)
		}
		d.handle(packet{response(t, text), netip.MustParseAddrPort("192.168.1.5:5353"), lan})
	}
	if len(d) != maxFound {
		t.Errorf("%d are remembered, want %d", len(d), maxFound)
	}
	for _, f := range d.found() {
		if len(f.Addresses) > maxAddresses {
			t.Fatalf("%s has %d addresses, want at most %d", f.Name, len(f.Addresses), maxAddresses)
		}
	}
	if n := len(d.questions().Question); n > maxQuestions {
		t.Errorf("%d questions, want at most %d", n, maxQuestions)
	}
}

func TestStatus(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   Status
		err    string
	}{
		{"live", text(`{"camera":{"phase":"live"},"program":{"version":"v1"}}`), Status{Phase: "live", Version: "v1"}, ""},
		{"with an id", text(`{"camera":{"phase":"live"},"id":"AB\u001b","hostname":"attic","network":{"host":"attic-2.local"}}`), Status{Phase: "live", Host: "attic-2.local", ID: "AB�", Hostname: "attic"}, ""},
		{"of before there were ids", text(`{"camera":{"phase":"live"},"network":{"host":"attic.local"}}`), Status{Phase: "live", Host: "attic.local", Hostname: "attic"}, ""},
		{"fault", text(`{"camera":{"phase":"fault","reason":"\u001b[2Jno frames"}}`), Status{Phase: "fault", Reason: "�[2Jno frames"}, ""},
		{"no JSON", text("<html>"), Status{}, "what it gives as its state is not a pushcam's"},
		{"other JSON", text("{}"), Status{}, "what it gives as its state is not a pushcam's"},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write([]byte(strings.Repeat("[", 1<<16))); err != nil {
					return
				}
			}
		}, Status{}, "what it gives as its state is not a pushcam's"},
		{"viewing is closed", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
			Status{Phase: "closed", Reason: "only who knows its password may look"}, ""},
		{"closed", http.NotFound, Status{}, "it answers 404 where its state should be"},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, Status{}, "it answers 302 where its state should be"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(test.answer)
			defer server.Close()
			at := netip.MustParseAddrPort(server.Listener.Addr().String())
			f := &Found{Host: test.want.Host, Addresses: []netip.Addr{at.Addr()}, Port: int(at.Port())}
			got, err := f.Status(t.Context())
			if fmt.Sprint(err) != test.err && (err != nil || test.err != "") {
				t.Errorf("error %v, want %q", err, test.err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
}

func TestStatusWithoutAddress(t *testing.T) {
	if _, err := new(Found).Status(t.Context()); err != errNoAddress {
		t.Errorf("error %v, want %v", err, errNoAddress)
	}
}

// Only addresses that answered as this pushcam are left.
func TestStatusOfEachAddress(t *testing.T) {
	serve := func(address string, answer http.HandlerFunc) {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		server := &httptest.Server{Listener: l, Config: &http.Server{Handler: answer}}
		server.Start()
		t.Cleanup(server.Close)
	}
	first := httptest.NewServer(text(`{"camera":{"phase":"live"},"network":{"host":"Pushcam.local"}}`))
	t.Cleanup(first.Close)
	_, port, err := net.SplitHostPort(first.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	serve("127.0.0.2:"+port, text(`{"camera":{"phase":"idle"},"network":{"host":"other.local"}}`))
	serve("127.0.0.3:"+port, text("<html>"))
	serve("127.0.0.5:"+port, text(`{"camera":{"phase":"live"},"network":{"host":"pushcam.local"},"id":"this"}`))
	serve("127.0.0.6:"+port, text(`{"camera":{"phase":"live"},"network":{"host":"pushcam.local"},"id":"another"}`))
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name            string
		addresses, want []string
		err             string
	}{
		{"all of them", []string{"127.0.0.2", "127.0.0.1", "127.0.0.4", "127.0.0.3", "127.0.0.6", "127.0.0.5"}, []string{"127.0.0.1", "127.0.0.5"}, "<nil>"},
		{"another camera's", []string{"127.0.0.2", "127.0.0.3"}, nil, "another camera, other.local, answers at 127.0.0.2"},
		{"nobody's", []string{"127.0.0.4"}, nil, "it does not answer: dial tcp 127.0.0.4:" + port + ": connect: connection refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &Found{Host: "pushcam.local", ID: "this", Port: number}
			for _, a := range test.addresses {
				f.Addresses = append(f.Addresses, netip.MustParseAddr(a))
			}
			state, err := f.Status(t.Context())
			if fmt.Sprint(err) != test.err {
				t.Errorf("error %v, want %s", err, test.err)
			}
			if got := fmt.Sprint(f.Addresses); got != fmt.Sprint(test.want) {
				t.Errorf("the addresses that are left are %s, want %s", got, test.want)
			}
			if err == nil && state.Phase != "live" {
				t.Errorf("the state is %+v", state)
			}
		})
	}
}

func TestLink(t *testing.T) {
	for _, test := range []struct {
		addresses []string // the best first
		port      int
		want      string
	}{
		{nil, 80, ""},
		{[]string{"192.168.1.5", "fe80::1%eth0"}, 80, "http://192.168.1.5/"},
		{[]string{"192.168.1.5"}, 8080, "http://192.168.1.5:8080/"},
		{[]string{"2001:db8::1", "fe80::1%eth0"}, 80, "http://[2001:db8::1]/"},
		{[]string{"2001:db8::1"}, 8080, "http://[2001:db8::1]:8080/"},
		{[]string{"169.254.7.7", "fe80::1%eth0"}, 80, "http://169.254.7.7/"},
		{[]string{"fe80::1%eth0"}, 80, "http://pushcam.local/"},
		{[]string{"fe80::1%eth0"}, 8080, "http://pushcam.local:8080/"},
	} {
		f := &Found{Host: "pushcam.local", Port: test.port}
		for _, a := range test.addresses {
			f.Addresses = append(f.Addresses, netip.MustParseAddr(a))
		}
		if got := f.Link(); got != test.want {
			t.Errorf("%s, port %d: the link is %q, want %q", test.addresses, test.port, got, test.want)
		}
	}
}

// FuzzPacket gives any packet to a responder in each of its phases, and to a
// directory.
func FuzzPacket(f *testing.F) {
	f.Add(response(f, camera), uint16(port))
	f.Add(response(f, strings.ReplaceAll(camera, "x", "pushcam")), uint16(port))
	for _, q := range []*dns.Msg{
		question("pushcam.local.", dns.TypeANY, dns.ClassINET),
		question("_http._tcp.local.", dns.TypePTR, dns.ClassINET|cacheFlush),
		{Question: []dns.Question{{Name: "pushcam.local.", Qtype: dns.TypeANY, Qclass: dns.ClassINET}}, Ns: zone(f, "pushcam.local. 120 IN A 192.168.1.200")},
	} {
		data, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint16(port))
		f.Add(data, uint16(40000))
	}
	f.Fuzz(func(t *testing.T, data []byte, from uint16) {
		lan := with("192.168.1.9/24", "fe80::9/64").now[0]
		p := packet{data, netip.AddrPortFrom(netip.MustParseAddr("192.168.1.5"), from), lan}
		sent := new(counter)
		r := &responder{base: "pushcam", profile: profile{port: 80}}
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		r.start(now, sent, []*network{lan})
		for range 2 * (probeCount + len(announceAfter)) {
			before := sent.count
			r.handle(now, p)
			if next := r.next(); !next.IsZero() {
				now = next
			}
			r.step(now)
			if n := sent.count - before; n > 3 {
				t.Fatalf("one packet led to %d", n)
			}
		}
		r.goodbye()

		d := make(directory)
		d.handle(p)
		if _, err := d.questions().Pack(); err != nil {
			t.Errorf("cannot ask: %v", err)
		}
		for _, f := range d.found() {
			for _, s := range []string{f.Name, f.Host, f.Path, f.Version, f.Model} {
				if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("%q is not safe to print", s)
				}
			}
		}
	})
}

// A counter is a wire that leads nowhere.
type counter struct {
	wire
	count int
}

func (c *counter) multicast(*network, []byte) error { c.count++; return nil }

func (c *counter) unicast(*network, netip.AddrPort, []byte) error { c.count++; return nil }
