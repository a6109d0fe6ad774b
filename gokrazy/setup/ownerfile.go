package setup

import (
	"bytes"
	"regexp"
	"strings"
)

// TextFile is the file that an owner writes, in the root folder of the card's boot
// partition.
const TextFile = "pushcam.txt"

// format is a file that is understood. read is given its lines.
type format struct {
	name string
	read func(*reader, []piece)
}

// formats are in the order of their weight. Windows hides the last part of a file's
// name, so people make a pushcam.txt.txt. The others are of Raspberry Pi Imager 2, of
// its cloud-init, and what was put on the cards of Raspberry Pi OS until 2023.
var formats = []format{
	{TextFile, (*reader).readText},
	{TextFile + ".txt", (*reader).readText},
	{"rpi-preseed.toml", (*reader).readPreseed},
	{"network-config", (*reader).readNetworkConfig},
	{"user-data", (*reader).readUserData},
	{"wpa_supplicant.conf", (*reader).readSupplicant},
}

func newSaid() *said { return &said{flags: make(map[string]string), places: make(map[string]Place)} }

// add reads one more file.
func (s *said) add(f format, name string, data []byte) {
	r := &reader{s, name}
	switch {
	case bytes.HasPrefix(data, []byte(`{\rtf`)):
		r.problem(0, "This is not plain text but RTF: choose Format, Make Plain Text in TextEdit, and save it again.")
		return
	case bytes.HasPrefix(data, []byte("PK\x03\x04")):
		r.problem(0, "This is not plain text but a word processor's file: write it with a text editor.")
		return
	}
	all, err := lines(data)
	if err != nil {
		r.problem(0, "%s.", capital(err.Error()))
		return
	}
	f.read(r, all)
}

var settingName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// readText reads pushcam.txt: lines as name=value, and comments.
func (r *reader) readText(all []piece) {
	r.flagsKnown = true
	var ssid, password *secret // of a network that is not complete yet
	complete := func() {
		if ssid != nil {
			r.addNetwork(ssid.Line, []byte(ssid.value), password)
		}
		ssid, password = nil, nil
	}
	for _, l := range all {
		l = l.trim()
		if l.text == "" || strings.HasPrefix(l.text, "#") || strings.HasPrefix(l.text, ";") || strings.HasPrefix(l.text, "//") {
			continue
		}
		before, value, found := l.cut("=:") // a password may have the other one in it
		name := strings.TrimLeft(strings.ToLower(before.trim().text), "-")
		name = strings.NewReplacer("_", "-", " ", "-").Replace(name)
		if !found || !settingName.MatchString(name) {
			r.problem(l.line, "This is no setting: a setting is name=value, as fps=10, and a comment begins with #.")
			continue
		}
		value = value.trim().unquote()
		if value.text == "" {
			continue
		}
		switch name {
		case "wifi-ssid":
			if ssid != nil {
				complete()
			}
			if ssid = r.secret(value, value.text); password != nil {
				complete() // its password stands before it
			}
		case "wifi-password":
			if password != nil && ssid == nil {
				r.problem(password.Line, "There is no wifi-ssid= for this password.")
			}
			password = r.secret(value, value.text)
			if ssid != nil {
				complete()
			}
		case "password":
			r.setPassword(&r.passwords, r.secret(value, value.text))
		case "viewer-password":
			r.setPassword(&r.viewerPasswords, r.secret(value, value.text))
		case "hostname":
			r.setHostname(value.line, uncomment(value))
		case "wifi-country":
			r.setCountry(value.line, uncomment(value))
		default:
			r.setFlag(value.line, name, uncomment(value))
		}
	}
	if password != nil {
		r.problem(password.Line, "There is no wifi-ssid= for this password.")
	}
	complete()
}

// uncomment takes off what people write behind a value, and quotes in front of that. The names
// of networks and passwords may have such characters.
func uncomment(value piece) string {
	for _, mark := range []string{" #", "\t#"} {
		if i := strings.Index(value.text, mark); i >= 0 {
			value = value.slice(0, i).trim().unquote()
		}
	}
	return strings.TrimSpace(value.text)
}
