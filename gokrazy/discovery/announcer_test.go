package discovery

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"
)

var compareAddr = cmpopts.EquateComparable(netip.Addr{})

func TestFound(t *testing.T) {
	simulate(t, func(t *testing.T, s *segment) {
		a := &Announcer{Hostname: "pushcam", Port: 8080, Version: `v1.2 \007 "x"`, Model: "Raspberry Pi 3 Model B", ID: "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
		announce(t, s, with("192.168.1.5/24", "fe80::5/64"), a)
		wait(settled)
		got := browse(t, s, with("192.168.1.9/24", "fe80::9/64"), 2*time.Second)
		want := []Found{{
			Name: "pushcam", Host: "pushcam.local", Port: 8080, Path: "/", Version: `v1.2 \007 "x"`, Model: "Raspberry Pi 3 Model B", ID: "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
			Addresses: []netip.Addr{netip.MustParseAddr("192.168.1.5"), netip.MustParseAddr("fe80::5%eth0")},
		}}
		if diff := cmp.Diff(want, got, compareAddr); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		state := State{Host: "pushcam.local", Addresses: []netip.Addr{netip.MustParseAddr("192.168.1.5"), netip.MustParseAddr("fe80::5")}}
		if diff := cmp.Diff(state, a.State(), compareAddr); diff != "" {
			t.Errorf("state -want +got:\n%s", diff)
		}
	})
}

func TestNameTaken(t *testing.T) {
	for _, test := range []struct {
		name   string
		apart  time.Duration
		second *computer
	}{
		{"later", settled, with("192.168.1.6/24")},
		{"at once", 0, with("192.168.1.6/24")},
		{"while the first probes", 400 * time.Millisecond, with("192.168.1.6/24")},
		{"on the same computer", settled, with("192.168.1.5/24")},
		{"at once on the same computer", 0, with("192.168.1.5/24")},
	} {
		t.Run(test.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *segment) {
				a, b := &Announcer{Hostname: "pushcam", Port: 80}, &Announcer{Hostname: "pushcam", Port: 81}
				announce(t, s, with("192.168.1.5/24"), a)
				wait(test.apart)
				announce(t, s, test.second, b)
				wait(2 * settled)
				got := names(browse(t, s, with("192.168.1.9/24"), 2*time.Second))
				if diff := cmp.Diff([]string{"pushcam.local", "pushcam-2.local"}, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				if test.apart == settled && (a.State().Reason != "" || b.State().Reason != "another device had the name pushcam.local first") {
					t.Errorf("states: %+v and %+v", a.State(), b.State())
				}
			})
		})
	}
}

