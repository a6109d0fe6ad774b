package discovery

import (
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// A name that was taken away is asked for after homePause, and then, as long as
	// somebody answers to it or takes it again, after twice the time before, up to
	// maxHomePause.
	homePause    = 15 * time.Second
	maxHomePause = 10 * time.Minute
	// It is free if nobody has answered to homeQuestions, homeInterval apart.
	homeQuestions = 3
	homeInterval  = time.Second
)

// reclaim is what a responder knows of the name that it held first, its home. Another
// device may take that away, in good faith or not. The responder then has another name,
// and goes home when that device is gone. A name that it only wanted and never held is
// no home: two cameras that were given one name do not swap theirs when one is off.
type reclaim struct {
	number int       // of the name; 0 if none was held yet
	look   time.Time // when to ask for it; zero is never
	asked  int       // times that nobody has answered
	pause  time.Duration
	since  time.Time // when the name was taken last
}

// settle is called when a name is held.
func (r *responder) settle(now time.Time) {
	h := &r.home
	h.look, h.asked = time.Time{}, 0
	switch {
	case h.number == 0, h.number == r.number:
		h.number, h.since = r.number, now
		return
	case now.Sub(h.since) > maxHomePause: // it was quiet meanwhile
		h.pause = 0
	}
	h.pause = min(max(2*h.pause, homePause), maxHomePause)
	h.look = now.Add(h.pause)
}

// lookHome asks for the lost name, and probes for it when nobody has answered.
func (r *responder) lookHome(now time.Time) {
	h := &r.home
	switch {
	case !r.held:
		h.look = time.Time{} // settle goes on
	case h.asked == homeQuestions:
		r.goodbye()
		r.number = h.number
		r.probe(now, 0)
		h.look = time.Time{}
	default:
		q := dns.Question{Name: numbered(r.base, h.number) + "." + domain + ".", Qtype: dns.TypeANY, Qclass: dns.ClassINET}
		for _, l := range r.links {
			r.multicast(l, &dns.Msg{Question: []dns.Question{q}})
		}
		h.asked++
		h.look = now.Add(homeInterval)
	}
}

// hearOfHome notes that another device has answered to the lost name.
func (r *responder) hearOfHome(now time.Time, answers ...[]dns.RR) {
	h := &r.home
	if h.asked == 0 {
		return
	}
	label := numbered(r.base, h.number)
	for _, rr := range slices.Concat(answers...) {
		if labels := dns.SplitDomainName(rr.Header().Name); claimed(rr) && rr.Header().Ttl > 0 && len(labels) > 0 && strings.EqualFold(labels[0], label) {
			h.pause = min(2*h.pause, maxHomePause)
			h.asked, h.look = 0, now.Add(h.pause)
			return
		}
	}
}
