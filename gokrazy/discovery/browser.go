package discovery

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// Found is a pushcam that was found. Its texts come from the network, but are
// safe to print; nothing proves that they are true.
type Found struct {
	Name      string       `json:"name"`
	Host      string       `json:"host"`      // as pushcam.local
	Addresses []netip.Addr `json:"addresses"` // the best first; link-local IPv6 ones with their zone
	Port      int          `json:"port"`      // of the web server
	Path      string       `json:"path"`      // of its page
	Version   string       `json:"version"`
	Model     string       `json:"model"`
	ID        string       `json:"id,omitempty"` // of the camera (device.ID); cards of one image have the same
}

// A Browser finds the pushcams on the networks of this computer.
type Browser struct {
	networks func() ([]*network, error)
	open     func([]*network) (wire, error)
}

// Browse asks until ctx is done, which is no error, and gives who has answered,
// sorted by name. Two seconds are enough in most networks.
func (b *Browser) Browse(ctx context.Context) ([]Found, error) {
	look, open := b.networks, b.open
	if look == nil {
		look = func() ([]*network, error) { return systemNetworks("/") }
	}
	if open == nil {
		open = openSockets
	}
	networks, err := look()
	if err != nil {
		return nil, fmt.Errorf("cannot list the networks: %w", err)
	}
	if len(networks) == 0 {
		return nil, errNoNetwork
	}
	w, err := open(networks)
	if err != nil {
		return nil, err
	}
	defer w.close()

	d := make(directory)
	ask := time.NewTimer(0)
	defer ask.Stop()
	pause := firstPause
	for {
		select {
		case <-ctx.Done():
			return d.found(), nil
		case <-ask.C:
			data, err := d.questions().Pack()
			if err != nil {
				return nil, fmt.Errorf("cannot ask: %w", err)
			}
			for _, n := range networks {
				w.multicast(n, data) // what is lost is asked again
			}
			ask.Reset(pause)
			pause *= 2 // RFC 6762, 5.2
		case p := <-w.packets():
			d.handle(p)
		}
	}
}

const (
	// firstPause is the time between the first two questions: answers to all are
	// at least a second apart (RFC 6762, 6).
	firstPause = 1100 * time.Millisecond
	// maxFound bounds the pushcams that are remembered.
	maxFound = 256
)

// A directory is what is known of pushcams, by canonical name.
type directory map[string]*entry

type entry struct {
	name      string
	srv       *dns.SRV
	text      map[string]string
	addresses map[source][]netip.Addr
}

// source is where addresses are from: each message replaces what came from the
// same before.
type source struct {
	network string
	rrtype  uint16
}

// questions asks for pushcams, and for what is not known of those that are there.
func (d directory) questions() *dns.Msg {
	m := new(dns.Msg)
	ask := func(name string, rrtype uint16) {
		if len(m.Question) < maxQuestions {
			m.Question = append(m.Question, dns.Question{Name: name, Qtype: rrtype, Qclass: dns.ClassINET})
		}
	}
	ask(pushcamService+"."+domain+".", dns.TypePTR)
	for name, e := range d {
		switch {
		case e.srv == nil:
			ask(name, dns.TypeSRV)
		case len(e.addresses) == 0:
			ask(e.srv.Target, dns.TypeA)
			ask(e.srv.Target, dns.TypeAAAA)
		}
		if e.text == nil {
			ask(name, dns.TypeTXT)
		}
	}
	return m
}

// handle learns from an answer. Services come first, then where they are, then
// the addresses: only what belongs to a pushcam is kept.
func (d directory) handle(p packet) {
	m, ok := parse(p.data)
	if !ok || !m.Response || p.from.Port() != port {
		return
	}
	all := slices.Concat(m.Answer, m.Extra)
	for _, rr := range all {
		if ptr, ok := rr.(*dns.PTR); ok {
			d.service(ptr)
		}
	}
	for _, rr := range all {
		e := d[dns.CanonicalName(rr.Header().Name)]
		switch rr := rr.(type) {
		case *dns.SRV:
			if e != nil && rr.Hdr.Ttl > 0 {
				e.srv = rr
			}
		case *dns.TXT:
			if e != nil && rr.Hdr.Ttl > 0 {
				e.text = texts(rr)
			}
		}
	}
	told := addresses(p.network, all)
	for _, e := range d {
		if e.srv != nil {
			maps.Copy(e.addresses, told[dns.CanonicalName(e.srv.Target)])
		}
	}
}

// service adds a pushcam, or takes one away that says goodbye.
func (d directory) service(ptr *dns.PTR) {
	const kind = pushcamService + "." + domain + "."
	name := dns.CanonicalName(ptr.Ptr)
	if dns.CanonicalName(ptr.Hdr.Name) != kind || !dns.IsSubDomain(kind, name) || dns.CountLabel(name) != dns.CountLabel(kind)+1 {
		return
	}
	switch {
	case ptr.Hdr.Ttl == 0:
		delete(d, name)
	case d[name] == nil && len(d) < maxFound:
		label := dns.SplitDomainName(ptr.Ptr)[0]
		d[name] = &entry{name: printable(unescape(label)), addresses: make(map[source][]netip.Addr)}
	}
}

// addresses are those in an answer, by host. Those outside of the network that it
// came from are not believed.
func addresses(n *network, rrs []dns.RR) map[string]map[source][]netip.Addr {
	hosts := make(map[string]map[source][]netip.Addr)
	for _, rr := range rrs {
		a, ok := addressOf(rr)
		if !ok || rr.Header().Ttl == 0 || !n.has(a) {
			continue
		}
		if a.Is6() && a.IsLinkLocalUnicast() {
			a = a.WithZone(n.name)
		}
		name, from := dns.CanonicalName(rr.Header().Name), source{n.name, rr.Header().Rrtype}
		if hosts[name] == nil {
			hosts[name] = make(map[source][]netip.Addr)
		}
		if len(hosts[name][from]) < maxAddresses {
			hosts[name][from] = append(hosts[name][from], a)
		}
	}
	return hosts
}

// texts are the pairs of a TXT record; the first of a key counts (RFC 6763, 6.4).
func texts(rr *dns.TXT) map[string]string {
	all := make(map[string]string)
	for _, t := range rr.Txt {
		key, value, ok := keyValue(unescape(t))
		if _, twice := all[key]; ok && !twice {
			all[key] = value
		}
	}
	return all
}

// found are the pushcams of which it is known where they are.
func (d directory) found() []Found {
	all := make([]Found, 0, len(d))
	for _, e := range d {
		if e.srv == nil {
			continue
		}
		f := Found{
			Name:    e.name,
			Host:    hostText(e.srv.Target),
			Port:    int(e.srv.Port),
			Path:    e.text["path"],
			Version: e.text["version"],
			Model:   e.text["model"],
			ID:      e.text["id"],
		}
		for _, addresses := range e.addresses {
			f.Addresses = append(f.Addresses, addresses...)
		}
		slices.SortFunc(f.Addresses, compareAddresses)
		f.Addresses = slices.Compact(f.Addresses)
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b Found) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port))
	})
	return all
}

// compareAddresses puts those first that most programs can use: IPv4 before
// IPv6, routable ones before link-local ones.
func compareAddresses(a, b netip.Addr) int {
	rank := func(a netip.Addr) int {
		switch {
		case a.IsLinkLocalUnicast() && a.Is6():
			return 3
		case a.IsLinkLocalUnicast():
			return 2
		case a.Is6():
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Compare(b))
}