func TestFiveOfOneName(t *testing.T) {
	simulate(t, func(t *testing.T, s *segment) {
		var want []string
		for i := range 5 {
			announce(t, s, with(fmt.Sprintf("192.168.1.%d/24", 10+i)), &Announcer{Hostname: "pushcam"})
			want = append(want, numbered("pushcam", i+1)+".local")
		}
		wait(30 * time.Second)
		got := names(browse(t, s, with("192.168.1.9/24"), 2*time.Second))
		if diff := cmp.Diff(want, got, cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestGoodbye(t *testing.T) {
	simulate(t, func(t *testing.T, s *segment) {
		stop := announce(t, s, with("192.168.1.5/24"), &Announcer{Hostname: "pushcam"})
		wait(settled)
		time.AfterFunc(time.Second, stop)
		if got := browse(t, s, with("192.168.1.9/24"), 3*time.Second); len(got) != 0 {
			t.Errorf("still there after its goodbye: %+v", got)
		}
	})
}

func TestNoNetworkYet(t *testing.T) {
	simulate(t, func(t *testing.T, s *segment) {
		c, log := with(), new(lines)
		a := &Announcer{Hostname: "pushcam", Log: log.logger()}
		announce(t, s, c, a)
		wait(time.Minute)
		if got := a.State(); got.Host != "" || got.Reason != "there is no network" {
			t.Errorf("without a network: %+v", got)
		}
		if log.count() != 1 {
			t.Errorf("%d lines in the log, want 1:\n%s", log.count(), &log.buf)
		}
		c.set("192.168.1.5/24")
		wait(lookInterval + settled)
		if got := a.State(); got.Host != "pushcam.local" || got.Reason != "" {
			t.Errorf("with a network: %+v", got)
		}
	})
}

func TestAddressChanges(t *testing.T) {
	simulate(t, func(t *testing.T, s *segment) {
		c := with("192.168.1.5/24")
		log := new(lines)
		a := &Announcer{Hostname: "pushcam", Log: log.logger()}
		announce(t, s, c, a)
		wait(settled)
		c.set("192.168.1.77/24")
		wait(lookInterval + settled)
		got := browse(t, s, with("192.168.1.9/24"), 2*time.Second)
		if len(got) != 1 || fmt.Sprint(got[0].Addresses) != "[192.168.1.77]" {
			t.Errorf("found %+v, want one at 192.168.1.77", got)
		}
		if now := fmt.Sprint(a.State()); now != "{pushcam.local [192.168.1.77] }" || strings.Count(log.buf.String(), "has a name") != 2 {
			t.Errorf("the state is %v; want one line for each address:\n%s", now, &log.buf)
		}
	})
}

// A name stays the same while the program runs, even if its first owner leaves.
func TestNameStays(t *testing.T) {
	simulate(t, func(t *testing.T, s *segment) {
		stop := announce(t, s, with("192.168.1.5/24"), &Announcer{Hostname: "pushcam"})
		wait(settled)
		c, b := with("192.168.1.6/24"), &Announcer{Hostname: "pushcam"}
		announce(t, s, c, b)
		wait(2 * settled)
		stop()
		c.set("192.168.1.7/24")
		wait(lookInterval + settled)
		if got := b.State().Host; got != "pushcam-2.local" {
			t.Errorf("the name is %q after an address change, want pushcam-2.local", got)
		}
	})
}

// Cameras of one name that lose their power together have their own names afterwards,
// whichever of them is back first.
func TestNameOutlivesPower(t *testing.T) {
	simulate(t, func(t *testing.T, s *segment) {
		kept := make([]string, 2)
		start := func(i int) (a *Announcer, stop func()) {
			a = &Announcer{Hostname: "pushcam", Kept: kept[i], Keep: func(name string) { kept[i] = name }}
			return a, announce(t, s, with(fmt.Sprintf("192.168.1.%d/24", 10+i)), a)
		}
		_, stopFirst := start(0)
		wait(settled)
		_, stopSecond := start(1)
		wait(2 * settled)
		stopFirst()
		stopSecond()
		if want := []string{"", "pushcam-2"}; !slices.Equal(kept, want) { // a plain name need not be written to a card
			t.Fatalf("kept are %q, want %q", kept, want)
		}
		second, _ := start(1)
		wait(2 * settled)
		first, _ := start(0)
		wait(2 * settled)
		if a, b := first.State().Host, second.State().Host; a != "pushcam.local" || b != "pushcam-2.local" {
			t.Errorf("after the power cut they are %s and %s, want pushcam.local and pushcam-2.local", a, b)
		}
	})
}

func TestKeptName(t *testing.T) {
	for _, test := range []struct {
		name, hostname, kept string
		taken                []string // by others
		host                 string
		keeps                []string
	}{
		{"none", "pushcam", "", nil, "pushcam", nil},
		{"its own", "pushcam", "pushcam", nil, "pushcam", nil},
		{"with a number", "pushcam", "pushcam-3", nil, "pushcam-3", nil},
		{"of another hostname", "garden", "pushcam-3", nil, "garden", []string{"garden"}},
		{"no name of ours", "pushcam", "pushcam-100", nil, "pushcam", []string{"pushcam"}},
		{"taken meanwhile", "pushcam", "pushcam-2", []string{"pushcam-2"}, "pushcam", []string{"pushcam"}},
		{"taken as the wanted one is", "pushcam", "pushcam-2", []string{"pushcam", "pushcam-2"}, "pushcam-3", []string{"pushcam-3"}},
		{"taken, and a lower one free", "pushcam", "pushcam-3", []string{"pushcam", "pushcam-3"}, "pushcam-2", []string{"pushcam-2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *segment) {
				for i, name := range test.taken {
					announce(t, s, with(fmt.Sprintf("192.168.1.%d/24", 20+i)), &Announcer{Hostname: name})
				}
				wait(settled)
				var keeps []string
				a := &Announcer{Hostname: test.hostname, Kept: test.kept, Keep: func(name string) { keeps = append(keeps, name) }}
				stop := announce(t, s, with("192.168.1.5/24"), a)
				wait(2 * settled)
				host := a.State().Host
				stop()
				if host != test.host+".local" || !slices.Equal(keeps, test.keeps) {
					t.Errorf("the name is %s, and kept are %q; want %s.local and %q", host, keeps, test.host, test.keeps)
				}
			})
		})
	}
}

// A change that is told is not noticed only at the next look.
func TestChangeIsTold(t *testing.T) {
	simulate(t, func(t *testing.T, s *segment) {
		const probed = lookInterval * 6 / 10 // more than three probes take
		changed := make(chan struct{}, 1)
		c := with()
		a := &Announcer{Hostname: "pushcam", Changed: changed}
		announce(t, s, c, a)
		wait(lookInterval + time.Millisecond)
		c.set("192.168.1.5/24")
		changed <- struct{}{}
		wait(probed)
		if got := a.State().Host; got != "pushcam.local" {
			t.Fatalf("a network came, and the name is %q", got)
		}
		wait(lookInterval - probed + time.Millisecond)
		c.set("192.168.1.6/24")
		changed <- struct{}{}
		wait(probed)
		if got := fmt.Sprint(a.State().Addresses); got != "[192.168.1.6]" {
			t.Errorf("the address changed, and those that are announced are %s", got)
		}
	})
}

func TestBadPort(t *testing.T) {
	for _, p := range []int{-1, 0, 65536} {
		if err := (&Announcer{Port: p}).Run(t.Context()); err == nil {
			t.Errorf("port %d: no error", p)
		}
	}
}

// ask sends a question from another computer and gives the answers to it.
func ask(s *segment, from netip.AddrPort, m *dns.Msg) []sentPacket {
	s.since()
	data, err := m.Pack()
	if err != nil {
		panic(err)
	}
	s.deliver(from, netip.AddrPortFrom(group4, port), data)
	wait(time.Second)
	var answers []sentPacket
	for _, p := range s.since() {
		if p.msg.Response {
			answers = append(answers, p)
		}
	}
	return answers
}

func question(name string, rrtype, class uint16) *dns.Msg {
	return &dns.Msg{MsgHdr: dns.MsgHdr{Id: 77}, Question: []dns.Question{{Name: name, Qtype: rrtype, Qclass: class}}}
}

func TestAnswers(t *testing.T) {
	peer := netip.MustParseAddrPort("192.168.1.9:5353")
	resolver := netip.MustParseAddrPort("192.168.1.9:40000")
	group := netip.AddrPortFrom(group4, port)
	known := question("_pushcam._tcp.local.", dns.TypePTR, dns.ClassINET)
	known.Answer = []dns.RR{&dns.PTR{Hdr: dns.RR_Header{Name: "_pushcam._tcp.local.", Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: 4500}, Ptr: "pushcam._pushcam._tcp.local."}}
	probe := question("pushcam.local.", dns.TypeANY, dns.ClassINET|cacheFlush)
	probe.Ns = zone(t, "pushcam.local. 120 IN A 192.168.1.9")
	old := known.Copy()
	old.Answer[0].Header().Ttl = 1

	for _, test := range []struct {
		name   string
		from   netip.AddrPort
		ask    *dns.Msg
		want   []uint16 // types of the answers; none is no packet
		to     netip.AddrPort
		minTTL uint32
		maxTTL uint32
	}{
		{"host's address", peer, question("pushcam.local.", dns.TypeA, dns.ClassINET), []uint16{dns.TypeA}, group, 120, 120},
		{"in capitals", peer, question("PushCam.LOCAL.", dns.TypeA, dns.ClassINET), []uint16{dns.TypeA}, group, 120, 120},
		{"an address that it has not", peer, question("pushcam.local.", dns.TypeAAAA, dns.ClassINET), []uint16{dns.TypeNSEC}, group, 1, 4500},
		{"services", peer, question("_services._dns-sd._udp.local.", dns.TypePTR, dns.ClassINET), []uint16{dns.TypePTR, dns.TypePTR}, group, 1, 4500},
		{"web servers", peer, question("_http._tcp.local.", dns.TypePTR, dns.ClassINET), []uint16{dns.TypePTR}, group, 1, 4500},
		{"all of a service", peer, question("pushcam._pushcam._tcp.local.", dns.TypeANY, dns.ClassINET), []uint16{dns.TypeSRV, dns.TypeTXT}, group, 120, 4500},
		{"asked by unicast", peer, question("pushcam.local.", dns.TypeA, dns.ClassINET|cacheFlush), []uint16{dns.TypeA}, peer, 120, 120},
		{"a plain resolver", resolver, question("pushcam.local.", dns.TypeA, dns.ClassINET), []uint16{dns.TypeA}, resolver, 1, legacyTTL},
		{"known", peer, known, nil, group, 0, 0},
		{"known but old", peer, old, []uint16{dns.TypePTR}, group, 1, 4500},
		{"a probe for the name", peer, probe, []uint16{dns.TypeA}, group, 120, 120},
		{"another's name", peer, question("other.local.", dns.TypeA, dns.ClassINET), nil, group, 0, 0},
		{"another class", peer, question("pushcam.local.", dns.TypeA, dns.ClassCHAOS), nil, group, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *segment) {
				announce(t, s, with("192.168.1.5/24"), &Announcer{Hostname: "pushcam"})
				wait(settled)
				got := ask(s, test.from, test.ask)
				if len(test.want) == 0 {
					if len(got) != 0 {
						t.Errorf("answered: %v", got[0].msg)
					}
					return
				}
				if len(got) != 1 {
					t.Fatalf("%d answers, want 1", len(got))
				}
				m := got[0].msg
				var types []uint16
				for _, rr := range m.Answer {
					types = append(types, rr.Header().Rrtype)
					if ttl := rr.Header().Ttl; ttl < test.minTTL || ttl > test.maxTTL {
						t.Errorf("TTL %d of %v, want %d to %d", ttl, rr, test.minTTL, test.maxTTL)
					}
					legacy := test.from.Port() != port
					if flush := rr.Header().Class&cacheFlush != 0; flush == (legacy || rr.Header().Rrtype == dns.TypePTR) {
						t.Errorf("cache-flush bit %v of %v", flush, rr)
					}
					if legacy != (m.Id == 77 && len(m.Question) == 1) {
						t.Errorf("id %d and %d questions", m.Id, len(m.Question))
					}
				}
				if diff := cmp.Diff(test.want, types); diff != "" {
					t.Errorf("types -want +got:\n%s", diff)
				}
				if got[0].to != test.to {
					t.Errorf("sent to %v, want %v", got[0].to, test.to)
				}
			})
		})
	}
}

