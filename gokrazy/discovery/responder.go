package discovery

import (
	"cmp"
	"math/rand/v2"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/time/rate"
)

// Times and counts of RFC 6762, with the sections that ask for them.
const (
	// A name is asked for three times before it is taken (8.1).
	probeCount    = 3
	probeInterval = 250 * time.Millisecond
	// Of two hosts that ask for the same name at the same time, the one whose
	// records sort first waits this long and asks again (8.2).
	deferral = time.Second
	// A name that is lost again and again, conflictLimit times in conflictTime, is
	// asked for more slowly, so that two broken hosts do not flood the network (8.1).
	conflictLimit = 15
	conflictTime  = 10 * time.Second
	conflictPause = 5 * time.Second
	// The same record is sent to all hosts at most once in multicastGap, but sooner to
	// somebody who is about to take our name (6).
	multicastGap = time.Second
	defenceGap   = 250 * time.Millisecond
	// Other hosts answer a question for a shared name too. Each waits for this long and
	// up to 100 ms more, at random, so that they do not all answer at once (6).
	sharedDelay = 20 * time.Millisecond
	// A question whose list of known answers goes on in another message is answered
	// when that is likely to have come (7.2).
	moreDelay = 400 * time.Millisecond
	// Plain resolvers do not hear when a record changes, and must forget it soon (6.7).
	legacyTTL = 10 // seconds
)

// announceAfter are the pauses before each announcement. RFC 6762, 8.3 asks for two
// at least; the third is there because wireless networks lose some.
var announceAfter = []time.Duration{0, time.Second, 2 * time.Second}

const (
	// maxQuestions is how many questions of one message are looked at. The others are
	// ignored, so that no message costs much.
	maxQuestions = 32
	// maxNumber is the highest number behind a name; after pushcam-99 comes pushcam.
	maxNumber = 99
	// unicastRate is how many unicast answers are sent per second in one network. The
	// sender of a question may be forged, and the answers then go to a victim.
	unicastRate, unicastBurst = 20, 40
)

// A responder makes a name this computer's own and answers questions for it. First it
// probes, that is, it asks whether another host has the name; then it holds the name,
// announces it and answers. It has no goroutine and no clock, so that tests decide
// what happens when: its owner calls step at the time that next returns, and handle
// for each packet.
type responder struct {
	profile profile
	base    string // the wanted name
	number  int    // of the name that is tried or held; 1 is base itself
	links   []*link
	wire    wire

	held      bool        // the name is ours
	sent      int         // how many probes were sent, or announcements if it is ours
	wake      time.Time   // when the next one is sent; zero is never
	conflicts []time.Time // when others claimed the name, the last conflictLimit times
	lost      []int       // numbers that turned out to be others' since a name was last held
	home      reclaim
}

// A link is what a responder knows of one network.
type link struct {
	*network
	records []record
	last    []time.Time   // when each record was last sent to all
	wanted  []bool        // which records are to be sent to all
	due     time.Time     // when they are; zero is never
	gap     time.Duration // a record that was sent within this time is left out
	unicast *rate.Limiter
}

func (r *responder) name() string { return numbered(r.base, r.number) }

// start begins anew on these networks. It tries the name first that was held last, so
// that a camera keeps its name when a cable is pulled and plugged in again.
func (r *responder) start(now time.Time, w wire, networks []*network) {
	r.wire, r.links = w, nil
	for _, n := range networks {
		r.links = append(r.links, &link{network: n, unicast: rate.NewLimiter(unicastRate, unicastBurst)})
	}
	r.number = max(cmp.Or(r.home.number, r.number), 1)
	r.probe(now, rand.N(probeInterval))
}

// probe gives the name up, if it is held, and begins to ask for it after a pause.
func (r *responder) probe(now time.Time, after time.Duration) {
	for _, l := range r.links {
		l.records = r.profile.records(r.name(), l.network)
		l.last = make([]time.Time, len(l.records))
		l.wanted = make([]bool, len(l.records))
		l.due = time.Time{}
	}
	r.held, r.sent, r.wake = false, 0, now.Add(after)
}

