package wifi

import (
	"strconv"
	"strings"
)

// An eventKind is what has happened, by wpa_supplicant's own word for it.
type eventKind string

// The events that are of use here. All others are not taken.
const (
	connected      eventKind = "CTRL-EVENT-CONNECTED"
	disconnected   eventKind = "CTRL-EVENT-DISCONNECTED"
	tempDisabled   eventKind = "CTRL-EVENT-SSID-TEMP-DISABLED"
	notFound       eventKind = "CTRL-EVENT-NETWORK-NOT-FOUND"
	assocReject    eventKind = "CTRL-EVENT-ASSOC-REJECT"
	authReject     eventKind = "CTRL-EVENT-AUTH-REJECT"
	scanResults    eventKind = "CTRL-EVENT-SCAN-RESULTS"
	scanFailed     eventKind = "CTRL-EVENT-SCAN-FAILED"
	regdomChange   eventKind = "CTRL-EVENT-REGDOM-CHANGE"
	apEnabled      eventKind = "AP-ENABLED"
	apDisabled     eventKind = "AP-DISABLED"
	apConnected    eventKind = "AP-STA-CONNECTED"
	apDisconnected eventKind = "AP-STA-DISCONNECTED"
)

var eventKinds = map[eventKind]bool{
	connected: true, disconnected: true, tempDisabled: true, notFound: true, assocReject: true, authReject: true,
	scanResults: true, scanFailed: true, regdomChange: true,
	apEnabled: true, apDisabled: true, apConnected: true, apDisconnected: true,
}

// An event is one that wpa_supplicant has told. What the kind has nothing of is zero.
type event struct {
	kind    eventKind
	network int    // id of a network; -1 is none
	station string // hardware address of an access point, or of an access point's guest
	reason  string // in wpa_supplicant's words, as WRONG_KEY
	status  int    // IEEE 802.11, 9.4.1.9
	country string
}

// parseEvent reads what came on the socket of events. It says no to what is none, or of
// no use.
func parseEvent(text string) (event, bool) {
	if strings.HasPrefix(text, "<") { // <3> is how important it is
		_, text, _ = strings.Cut(text, ">")
	}
	name, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	e := event{kind: eventKind(name), network: -1}
	if !eventKinds[e.kind] {
		return event{}, false
	}
	// A network's name may hold what looks like a field: it is cut out.
	if before, after, ok := strings.Cut(rest, ` ssid="`); ok {
		if end := strings.LastIndex(after, `"`); end >= 0 {
			rest = before + after[end+1:]
		}
	}
	for field := range strings.FieldsSeq(rest) {
		key, value, ok := strings.Cut(strings.Trim(field, "[]"), "=")
		switch {
		case !ok && isHardwareAddress(field) && e.station == "":
			e.station = field
		case key == "bssid" && isHardwareAddress(value):
			e.station = value
		case key == "id":
			if n, err := strconv.Atoi(value); err == nil && n >= 0 {
				e.network = n
			}
		case key == "status_code":
			e.status, _ = strconv.Atoi(value)
		case key == "reason":
			e.reason = value
		case key == "alpha2" && len(value) == 2:
			e.country = value
		}
	}
	return e, true
}

// isHardwareAddress tells 02:00:00:00:01:00 from other words.
func isHardwareAddress(s string) bool {
	if len(s) != 17 {
		return false
	}
	for i, c := range []byte(s) {
		if i%3 == 2 {
			if c != ':' {
				return false
			}
		} else if !isHex(c) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// fields reads an answer of lines with key=value; of two for one key it takes the
// first.
func fields(reply string) map[string]string {
	found := make(map[string]string)
	for line := range strings.Lines(reply) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if _, known := found[key]; ok && !known {
			found[key] = value
		}
	}
	return found
}