// Who has more known answers than fit into a packet says so, and is waited for.
func TestMoreKnownAnswers(t *testing.T) {
	simulate(t, func(t *testing.T, s *segment) {
		announce(t, s, with("192.168.1.5/24"), &Announcer{Hostname: "pushcam"})
		wait(settled)
		peer := netip.MustParseAddrPort("192.168.1.9:5353")
		first := question("_pushcam._tcp.local.", dns.TypePTR, dns.ClassINET)
		first.Truncated = true
		more, err := (&dns.Msg{Answer: zone(t, "_pushcam._tcp.local. 4500 IN PTR pushcam._pushcam._tcp.local.")}).Pack()
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(300*time.Millisecond, func() { s.deliver(peer, netip.AddrPortFrom(group4, port), more) })
		if got := ask(s, peer, first); len(got) != 0 {
			t.Errorf("answered what is known: %v", got[0].msg)
		}
		if got := ask(s, peer, first); len(got) != 1 {
			t.Errorf("%d answers when no more came, want 1", len(got))
		}
	})
}

// These say nothing against the name.
func TestNoConflict(t *testing.T) {
	for _, test := range []struct{ name, from, records string }{
		{"a goodbye of the name", "192.168.1.9:5353", "pushcam.local. 0 IN A 192.168.1.9"},
		{"from another port", "192.168.1.9:40000", "pushcam.local. 120 IN A 192.168.1.9"},
		{"our own records", "192.168.1.9:5353", "pushcam.local. 120 IN A 192.168.1.5"},
		{"another name", "192.168.1.9:5353", "other.local. 120 IN A 192.168.1.9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *segment) {
				announce(t, s, with("192.168.1.5/24"), &Announcer{Hostname: "pushcam"})
				wait(settled)
				s.since()
				s.deliver(netip.MustParseAddrPort(test.from), netip.AddrPortFrom(group4, port), response(t, test.records))
				wait(settled)
				if sent := s.since(); len(sent) != 1 {
					t.Errorf("it led to %d packets, the first of them %v", len(sent)-1, sent[1].msg)
				}
			})
		})
	}
}

