package wifi

import (
	"fmt"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

const (
	// weak is a signal that is told of, and tooWeak one with which the radio mostly does
	// not get in, in dBm.
	weak    = -75
	tooWeak = -82
	// maxNamed bounds how many networks a sentence names.
	maxNamed = 8
)

// radio is what there is to say; nil if the board has no radio.
func (m *machine) radio(now time.Time) *status.Radio {
	if !m.hasRadio {
		return nil
	}
	r := &status.Radio{Country: m.country, Since: m.net.since, Seen: seen(m.air)}
	r.Failure, r.Why = m.why(now)
	switch {
	case m.phase == client && m.net.connected:
		n := m.net.poll
		r.Network, r.Missed = &n, m.missed(now)
	case m.phase == serving && m.setUp.up:
		r.SetUp, r.Since = &status.SetUp{Until: m.setUp.until}, m.setUp.started
	}
	return r
}

// why says why the radio is of no use, or of little: in a word and in a sentence with a
// hint. Both are empty if it works.
func (m *machine) why(now time.Time) (status.Failure, string) {
	networks := m.settings.Networks
	switch {
	case len(networks) == 0 && m.link.wired:
		return "", ""
	case m.missing != "":
		return status.FirmwareMissing, m.missing
	case m.phase == absent && !m.ladder.absent.IsZero() && now.Sub(m.ladder.absent) >= absentFor:
		return status.NoRadio, "The radio does not start. If it stays so, take the power away for a minute."
	case len(networks) == 0:
		return status.NoNetworks, "The camera was told no wireless network. Write one into pushcam.txt on the card, or type it on the page of the camera's own set-up network."
	case m.phase == looking || m.phase == serving:
		return m.notIn(now)
	case m.phase != client || !m.net.connected:
		return m.notIn(now)
	}
	name := m.net.poll.SSID
	silent := !m.link.silentSince.IsZero() && now.Sub(m.link.silentSince) >= silentFor
	switch s := m.net.poll.Signal; {
	case silent && !m.link.address:
		return status.NoAddress, fmt.Sprintf("The router of \"%s\" lets the camera in and gives it no address. Start the router anew; on its page, DHCP must be switched on and have addresses left.", name)
	case silent:
		return status.Silent, fmt.Sprintf("Nobody answers in \"%s\" any more, although the camera is in it. It tries to help itself; if that is in vain, start the router anew.", name)
	case s != 0 && s < tooWeak:
		return status.WeakSignal, fmt.Sprintf("The signal of \"%s\" is very weak (%d dBm): the picture will stop now and then. Bring camera and router nearer to each other, or put a repeater between them.", name, s)
	case s != 0 && s < weak:
		return status.WeakSignal, fmt.Sprintf("The signal of \"%s\" is weak (%d dBm). Bring camera and router nearer to each other, or put a repeater between them.", name, s)
	}
	return "", ""
}

// notIn says why the radio is in none of the owner's networks. Of several, it speaks of
// the one that it came nearest to.
func (m *machine) notIn(now time.Time) (status.Failure, string) {
	if len(m.air) == 0 && now.Sub(m.began) < deafFor && len(m.net.troubles) == 0 {
		return status.NotReached, "The camera looks for its network."
	}
	var nearest status.Failure
	var sentence string
	for i, n := range m.settings.Networks {
		f, s := explain(n, m.air, m.met(now, i), m.bands)
		if nearest == "" || distance(f) < distance(nearest) {
			nearest, sentence = f, s
		}
	}
	if nearest == status.NotSeen && len(m.settings.Networks) > 1 {
		var names []string
		for _, n := range m.settings.Networks {
			names = append(names, text(string(n.SSID)))
		}
		sentence = "None of the camera's networks is heard: " + quoted(names) + "." + whatIsHeard(m.air, m.bands)
	}
	return nearest, sentence
}

// missed says why a radio that is in one of the owner's networks is not in the first.
func (m *machine) missed(now time.Time) string {
	if len(m.settings.Networks) == 0 || m.net.poll.SSID == "" || m.net.poll.SSID == text(string(m.settings.Networks[0].SSID)) {
		return ""
	}
	_, sentence := explain(m.settings.Networks[0], m.air, m.met(now, 0), m.bands)
	return sentence
}

// met is what has kept the radio out of a network lately, by its place in the settings; empty
// if nothing.
func (m *machine) met(now time.Time, place int) status.Failure {
	if had, ok := m.net.troubles[place]; ok && now.Sub(had.at) < troubleAge {
		return had.failure
	}
	return ""
}

// distance is how far the radio was from being in a network.
func distance(f status.Failure) int {
	switch f {
	case status.NotSeen:
		return 2
	case status.OtherSpelling:
		return 1
	}
	return 0
}

// explain says why the radio is not in a network: by what is on the air, and by what
// wpa_supplicant has met, which is empty if nothing.
func explain(n setup.Network, air []bss, met status.Failure, radio bands) (status.Failure, string) {
	name := text(string(n.SSID))
	b, ok := best(n, air)
	if !ok {
		if near := otherSpelling(string(n.SSID), air); near != "" {
			return status.OtherSpelling, fmt.Sprintf("There is \"%s\", not \"%s\": capital letters, blanks and hyphens count.", text(near), name)
		}
		if met == status.WrongPassword { // a hidden network
			return met, wrongPassword(name)
		}
		return status.NotSeen, fmt.Sprintf("No network called \"%s\" is heard.", name) + whatIsHeard(air, radio)
	}
	switch {
	case met == status.WrongPassword:
		return met, wrongPassword(name)
	case b.security == enterprise:
		return status.Enterprise, fmt.Sprintf("\"%s\" wants a name and a password of each of its users, as companies and universities have it, which the camera cannot give. Use a guests' network with one password for all, or a cable.", name)
	case b.security == wpa3:
		return status.WPA3Only, fmt.Sprintf("\"%s\" is secured by WPA3 alone, which the radio of this board cannot do. On the router's page, set the security to WPA2 or to WPA2 + WPA3 (also called mixed or transition mode).", name)
	case b.security == wep:
		return status.Outdated, fmt.Sprintf("\"%s\" is secured by WEP, which anybody can break and the camera does not do. On the router's page, set the security to WPA2.", name)
	case n.PSK != nil && b.security == open:
		return status.OpenNetwork, fmt.Sprintf("\"%s\" has no password, and the camera was given one. Anybody near can read along in a network without a password: give it one on the router's page, or leave the camera's password empty.", name)
	case n.PSK == nil && b.security != open:
		return status.PasswordMissing, fmt.Sprintf("\"%s\" has a password, and the camera was given none.", name)
	case met == status.Full:
		return met, fmt.Sprintf("\"%s\" takes no more devices: its router has as many as it allows. Switch one of them off, or start the router anew.", name)
	case b.signal != 0 && b.signal < tooWeak:
		return status.WeakSignal, fmt.Sprintf("\"%s\" is heard, but too weak to get in (%d dBm). Bring camera and router nearer to each other, or put a repeater between them.", name, b.signal)
	case met == status.Refused:
		return met, fmt.Sprintf("The router of \"%s\" refuses the camera. If the router's page has a list of the devices that it lets in (MAC filter, access control), add the camera to that; else start the router anew.", name)
	}
	return status.NotReached, fmt.Sprintf("\"%s\" is heard, and the camera tries to get in.", name)
}

func wrongPassword(name string) string {
	return fmt.Sprintf("The password for \"%s\" is wrong. Capital and small letters count; a router has it on a label or on its page.", name)
}

// best is the access point of a network that fits the settings best.
func best(n setup.Network, air []bss) (found bss, ok bool) {
	fits := func(s security) bool {
		return (n.PSK == nil) == (s == open) && s != wpa3 && s != enterprise && s != wep
	}
	for _, b := range air {
		if b.ssid != string(n.SSID) {
			continue
		}
		if !ok || fits(b.security) && !fits(found.security) || fits(b.security) == fits(found.security) && b.signal > found.signal {
			found, ok = b, true
		}
	}
	return found, ok
}

// otherSpelling is a name on the air that differs only in what people get wrong.
func otherSpelling(ssid string, air []bss) string {
	plain := func(s string) string {
		return strings.ToLower(strings.NewReplacer(" ", "", "-", "", "_", "", "\t", "", "\u00a0", "", "’", "'").Replace(s))
	}
	for _, b := range strongest(air) {
		if plain(b.ssid) == plain(ssid) {
			return b.ssid
		}
	}
	return ""
}

// whatIsHeard goes behind a sentence on a network that is not.
func whatIsHeard(air []bss, radio bands) string {
	var b strings.Builder
	names := strongest(air)
	if len(names) == 0 {
		b.WriteString(" No other network is heard either: the router may be too far away, or switched off.")
	} else {
		var texts []string
		for _, n := range names[:min(len(names), maxNamed)] {
			texts = append(texts, text(n.ssid))
		}
		b.WriteString(" There are " + quoted(texts))
		if more := len(names) - maxNamed; more > 0 {
			fmt.Fprintf(&b, " and %d more", more)
		}
		b.WriteString(".")
	}
	if radio.known && !radio.five {
		b.WriteString(" This board's radio has no 5 GHz: the router must send the network on 2.4 GHz.")
	}
	return b.String()
}

func quoted(names []string) string {
	var b strings.Builder
	for i, n := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(`"` + n + `"`)
	}
	return b.String()
}
