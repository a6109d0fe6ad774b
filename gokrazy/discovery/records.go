package discovery

import (
	"bytes"
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/brutella/dnssd"
	"github.com/miekg/dns"
)

// cacheFlush in a record's class says that the record's older versions are void
// (RFC 6762, 10.2); in a question's class that bit asks for a unicast answer
// (5.4).
const cacheFlush = 1 << 15

// A profile is what is announced under whatever name.
type profile struct {
	port    int
	pushcam map[string]string // TXT of the pushcam service
}

// page is the path of the web page.
const page = "/"

func (p *profile) services(name string, ips []net.IP) []dnssd.Service {
	of := func(kind string, text map[string]string) dnssd.Service {
		return dnssd.Service{Name: name, Type: kind, Domain: domain, Host: name, Port: p.port, Text: text, IPs: ips}
	}
	return []dnssd.Service{of(webService, map[string]string{"path": page}), of(pushcamService, p.pushcam)}
}

// A record is one that is announced, with what belongs to it.
type record struct {
	rr      dns.RR
	service string // the type of service that it describes; "" is the host
}

// shared says whether other hosts have records of this name too.
func (r record) shared() bool { return r.rr.Header().Rrtype == dns.TypePTR }

// records are what hosts on a network may know of name.
func (p *profile) records(name string, n *network) []record {
	var ips []net.IP
	for _, a := range n.addresses() {
		ips = append(ips, a.AsSlice())
	}
	there := &net.Interface{Index: n.index, Name: n.name}
	var all []record
	services := p.services(name, ips)
	for _, s := range services {
		all = append(all,
			record{dnssd.PTR(s), s.Type},
			record{dnssd.SRV(s), s.Type},
			record{dnssd.TXT(s), s.Type},
			record{dnssd.NSEC(dnssd.PTR(s), s, there), s.Type},
			record{dnssd.DNSSDServicesPTR(s), s.Type})
	}
	host := services[0]
	for _, a := range dnssd.A(host, there) {
		all = append(all, record{a, ""})
	}
	for _, a := range dnssd.AAAA(host, there) {
		all = append(all, record{a, ""})
	}
	return append(all, record{dnssd.NSEC(dnssd.SRV(host), host, there), ""})
}

// announced says whether a record is told unasked.
func (r record) announced() bool {
	switch r.rr.Header().Rrtype {
	case dns.TypeNSEC:
		return false
	case dns.TypePTR:
		return r.rr.Header().Name != metaQuery
	}
	return true
}

// metaQuery asks for the types of service that there are (RFC 6763, 9).
const metaQuery = "_services._dns-sd._udp." + domain + "."

// claimed says whether a record is one that two hosts cannot both have under one
// name if it differs.
func claimed(rr dns.RR) bool {
	switch rr.Header().Rrtype {
	case dns.TypeA, dns.TypeAAAA, dns.TypeSRV:
		return true
	}
	return false
}

// answer says whether r answers q. An NSEC record, which lists the types that a
// name has, answers for those that it has not (RFC 6762, 6.1).
func (r record) answer(q dns.Question) bool {
	h := r.rr.Header()
	if !strings.EqualFold(h.Name, q.Name) {
		return false
	}
	if nsec, ok := r.rr.(*dns.NSEC); ok {
		return q.Qtype != dns.TypeANY && !slices.Contains(nsec.TypeBitMap, q.Qtype)
	}
	return q.Qtype == h.Rrtype || q.Qtype == dns.TypeANY
}

// known says whether the asker has r already, and for a while yet (RFC 6762, 7.1).
func (r record) known(to *dns.Msg) bool {
	return slices.ContainsFunc(to.Answer, func(rr dns.RR) bool {
		return dns.IsDuplicate(rr, r.rr) && rr.Header().Ttl >= r.rr.Header().Ttl/2
	})
}

// withTTL is a copy of rr as it is sent.
func withTTL(rr dns.RR, ttl uint32, flush bool) dns.RR {
	rr = dns.Copy(rr)
	rr.Header().Ttl = ttl
	if flush {
		rr.Header().Class |= cacheFlush
	}
	return rr
}

// parse reads a message and takes the bits of multicast DNS off its records'
// classes.
func parse(data []byte) (*dns.Msg, bool) {
	m := new(dns.Msg)
	if m.Unpack(data) != nil || m.Opcode != dns.OpcodeQuery || m.Rcode != dns.RcodeSuccess {
		return nil, false
	}
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			rr.Header().Class &^= cacheFlush
		}
	}
	return m, true
}

// compareClaims orders what two hosts claim for a name when both probe for it:
// the later one wins (RFC 6762, 8.2).
func compareClaims(a, b []dns.RR) int {
	slices.SortFunc(a, compareData)
	slices.SortFunc(b, compareData)
	return slices.CompareFunc(a, b, compareData)
}

func compareData(a, b dns.RR) int {
	return cmp.Or(cmp.Compare(a.Header().Class, b.Header().Class),
		cmp.Compare(a.Header().Rrtype, b.Header().Rrtype),
		bytes.Compare(data(a), data(b)))
}

// data is a record's data in wire format, without compression.
func data(rr dns.RR) []byte {
	rr = dns.Copy(rr)
	rr.Header().Name = "."
	buf := make([]byte, dns.Len(rr)+1)
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	const header = 11 // the root's name, type, class, TTL and length
	if err != nil || end < header {
		return nil
	}
	return buf[header:end]
}

// addressOf is that of an A or AAAA record.
func addressOf(rr dns.RR) (netip.Addr, bool) {
	var ip net.IP
	switch rr := rr.(type) {
	case *dns.A:
		ip = rr.A
	case *dns.AAAA:
		ip = rr.AAAA
	}
	a, ok := netip.AddrFromSlice(ip)
	return a.Unmap(), ok
}