// One packet full of questions, and a thousand packets, are answered once each
// second: nobody can make a pushcam loud, or keep it from its work.
func TestFloodOfQuestions(t *testing.T) {
	t.Attr("fault", "abuse | a flood of mDNS questions | one answer a second | –")
	simulate(t, func(t *testing.T, s *segment) {
		announce(t, s, with("192.168.1.5/24"), &Announcer{Hostname: "pushcam"})
		wait(settled)
		m := question("_http._tcp.local.", dns.TypePTR, dns.ClassINET)
		for len(m.Question) < 400 {
			m.Question = append(m.Question, m.Question[0])
		}
		data, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		direct, err := question("_http._tcp.local.", dns.TypePTR, dns.ClassINET|cacheFlush).Pack()
		if err != nil {
			t.Fatal(err)
		}
		s.since()
		const seconds = 10
		peer := netip.MustParseAddrPort("192.168.1.9:5353")
		for range 100 * seconds {
			s.deliver(peer, netip.AddrPortFrom(group4, port), data)
			s.deliver(peer, netip.AddrPortFrom(group4, port), direct)
			wait(10 * time.Millisecond)
		}
		multicasts, unicasts := 0, 0
		for _, p := range s.since() {
			switch {
			case p.from == peer:
			case p.to == peer:
				unicasts++
			default:
				multicasts++
			}
		}
		if multicasts == 0 || multicasts > seconds+1 {
			t.Errorf("%d multicast answers in %d s, want one a second", multicasts, seconds)
		}
		if limit := unicastBurst + seconds*unicastRate; unicasts < limit/2 || unicasts > limit {
			t.Errorf("%d unicast answers in %d s, want at most %d", unicasts, seconds, limit)
		}
	})
}

