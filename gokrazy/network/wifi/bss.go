package wifi

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pushcam/pushcam/gokrazy/network/status"
)

const (
	// maxBSS bounds how many access points are kept of one look. A block of flats has a
	// hundred.
	maxBSS = 256
	// maxSeen bounds how many networks are told of.
	maxSeen = 32
	maxSSID = 32 // bytes
)

// A security is what a network wants of its guests.
type security string

const (
	open       security = "open"
	wep        security = "WEP"
	wpa1       security = "WPA"
	wpa2       security = "WPA2" // also together with WPA3
	wpa3       security = "WPA3" // alone
	enterprise security = "EAP"
)

// A bss is an access point that was heard.
type bss struct {
	id        int
	ssid      string // any bytes; empty if it hides its name
	station   string // its hardware address
	signal    int    // dBm
	frequency int    // MHz
	security  security
}

// bssMask has wpa_supplicant tell of each access point what parseBSS reads: id, bssid,
// freq, level, flags, ssid and a line between two (wpa_ctrl.h, WPA_BSS_MASK_*).
const bssMask = 1<<0 | 1<<1 | 1<<2 | 1<<7 | 1<<11 | 1<<12 | 1<<17

// bssCommand asks for the access points with this id and above, as many as have room in
// an answer.
func bssCommand(from int) string { return fmt.Sprintf("BSS RANGE=%d- MASK=0x%x", from, bssMask) }

// parseBSS reads an answer to bssCommand.
func parseBSS(reply string) (found []bss) {
	for entry := range strings.SplitSeq(reply, "====\n") {
		f := fields(entry)
		id, err := strconv.Atoi(f["id"])
		ssid, ok := decodeSSID(f["ssid"])
		if err != nil || id < 0 || !ok || !isHardwareAddress(f["bssid"]) {
			continue
		}
		b := bss{id: id, ssid: ssid, station: f["bssid"], security: securityOf(f["flags"])}
		b.signal, _ = strconv.Atoi(f["level"])
		b.frequency, _ = strconv.Atoi(f["freq"])
		if len(found) < maxBSS {
			found = append(found, b)
		}
	}
	return found
}

// decodeSSID reads a name as wpa_supplicant writes it (printf_encode). What it says no
// to is none of its.
func decodeSSID(text string) (string, bool) {
	var b strings.Builder
	for len(text) > 0 {
		c := text[0]
		text = text[1:]
		if c != '\\' {
			b.WriteByte(c)
			continue
		}
		if text == "" {
			return "", false
		}
		c = text[0]
		text = text[1:]
		switch c {
		case '\\', '"':
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'e':
			c = 0x1b
		case 'x':
			if len(text) < 2 || !isHex(text[0]) || !isHex(text[1]) {
				return "", false
			}
			n, _ := strconv.ParseUint(text[:2], 16, 8)
			c, text = byte(n), text[2:]
		default:
			return "", false
		}
		b.WriteByte(c)
	}
	ssid := b.String()
	if strings.Trim(ssid, "\x00") == "" {
		ssid = "" // a hidden one, as some access points say it
	}
	return ssid, len(ssid) <= maxSSID
}

// securityOf reads flags such as [WPA2-PSK-CCMP][ESS]. A wpa_supplicant without SAE
// writes WPA3 as [WPA2--CCMP].
func securityOf(flags string) security {
	found := open
	for flag := range strings.SplitSeq(flags, "[") {
		protocol, rest, _ := strings.Cut(strings.TrimSuffix(flag, "]"), "-")
		switch {
		case protocol == "WEP":
			found = wep
		case protocol != "WPA" && protocol != "WPA2" && protocol != "RSN":
		case strings.Contains(rest, "PSK"):
			if protocol != "WPA" {
				return wpa2
			}
			found = wpa1
		case found == wpa1:
		case strings.Contains(rest, "EAP"):
			found = enterprise
		default:
			found = wpa3
		}
	}
	return found
}

// text is a network's name for people: what is not text in it is written as \x and two
// digits.
func text(ssid string) string {
	var b strings.Builder
	for len(ssid) > 0 {
		r, n := utf8.DecodeRuneInString(ssid)
		if r == utf8.RuneError && n == 1 || !unicode.IsPrint(r) {
			for _, c := range []byte(ssid[:n]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		} else {
			b.WriteString(ssid[:n])
		}
		ssid = ssid[n:]
	}
	return b.String()
}

// strongest are the networks by their names, each by the strongest of those of its access
// points that the radio can best join, the strongest first. An access point without a
// password, which anybody can give any name, stands for no network that has one.
func strongest(all []bss) (found []bss) {
	for _, b := range all {
		switch i := slices.IndexFunc(found, func(f bss) bool { return f.ssid == b.ssid }); {
		case b.ssid == "":
		case i < 0:
			found = append(found, b)
		case cmp.Or(cmp.Compare(b.security.fitness(), found[i].security.fitness()), cmp.Compare(b.signal, found[i].signal)) > 0:
			found[i] = b
		}
	}
	slices.SortStableFunc(found, func(a, b bss) int { return cmp.Compare(b.signal, a.signal) })
	return found
}

// fitness is higher for what is to be joined rather.
func (s security) fitness() int {
	switch s {
	case wpa1, wpa2:
		return 2
	case open:
		return 1
	}
	return 0
}

func seen(all []bss) (found []status.SeenNetwork) {
	for _, b := range strongest(all) {
		if len(found) < maxSeen {
			found = append(found, status.SeenNetwork{SSID: text(b.ssid), Signal: b.signal, Frequency: b.frequency, Security: string(b.security)})
		}
	}
	return found
}

// channel is the number of the channel with this middle in MHz; 0 if there is none.
func channel(mhz int) int {
	switch {
	case mhz == 2484:
		return 14
	case mhz >= 2412 && mhz <= 2472:
		return (mhz - 2407) / 5
	case mhz >= 5160 && mhz <= 5885:
		return (mhz - 5000) / 5
	}
	return 0
}