// next is when step is to be called.
func (r *responder) next() time.Time {
	next := r.wake
	if look := r.home.look; !look.IsZero() && (next.IsZero() || look.Before(next)) {
		next = look
	}
	for _, l := range r.links {
		if !l.due.IsZero() && (next.IsZero() || l.due.Before(next)) {
			next = l.due
		}
	}
	return next
}

// step does what is due.
func (r *responder) step(now time.Time) {
	if !r.wake.IsZero() && !now.Before(r.wake) {
		r.advance(now)
	}
	if look := r.home.look; !look.IsZero() && !now.Before(look) {
		r.lookHome(now)
	}
	for _, l := range r.links {
		if !l.due.IsZero() && !now.Before(l.due) {
			r.flush(now, l)
		}
	}
}

// advance sends the next probe or announcement.
func (r *responder) advance(now time.Time) {
	switch {
	case !r.held && r.sent < probeCount:
		for _, l := range r.links {
			r.multicast(l, r.claim(l))
		}
		r.sent++
		r.wake = now.Add(probeInterval)
		return
	case !r.held:
		r.held, r.sent, r.lost = true, 0, nil
		r.settle(now)
	}
	for _, l := range r.links {
		for i, rec := range l.records {
			l.wanted[i] = l.wanted[i] || rec.announced()
		}
		l.gap = 0
		r.flush(now, l)
	}
	if r.sent++; r.sent < len(announceAfter) {
		r.wake = now.Add(announceAfter[r.sent])
	} else {
		r.wake = time.Time{}
	}
}

// claim is the message that probes: it asks for the names, and holds the records that
// they are to have. It does not ask for unicast answers, although RFC 6762, 8.1 would
// like that, because of several programs of this computer that share the port only
// one gets a unicast answer.
func (r *responder) claim(l *link) *dns.Msg {
	m := new(dns.Msg)
	asked := make(map[string]bool)
	for _, rec := range l.records {
		if !claimed(rec.rr) {
			continue
		}
		m.Ns = append(m.Ns, rec.rr)
		if name := rec.rr.Header().Name; !asked[name] {
			asked[name] = true
			m.Question = append(m.Question, dns.Question{Name: name, Qtype: dns.TypeANY, Qclass: dns.ClassINET})
		}
	}
	return m
}

// handle takes a packet from a host on one of the networks.
func (r *responder) handle(now time.Time, p packet) {
	m, ok := parse(p.data)
	l := r.link(p.network)
	switch {
	case !ok || l == nil:
	case m.Response && p.from.Port() != port: // no multicast DNS (RFC 6762, 6)
	case m.Response:
		r.hearOfHome(now, m.Answer, m.Extra)
		if r.disputed(m.Answer) || r.disputed(m.Extra) {
			r.conflict(now)
		}
	case !r.held:
		if r.sent > 0 && r.loses(l, m.Ns) {
			r.probe(now, deferral)
		}
	default:
		r.query(now, l, p, m)
	}
}

func (r *responder) link(n *network) *link {
	for _, l := range r.links {
		if l.network == n {
			return l
		}
	}
	return nil
}