// Who disputes every name makes a pushcam look for another a few times, then
// slowly; when the noise is over it has a name again.
func TestFloodOfConflicts(t *testing.T) {
	t.Attr("fault", "abuse | somebody disputes every mDNS name | another name is looked for, slowly | a name when it is over")
	simulate(t, func(t *testing.T, s *segment) {
		log := new(lines)
		a := &Announcer{Hostname: "pushcam", Log: log.logger()}
		announce(t, s, with("192.168.1.5/24"), a)
		wait(settled)
		s.since()
		peer := netip.MustParseAddrPort("192.168.1.9:5353")
		for range 6000 { // a minute
			m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}}
			for i := range maxNumber + 1 {
				m.Answer = append(m.Answer, &dns.A{
					Hdr: dns.RR_Header{Name: numbered("pushcam", i+1) + ".local.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 120},
					A:   peer.Addr().AsSlice(),
				})
			}
			data, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			s.deliver(peer, netip.AddrPortFrom(group4, port), data)
			wait(10 * time.Millisecond)
		}
		own := 0
		for _, p := range s.since() {
			if p.from != peer {
				own++
			}
		}
		if own > 60 {
			t.Errorf("%d packets in a minute of conflicts", own)
		}
		if log.count() > 10 {
			t.Errorf("%d lines in the log:\n%s", log.count(), &log.buf)
		}
		wait(30 * time.Second)
		if a.State().Host == "" || len(browse(t, s, with("192.168.1.9/24"), 2*time.Second)) != 1 {
			t.Errorf("no name after the noise: %+v", a.State())
		}
	})
}

func TestCompareClaims(t *testing.T) {
	a := func(ip string) dns.RR {
		return &dns.A{Hdr: dns.RR_Header{Name: "x.local.", Rrtype: dns.TypeA, Class: dns.ClassINET}, A: netip.MustParseAddr(ip).AsSlice()}
	}
	// The examples of RFC 6762, 8.2.1, and its rules.
	for _, test := range []struct {
		name string
		a, b []dns.RR
		want int
	}{
		{"same", []dns.RR{a("169.254.99.200")}, []dns.RR{a("169.254.99.200")}, 0},
		{"unsigned bytes", []dns.RR{a("169.254.99.200")}, []dns.RR{a("169.254.200.50")}, -1},
		{"more records", []dns.RR{a("10.0.0.1")}, []dns.RR{a("10.0.0.2"), a("10.0.0.1")}, -1},
		{"order on the wire", []dns.RR{a("10.0.0.2"), a("10.0.0.1")}, []dns.RR{a("10.0.0.1"), a("10.0.0.2")}, 0},
	} {
		rand.Shuffle(len(test.a), func(i, j int) { test.a[i], test.a[j] = test.a[j], test.a[i] })
		if got := compareClaims(test.a, test.b); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
		if got := compareClaims(test.b, test.a); got != -test.want {
			t.Errorf("%s, turned: %d, want %d", test.name, got, -test.want)
		}
	}
}

