//go:build linux

package portal

import (
	"encoding/hex"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// The fields of the form.
const (
	networkField  = "network" // the name in hexadecimal digits, or other
	nameField     = "ssid"    // of another network
	keyField      = "key"     // the network's password
	countryField  = "country"
	hostField     = "camera"   // the camera's name
	passwordField = "password" // the owner's
	viewingField  = "viewing"  // who may look: open or closed
)

const (
	// other stands for a network that is not in the list, and for a country that is not.
	other = "other"
	// maxField bounds what is taken of a field, in bytes.
	maxField = 1 << 10
)

// A form is what was typed, and what is wrong with it.
type form struct {
	network, name, country, host string
	viewing                      string
	key, password                string            // these are never sent back
	wrong                        map[string]string // a sentence by field
}

// read takes a form as a browser sends it. It may be anything.
func read(values url.Values) *form {
	get := func(field string) string {
		text := values.Get(field)
		return strings.ToValidUTF8(text[:min(len(text), maxField)], "\uFFFD")
	}
	return &form{
		network: get(networkField), name: strings.TrimSpace(get(nameField)), key: get(keyField),
		country: get(countryField), host: strings.TrimSpace(get(hostField)), password: get(passwordField),
		viewing: get(viewingField),
		wrong:   make(map[string]string),
	}
}

// typed is what a form means.
type typed struct {
	network  setup.Network
	country  string
	host     string // empty: the camera keeps its name
	password string // that becomes the owner's; empty: there is one
	viewing  string // who may look, open or closed; empty: as it is
}

// asksViewing tells whether the page asks who may look: the first owner chooses it, unless
// the card says it already.
func (p *Portal) asksViewing() bool { return p.Owner.Free() && p.Settings.Flags["viewing"] == "" }

// check says what a form means. Where something is wrong, form.wrong has a sentence.
func (p *Portal) check(f *form) typed {
	wrong := func(field, sentence string) {
		if f.wrong[field] == "" {
			f.wrong[field] = sentence
		}
	}
	var t typed
	switch f.network {
	case "":
		wrong(networkField, says.noNetwork)
	case other:
		t.network.SSID = []byte(f.name)
		if err := setup.CheckSSID(t.network.SSID); err != nil {
			wrong(nameField, sentence(err))
		}
	default:
		ssid, err := hex.DecodeString(f.network)
		if err != nil || setup.CheckSSID(ssid) != nil {
			wrong(networkField, says.noNetwork)
		}
		t.network.SSID = ssid
	}
	if len(f.wrong) == 0 {
		security, seen := p.security(t.network.SSID)
		unusable := says.unusable[security]
		switch {
		case unusable != "":
			wrong(networkField, unusable)
		case seen && security == open && f.key != "":
			wrong(keyField, says.keyForOpen)
		case f.key == "" && seen && security != open:
			wrong(keyField, says.noKey)
		case f.key != "":
			key, err := setup.ParseKey(t.network.SSID, f.key)
			if err != nil {
				wrong(keyField, sentence(err))
			}
			t.network.PSK = key
		}
	}
	switch {
	case f.country == other: // what is allowed everywhere
	case !isCountry(f.country):
		wrong(countryField, says.noCountry)
	default:
		t.country = f.country
	}
	if host, err := setup.CheckHostname(f.host); err != nil {
		wrong(hostField, sentence(err))
	} else if host != p.Hostname {
		t.host = host
	}
	switch free := p.Owner.Free(); {
	case !free && f.password == "":
		wrong(passwordField, says.noPassword)
	case free:
		if err := device.CheckPassword(f.password); err != nil {
			wrong(passwordField, sentence(err))
		}
		t.password = f.password
	}
	if p.asksViewing() {
		switch t.viewing = f.viewing; t.viewing {
		case "", "open", "closed":
		default:
			wrong(viewingField, says.noViewing)
		}
	}
	return t
}

// security is what a network wants, if it was seen. Of several with the same name, the
// first counts, which is the strongest.
func (p *Portal) security(ssid []byte) (security string, seen bool) {
	for _, s := range p.Seen {
		if string(s.SSID) == string(ssid) {
			return s.Security, true
		}
	}
	return "", false
}

// apply changes settings into what was typed. The network comes before those that are
// there. hash is that of a new owner's password, or empty.
func (t *typed) apply(s *setup.Settings, hash string) {
	s.Country = t.country
	if t.host != "" {
		s.Hostname = t.host
	}
	if hash != "" {
		s.Password = hash
	}
	if t.viewing != "" {
		s.Viewing = t.viewing
	}
	s.Prefer(t.network)
}

// sentence is an error's text as one.
func sentence(err error) string {
	text := err.Error()
	_, n := utf8.DecodeRuneInString(text)
	return strings.ToUpper(text[:n]) + text[n:] + "."
}
