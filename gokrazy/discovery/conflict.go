package discovery

import (
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// disputed says whether another host has one of our names: it gives the name other
// data than we do. Data that we announce in another network are no dispute, because
// some routers carry packets from one network to the other.
func (r *responder) disputed(rrs []dns.RR) bool {
	for _, rr := range rrs {
		if claimed(rr) && rr.Header().Ttl > 0 && r.claims(rr.Header().Name) && !r.mine(rr) {
			return true
		}
	}
	return false
}

func (r *responder) claims(name string) bool {
	for _, rec := range r.links[0].records {
		if rec.rr.Header().Rrtype != dns.TypePTR && strings.EqualFold(rec.rr.Header().Name, name) {
			return true
		}
	}
	return false
}

func (r *responder) mine(rr dns.RR) bool {
	for _, l := range r.links {
		for _, rec := range l.records {
			if dns.IsDuplicate(rec.rr, rr) {
				return true
			}
		}
	}
	return false
}

// loses says whether another host, which probes for one of our names while we do, is
// the one to get it (RFC 6762, 8.2). The first of the names whose records differ decides for
// all: else of two cameras one could give way because of its address and the other because of
// its port, again and again.
func (r *responder) loses(l *link, theirs []dns.RR) bool {
	if !r.disputed(theirs) {
		return false
	}
	for _, q := range r.claim(l).Question {
		of := func(rrs []dns.RR) (own []dns.RR) {
			for _, rr := range rrs {
				if claimed(rr) && strings.EqualFold(rr.Header().Name, q.Name) {
					own = append(own, rr)
				}
			}
			return own
		}
		if b := of(theirs); len(b) > 0 {
			if c := compareClaims(of(r.claim(l).Ns), b); c != 0 {
				return c < 0
			}
		}
	}
	return false
}

// conflict is called when another host turns out to have our name. A name that we held
// is probed for again, because the other host may be wrong or gone; one that we only
// wanted is left to the other host, and the next one is tried (RFC 6762, 9).
func (r *responder) conflict(now time.Time) {
	pause := time.Duration(0)
	r.conflicts = append(r.conflicts, now)
	if over := len(r.conflicts) - conflictLimit; over >= 0 {
		r.conflicts = r.conflicts[over:]
		if now.Sub(r.conflicts[0]) < conflictTime {
			pause = conflictPause
		}
	}
	if !r.held {
		r.number = r.another()
	}
	r.probe(now, pause)
}

// another is the number of the name to try after the present one, which is another
// host's: the first of those that were not lost since a name was last held. A camera
// that loses a name with a number, which it had kept, so asks first for the one that
// its owner gave it, under which it is looked for. RFC 6762, 9 leaves the choice free.
func (r *responder) another() int {
	r.lost = append(r.lost, r.number)
	for n := 1; n <= maxNumber; n++ {
		if !slices.Contains(r.lost, n) {
			return n
		}
	}
	r.lost = nil
	return 1
}