// Two cameras that ask for a name at the same time are told apart by their addresses and by
// their ports, and one of them wins also if these do not agree.
func TestOneOfTwoGivesWay(t *testing.T) {
	probing := func(address string, port int) (*responder, *link) {
		r := &responder{base: "pushcam", profile: profile{port: port}}
		r.start(time.Now(), new(counter), []*network{{index: 2, name: "eth0", prefixes: []netip.Prefix{netip.MustParsePrefix(address + "/24")}}})
		return r, r.links[0]
	}
	for _, ports := range [][2]int{{80, 81}, {81, 80}, {80, 80}} {
		a, aLink := probing("192.168.1.5", ports[0])
		b, bLink := probing("192.168.1.6", ports[1])
		if first, second := a.loses(aLink, b.claim(bLink).Ns), b.loses(bLink, a.claim(aLink).Ns); first == second {
			t.Errorf("ports %d: both say %v when asked whether they give way", ports, first)
		}
	}
}

// A name that somebody takes away by force is taken back when they are gone, and the
// owner is told both; it stays the one that is kept.
func TestNameIsTakenBack(t *testing.T) {
	t.Attr("fault", "abuse | somebody takes the camera's mDNS name away | another name, and the owner is told | its own name within a minute of their end")
	simulate(t, func(t *testing.T, s *segment) {
		log := new(lines)
		var keeps []string
		a := &Announcer{Hostname: "pushcam", Log: log.logger(), Keep: func(name string) { keeps = append(keeps, name) }}
		announce(t, s, with("192.168.1.5/24"), a)
		wait(settled)
		peer := netip.MustParseAddrPort("192.168.1.9:5353")
		data, err := (&dns.Msg{MsgHdr: dns.MsgHdr{Response: true}, Answer: []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: "pushcam.local.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 120}, A: peer.Addr().AsSlice(),
		}}}).Pack()
		if err != nil {
			t.Fatal(err)
		}
		for range 3 * 60 { // a minute
			s.deliver(peer, netip.AddrPortFrom(group4, port), data)
			wait(time.Second / 3)
		}
		if got := a.State(); got.Host != "pushcam-2.local" || got.Reason != "another device has taken the name pushcam.local, which is taken back when that device is gone" {
			t.Errorf("during the attack: %+v", got)
		}
		wait(2*homePause*4 + settled)
		if got := a.State(); got.Host != "pushcam.local" || got.Reason != "" {
			t.Errorf("after it: %+v", got)
		}
		if got := names(browse(t, s, with("192.168.1.6/24"), 2*time.Second)); !slices.Equal(got, []string{"pushcam.local"}) {
			t.Errorf("found are %q", got)
		}
		if len(keeps) > 0 || log.count() > 10 || !strings.Contains(log.buf.String(), "has taken the name pushcam.local") {
			t.Errorf("kept are %q; %d lines:\n%s", keeps, log.count(), &log.buf)
		}
	})
}

// A name that is another camera's now is left to it, as long as it is there.
func TestNameIsLeft(t *testing.T) {
	simulate(t, func(t *testing.T, s *segment) {
		here, there := with("192.168.1.5/24"), with("192.168.1.6/24")
		a, b := &Announcer{Hostname: "pushcam"}, &Announcer{Hostname: "pushcam"}
		announce(t, s, here, a)
		wait(settled)
		here.set() // its cable is out, and another camera takes the name
		wait(lookInterval + settled)
		stop := announce(t, s, there, b)
		wait(settled)
		here.set("192.168.1.5/24")
		wait(time.Hour)
		if a, b := a.State().Host, b.State().Host; a != "pushcam-2.local" || b != "pushcam.local" {
			t.Errorf("they are %s and %s", a, b)
		}
		stop()
		wait(2 * maxHomePause)
		if got := a.State().Host; got != "pushcam.local" {
			t.Errorf("when the other one is gone it is %s", got)
		}
	})
}