// query answers questions for our names.
func (r *responder) query(now time.Time, l *link, p packet, m *dns.Msg) {
	if len(m.Question) == 0 { // more known answers (RFC 6762, 7.2)
		for i, rec := range l.records {
			l.wanted[i] = l.wanted[i] && !rec.known(m)
		}
		return
	}
	legacy := p.from.Port() != port
	// A host that probes for our name gets the answer by multicast, whatever it asks
	// for: where several programs of it share the port, a unicast answer reaches only
	// one of them, which may not be the one that asked.
	probe := len(m.Ns) > 0
	direct := make([]bool, len(l.records))
	toAll, wait := false, time.Duration(0)
	for _, q := range m.Question[:min(len(m.Question), maxQuestions)] {
		if class := q.Qclass &^ cacheFlush; class != dns.ClassINET && class != dns.ClassANY {
			continue
		}
		for i, rec := range l.records {
			switch {
			case !rec.answer(q) || !legacy && rec.known(m):
			case legacy || q.Qclass&cacheFlush != 0 && !probe:
				direct[i] = true
			default:
				l.wanted[i], toAll = true, true
				if rec.shared() {
					wait = sharedDelay + rand.N(5*sharedDelay)
				}
			}
		}
	}
	r.reply(now, l, p, m, direct, legacy)
	if !toAll {
		return
	}
	if m.Truncated {
		wait = moreDelay + rand.N(5*sharedDelay)
	}
	gap := multicastGap
	if probe {
		gap = defenceGap
	}
	if due := now.Add(wait); l.due.IsZero() || due.Before(l.due) {
		l.due, l.gap = due, gap
	}
	l.gap = min(l.gap, gap)
}

// reply answers one host. Who asks from another port is no speaker of multicast
// DNS and gets an answer of plain DNS (RFC 6762, 6.7).
func (r *responder) reply(now time.Time, l *link, p packet, q *dns.Msg, which []bool, legacy bool) {
	m := l.message(which, legacy)
	if m == nil || !l.unicast.AllowN(now, 1) {
		return
	}
	if legacy {
		m.Id, m.Question = q.Id, q.Question[:1]
	}
	if data, err := m.Pack(); err == nil {
		r.wire.unicast(l.network, p.from, data) // a host that does not get it asks again
	}
}

// flush sends to all hosts the records that are wanted, but for those that were sent
// within the gap.
func (r *responder) flush(now time.Time, l *link) {
	l.due = time.Time{}
	for i := range l.wanted {
		if l.wanted[i] = l.wanted[i] && now.Sub(l.last[i]) >= l.gap; l.wanted[i] {
			l.last[i] = now
		}
	}
	if m := l.message(l.wanted, false); m != nil {
		r.multicast(l, m)
	}
	clear(l.wanted)
}

// message has as answers the records that are marked in which, and besides them the
// records that their readers would ask for next. It is nil if none is marked.
func (l *link) message(which []bool, legacy bool) *dns.Msg {
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}, Compress: true}
	about := make(map[string]bool)
	as := func(rec record) dns.RR {
		ttl := rec.rr.Header().Ttl
		if legacy {
			return withTTL(rec.rr, min(ttl, legacyTTL), false)
		}
		return withTTL(rec.rr, ttl, !rec.shared())
	}
	for i, rec := range l.records {
		if which[i] {
			m.Answer = append(m.Answer, as(rec))
			if rec.rr.Header().Name != metaQuery {
				about[rec.service], about[""] = true, true
			}
		}
	}
	if len(m.Answer) == 0 {
		return nil
	}
	for i, rec := range l.records {
		if !which[i] && about[rec.service] && claimedOrText(rec.rr) {
			m.Extra = append(m.Extra, as(rec))
		}
	}
	return m
}

func claimedOrText(rr dns.RR) bool { return claimed(rr) || rr.Header().Rrtype == dns.TypeTXT }

// goodbye tells all hosts that the services end. It does not take the addresses back,
// because another program of this computer may announce them too; hosts forget them
// after two minutes in any case.
func (r *responder) goodbye() {
	if !r.held {
		return
	}
	for _, l := range r.links {
		m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}, Compress: true}
		for _, rec := range l.records {
			if rec.announced() && rec.service != "" {
				m.Answer = append(m.Answer, withTTL(rec.rr, 0, !rec.shared()))
			}
		}
		r.multicast(l, m)
	}
}

// multicast sends to all hosts of a network. It tells no error: what is lost is sent
// again by itself, or asked for again.
func (r *responder) multicast(l *link, m *dns.Msg) {
	if data, err := m.Pack(); err == nil {
		r.wire.multicast(l.network, data)
	}
}
