package wifi

import (
	"log/slog"
	"slices"
	"time"

	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

const (
	// pollInterval is how often a radio that is in a network is asked how that is.
	pollInterval = 10 * time.Second
	// seenInterval is the least time between two lists of what the radio hears, while it
	// is in a network.
	seenInterval = time.Minute
	// regdomTimeout is for the kernel to take a country.
	regdomTimeout = 5 * time.Second
)

// A phase is what the radio is used for.
type phase int

const (
	absent  phase = iota // there is no radio, or no wpa_supplicant yet
	client               // it is in one of the owner's networks, or looks for them
	looking              // it looks around before it makes the set-up network
	serving              // it makes the set-up network
)

// A verb is what a machine wants done.
type verb string

const (
	setCountry  verb = "set country"   // of the settings
	askCountry  verb = "ask country"   // tell hasCountry what the kernel has
	join        verb = "join"          // be a client of the networks of the settings, and of no others
	scan        verb = "scan"          //
	serve       verb = "serve"         // make the set-up network
	list        verb = "list"          // tell scanned what the radio has heard
	poll        verb = "poll"          // tell polled how the network is
	savePower   verb = "no power save" // the radio sleeps otherwise, and frames are late by a second
	reassociate verb = "reassociate"
	restartLink verb = "restart link" // switch it off and on
	reload      verb = "reload"       // load the driver anew
	reboot      verb = "reboot"
)

// A machine decides. Its methods are called by one goroutine; each takes the time that
// it is, which never goes back. Who calls takes what it wants done by commands.
type machine struct {
	log *slog.Logger
	// began is when the system started, or this program if it was started anew.
	began, booted time.Time

	settings setup.Settings
	hasRadio bool // the board has one, with or without a link
	bands    bands
	country  string // that the kernel has taken
	wants    []verb

	phase    phase
	net      networkState
	setUp    setUpState
	ladder   ladder
	link     linkState
	air      []bss     // what was heard last
	heard    time.Time // when
	listed   time.Time
	nextPoll time.Time
	// regdomDue is when the kernel must have taken the country.
	regdomDue time.Time
	// typed says that the settings were changed while the set-up network was there, so
	// that somebody waits for how it goes.
	typed bool
	// reached says that the radio was of use in a network.
	reached bool
	missing string // firmware that the driver did not find, in a sentence
	said    string // what was logged last
}

// bands are the ones in which the radio works.
type bands struct{ known, five bool }

// A networkState is how the radio is in a network.
type networkState struct {
	connected bool
	since     time.Time
	poll      status.WiFiNetwork
	// troubles are what has kept the radio out of a network, by its place in the
	// settings.
	troubles map[int]trouble
	rejected int // status of the latest refusal
}

// A trouble has kept the radio out of one network.
type trouble struct {
	failure status.Failure
	at      time.Time
}

// troubleAge is for how long a trouble counts that has not come again.
const troubleAge = 5 * time.Minute

// links is what package link makes of the radio's link, and of others.
type links struct {
	address bool // a router has given one
	silent  bool // nobody answers
	wired   bool // another link has an address
}

type linkState struct {
	links
	silentSince time.Time // zero: somebody answers
}

func newMachine(now, booted time.Time, log *slog.Logger) *machine {
	return &machine{log: log, began: now, booted: booted}
}

func (m *machine) want(v ...verb) { m.wants = append(m.wants, v...) }

// commands are what is to be done now, in this order. Their results come back by the
// other methods.
func (m *machine) commands() []verb {
	c := m.wants
	m.wants = nil
	return c
}

// configure takes settings, at first and after every change.
func (m *machine) configure(now time.Time, s setup.Settings) {
	m.settings = s
	m.net.troubles = nil
	m.typed = m.phase == serving
	switch m.phase {
	case client:
		m.enterClient(now, m.setUpAfter())
	case looking, serving:
		// The page still has to say that the camera leaves now.
		m.setUp.leave = now.Add(leaveDelay)
	}
}

// setRadio tells whether the board has a radio, and, in a sentence, what of its firmware
// is not there.
func (m *machine) setRadio(has bool, missing string) { m.hasRadio, m.missing = has, missing }

// ready tells that wpa_supplicant can be told something, or no longer. It knows nothing
// when it starts.
func (m *machine) ready(now time.Time, is bool) {
	if !is {
		if m.phase != absent {
			m.fail(now)
		}
		m.leaveNetwork(now)
		m.phase, m.wants = absent, nil
		return
	}
	m.ladder.absent = time.Time{}
	m.enterClient(now, max(m.began.Add(m.setUpAfter()).Sub(now), settle))
}

// fail tells that the radio is to be there and is not yet, or no longer.
func (m *machine) fail(now time.Time) {
	if m.ladder.absent.IsZero() {
		m.ladder.absent = now
	}
}

// setUpAfter is how long after the start, or after a change, the set-up network may come.
func (m *machine) setUpAfter() time.Duration {
	if len(m.settings.Networks) == 0 {
		return settle
	}
	return firstTry
}

// enterClient looks for the networks of the settings; after a while without success
// the set-up network may come.
func (m *machine) enterClient(now time.Time, wait time.Duration) {
	m.leaveNetwork(now)
	m.phase = client
	m.setUp.due = now.Add(wait)
	m.heard = now // the time for the first look begins
	if c := m.settings.Country; c != "" && c != m.country {
		m.want(setCountry)
		m.regdomDue = now.Add(regdomTimeout)
	}
	m.want(join)
}

func (m *machine) leaveNetwork(now time.Time) {
	if m.net.connected {
		m.net.since = now
	}
	m.net.connected, m.net.poll, m.net.rejected = false, status.WiFiNetwork{}, 0
	m.setUp.up, m.setUp.guests, m.setUp.leave = false, nil, time.Time{}
}

// setLink tells what package link has made of it.
func (m *machine) setLink(now time.Time, are links) {
	l := &m.link
	switch {
	case !are.silent:
		l.silentSince = time.Time{}
	case l.silentSince.IsZero():
		l.silentSince = now
	}
	if l.wired && !are.wired && m.setUp.due.Before(now.Add(settle)) {
		m.setUp.due = now.Add(settle) // whoever moves a cable is not to find the set-up network
	}
	l.links = are
}

// works says whether the radio is of use.
func (m *machine) works() bool {
	return m.phase == client && m.net.connected && m.link.address && m.link.silentSince.IsZero()
}

// event takes what wpa_supplicant has told.
func (m *machine) event(now time.Time, e event) {
	switch e.kind {
	case scanResults:
		m.heard = now
		if m.phase == looking || !m.net.connected || now.Sub(m.listed) >= seenInterval {
			m.listed = now
			m.want(list)
		}
	case regdomChange:
		if m.country = e.country; m.country == m.settings.Country {
			m.regdomDue = time.Time{}
		}
	case apEnabled, apDisabled, apConnected, apDisconnected:
		m.serveEvent(now, e)
	}
	if m.phase == client {
		m.clientEvent(now, e)
	}
}

func (m *machine) clientEvent(now time.Time, e event) {
	n := &m.net
	switch e.kind {
	case connected:
		if !n.connected {
			n.since = now
		}
		n.connected, n.rejected = true, 0
		delete(n.troubles, e.network) // what keeps it out of another one is still to be said
		n.poll.BSSID = e.station
		if e.network >= 0 && e.network < len(m.settings.Networks) { // until it is polled
			n.poll.SSID = text(string(m.settings.Networks[e.network].SSID))
		}
		m.want(savePower, poll)
		m.nextPoll = now.Add(pollInterval)
	case disconnected:
		if n.connected {
			n.since = now
		}
		n.connected, n.poll = false, status.WiFiNetwork{}
	case assocReject, authReject:
		n.rejected = max(e.status, 1)
	case tempDisabled:
		m.refused(now, e)
	}
}

// statusFull is that an access point has as many guests as it takes (IEEE 802.11,
// 9.4.1.9).
const statusFull = 17

// refused takes that wpa_supplicant pauses with a network.
func (m *machine) refused(now time.Time, e event) {
	n := &m.net
	f := status.NotReached
	switch {
	case e.reason == "WRONG_KEY":
		f = status.WrongPassword
	case n.rejected == statusFull:
		f = status.Full
	case n.rejected != 0:
		f = status.Refused
	}
	n.rejected = 0
	if n.troubles == nil {
		n.troubles = make(map[int]trouble)
	}
	n.troubles[e.network] = trouble{f, now}
	if m.typed && f == status.WrongPassword && !n.connected {
		m.setUp.due = now // who has typed it waits
	}
}

// hasCountry takes what the kernel has, some time after it was told one.
func (m *machine) hasCountry(country string) {
	m.country = country
	if want := m.settings.Country; want != "" && country != want {
		m.log.Warn("the kernel does not take the country", "country", want, "has", country)
	}
}

// scanned takes what the radio hears.
func (m *machine) scanned(now time.Time, all []bss) {
	m.air, m.heard = all, now
	if m.phase == looking {
		m.open(now)
	}
}

// polled takes what wpa_supplicant answers on the network; in says that the radio is in
// it, which is so even if the event on that was lost.
func (m *machine) polled(now time.Time, in bool, n status.WiFiNetwork) {
	if m.phase != client {
		return
	}
	switch {
	case in && !m.net.connected:
		m.clientEvent(now, event{kind: connected, network: m.place(n.SSID), station: n.BSSID})
	case !in && m.net.connected:
		m.clientEvent(now, event{kind: disconnected})
	}
	if in {
		m.net.poll = n
	}
}

// place is where the settings have a network, by its name as text; -1 is nowhere.
func (m *machine) place(ssid string) int {
	return slices.IndexFunc(m.settings.Networks, func(n setup.Network) bool { return text(string(n.SSID)) == ssid })
}

// step does what is due.
func (m *machine) step(now time.Time) {
	if due(m.regdomDue, now) {
		m.regdomDue = time.Time{}
		m.want(askCountry) // the kernel tells only changes
	}
	if m.works() {
		if !m.reached {
			m.reached, m.typed = true, false
		}
		m.setUp.failure = ""
	}
	if m.phase == client && !m.nextPoll.After(now) {
		m.nextPoll = now.Add(pollInterval)
		m.want(poll)
	}
	m.stepSetUp(now)
	m.climb(now)
	m.note(now)
}

// note logs what has changed.
func (m *machine) note(now time.Time) {
	r := m.radio(now)
	if r == nil {
		return
	}
	what := r.Why
	switch {
	case r.SetUp != nil:
		what = "set-up network " + r.SetUp.SSID
	case r.Network != nil && what == "":
		what = "in " + r.Network.SSID
	}
	if what == m.said {
		return
	}
	m.said = what
	if r.Why != "" {
		m.log.Warn("Wi-Fi", "why", r.Why)
	} else {
		m.log.Info("Wi-Fi", "state", what)
	}
}

func due(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }
