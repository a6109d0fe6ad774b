package wifi

import (
	"time"
)

// When something is done for a radio that does not work, although it seems to.
const (
	// silentFor is how long nobody may answer in a network.
	silentFor = 20 * time.Second
	// deafFor is how long wpa_supplicant may look in vain for anything at all.
	deafFor = 90 * time.Second
	// absentFor is how long there may be no link, as after a crash of the firmware, whose
	// driver starts it anew by itself.
	absentFor = 10 * time.Second
	// steadyFor is how long it must work until the next trouble is a new one.
	steadyFor = time.Minute
	// maxRungPause bounds the pause between two rungs.
	maxRungPause = 10 * time.Minute
	// minUptime keeps the system from being rebooted for its radio more often than once
	// an hour.
	minUptime = time.Hour
)

// rungs are what is done, one after the other, and how long each has to help.
var rungs = []struct {
	do   verb
	help time.Duration
}{
	{reassociate, 30 * time.Second},
	{restartLink, 45 * time.Second},
	{reload, time.Minute},
	{reboot, time.Minute},
}

// The first rung that can help.
const (
	ofSilent = 0 // it is in a network
	ofDeaf   = 1 // it is in none
	ofAbsent = 2 // there is no link
)

// A ladder is what was done.
type ladder struct {
	next   int       // rung
	again  time.Time // when the next may be climbed
	rounds int       // times that all were in vain
	steady time.Time // since when it works
	absent time.Time // since when there is no link
	why    string    // the last trouble
}

// trouble is a sentence on a radio that has to be helped, and the first rung that can.
func (m *machine) trouble(now time.Time) (string, int) {
	switch {
	case m.phase == absent && m.hasRadio && m.missing == "" && !m.ladder.absent.IsZero() && now.Sub(m.ladder.absent) >= absentFor:
		return "the driver does not find the radio", ofAbsent
	case m.phase == client && m.net.connected && !m.link.silentSince.IsZero() && now.Sub(m.link.silentSince) >= silentFor && now.Sub(m.net.since) >= silentFor:
		return "the radio is in a network where nobody answers", ofSilent
	case m.phase == client && !m.net.connected && len(m.settings.Networks) > 0 && now.Sub(m.heard) >= deafFor:
		return "the radio hears nothing at all", ofDeaf
	}
	return "", 0
}

// climb helps a radio.
func (m *machine) climb(now time.Time) {
	l := &m.ladder
	if m.works() {
		if l.steady.IsZero() {
			l.steady = now
		}
		if now.Sub(l.steady) >= steadyFor {
			*l = ladder{steady: l.steady}
		}
		return
	}
	l.steady = time.Time{}
	why, first := m.trouble(now)
	if why == "" || now.Before(l.again) {
		return
	}
	l.next = max(l.next, first)
	if l.next == len(rungs)-1 && !m.mayReboot(now) {
		l.next++
	}
	if l.next >= len(rungs) { // from the beginning, and slower each time
		l.next = first
		l.rounds++
	}
	r := rungs[l.next]
	l.next++
	l.again = now.Add(min(r.help<<min(l.rounds, 10), maxRungPause))
	l.why = why
	m.log.Warn(why+": it is helped", "by", string(r.do))
	m.want(r.do)
}

// mayReboot says whether the system may be rebooted for its radio: only if the radio
// was of use before, if nothing else is, and not more often than once an hour.
func (m *machine) mayReboot(now time.Time) bool {
	return m.reached && !m.link.wired && now.Sub(m.booted) >= minUptime
}
