package wifi

import (
	"time"
)

// When the set-up network is there. One that came at every short loss would be a
// nuisance, and would keep the radio from its network: it comes only to a camera that
// has not been in any network since it was started.
const (
	// settle is how long a cable has, after the start, to show that it leads somewhere.
	settle = 15 * time.Second
	// firstTry is how long after the start the owner's networks are looked for first, and
	// lookBetween for how long between two times of the set-up network.
	firstTry    = 5 * time.Minute
	lookBetween = 2 * time.Minute
	// typedTry is how long the networks are tried that somebody has just typed.
	typedTry = time.Minute
	// openFor is how long the set-up network is there at a time, and guestExtra how much
	// longer as long as somebody is in it.
	openFor    = 10 * time.Minute
	guestExtra = 20 * time.Minute
	// lookTimeout is for the look around before.
	lookTimeout = 15 * time.Second
	// openTimeout is for the network to be there.
	openTimeout = 20 * time.Second
	// leaveDelay lets the page say that the camera leaves.
	leaveDelay = 2 * time.Second
	// maxGuests bounds the guests that are counted.
	maxGuests = 16
)

// A setUpState is what there is of the set-up network.
type setUpState struct {
	due     time.Time // when it may come, if no network is reached until then
	started time.Time // looking, or the network itself
	until   time.Time
	leave   time.Time // when to leave it for what somebody has typed; zero: not
	up      bool      // it is there
	guests  map[string]bool
	failure string // a sentence on why the owner's networks are not reached
}

// wanted says whether the set-up network is to come now.
func (m *machine) setUpWanted(now time.Time) bool {
	switch {
	case m.link.wired || m.works():
		return false
	case len(m.settings.Networks) == 0:
		return true
	}
	return !m.reached && due(m.setUp.due, now)
}

func (m *machine) stepSetUp(now time.Time) {
	s := &m.setUp
	switch m.phase {
	case client:
		if m.setUpWanted(now) && due(s.due, now) {
			m.look(now)
		}
	case looking:
		switch {
		case m.link.wired:
			m.enterClient(now, settle)
		case now.Sub(s.started) >= lookTimeout:
			m.open(now) // with what was heard before
		}
	case serving:
		switch {
		case due(s.leave, now):
			m.enterClient(now, typedTry)
		case m.link.wired:
			m.enterClient(now, settle)
		case !s.up && now.Sub(s.started) >= openTimeout:
			m.log.Warn("the set-up network does not come; it is tried again")
			m.look(now)
		case due(s.until, now) && (len(s.guests) == 0 || due(s.until.Add(guestExtra), now)):
			if len(m.settings.Networks) == 0 {
				m.look(now) // its list is to be of now
			} else {
				m.enterClient(now, lookBetween)
			}
		}
	}
}

// look looks around before the set-up network comes: while it is there, the radio
// cannot.
func (m *machine) look(now time.Time) {
	if m.phase == client {
		_, m.setUp.failure = m.why(now)
	}
	m.leaveNetwork(now)
	m.phase, m.setUp.started = looking, now
	m.want(scan)
}

func (m *machine) open(now time.Time) {
	m.phase, m.typed, m.reached = serving, false, false // what is typed now was never reached
	m.setUp.started, m.setUp.until, m.setUp.up, m.setUp.guests = now, now.Add(openFor), false, nil
	m.want(serve)
}

func (m *machine) serveEvent(now time.Time, e event) {
	s := &m.setUp
	if m.phase != serving {
		return
	}
	switch e.kind {
	case apEnabled:
		s.up = true
	case apDisabled:
		s.up, s.started = false, now
	case apConnected:
		if s.guests == nil {
			s.guests = make(map[string]bool)
		}
		if len(s.guests) < maxGuests {
			s.guests[e.station] = true
		}
	case apDisconnected:
		delete(s.guests, e.station)
	}
}
