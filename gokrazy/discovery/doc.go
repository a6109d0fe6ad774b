// Package discovery is how pushcams and their owners find each other on a local
// network: multicast DNS (RFC 6762) and DNS-based service discovery (RFC 6763).
// An Announcer makes a pushcam found, a Browser finds them.
//
// Services and their records are dnssd's, messages miekg/dns's. The sockets and
// the protocol on top of them are this package's own: dnssd v1.2.14 joins only
// the networks that are there when it starts, handles a question for a shared
// name by sleeping in its one loop (a packet with 400 questions silences it for
// 28 s), leaves goroutines behind, some of which spin, and cannot be given another
// socket (mdns.go, responder.go and probe.go there). In the tests it is the peer.
package discovery

import (
	"strconv"
	"strings"
	"unicode"
)

// What is announced, and looked for.
const (
	webService     = "_http._tcp"
	pushcamService = "_pushcam._tcp"
	domain         = "local"
)

// maxLabel is the length of a DNS label, in bytes (RFC 1035, 2.3.4).
const maxLabel = 63

// label makes a host name a DNS label: its first part, of letters, digits and
// hyphens (RFC 1123, 2.1). What has none of them becomes "pushcam".
func label(hostname string) string {
	hostname, _, _ = strings.Cut(hostname, ".")
	clean := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '-'
	}, hostname)
	clean = strings.Trim(clean[:min(len(clean), maxLabel)], "-")
	if clean == "" {
		return "pushcam"
	}
	return clean
}

// numbered is the name that a host tries after n others of that name were
// there: "pushcam" is followed by "pushcam-2".
func numbered(name string, n int) string {
	if n < 2 {
		return name
	}
	suffix := "-" + strconv.Itoa(n)
	return strings.TrimRight(name[:min(len(name), maxLabel-len(suffix))], "-") + suffix
}

// numberOf is the n for which numbered makes name of base; 1 if there is none.
func numberOf(base, name string) int {
	for n := 2; n <= maxNumber; n++ {
		if numbered(base, n) == name {
			return n
		}
	}
	return 1
}

// maxText is how much of a text is kept, in bytes; a text of a TXT record has
// 255 at most, its key included (RFC 6763, 6.1).
const maxText = 200

// printable is Printable of as much of a text as is kept.
func printable(s string) string { return Printable(s[:min(len(s), maxText)]) }

// Printable makes a text from another computer safe to print: it replaces what is not
// UTF-8, and what would control a terminal or the direction of writing.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// unescape gives the bytes of a name or text as miekg/dns writes it: \DDD is a
// byte in decimal, a backslash before anything else stands for that.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 10, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// keyValue splits a text of a TXT record into its key, in lower case, and its
// value.
func keyValue(s string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(s, "=")
	return strings.ToLower(printable(key)), printable(value), ok && key != ""
}

// hostText is a host's name for people, without the dot at its end.
func hostText(name string) string {
	return printable(unescape(strings.TrimSuffix(name, ".")))
}
