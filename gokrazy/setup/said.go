package setup

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// Bounds of what is taken from files.
const (
	maxNetworks = 16
	maxFlags    = 100
	maxProblems = 20
	maxValue    = 1 << 10 // bytes
)

// said is what an owner's files say. Where two say something of the same, the first
// counts.
type said struct {
	hostname, country string
	passwords         []secret // of the owner
	viewerPasswords   []secret
	networks          []saidNetwork
	flags             map[string]string
	places            map[string]Place
	flagsKnown        bool // a file that can have flags was read

	problems []Problem
	secrets  []secret // those that merge has taken over, to be overwritten
}

// A secret is one in a file.
type secret struct {
	Place
	value string
	piece // where it stands
}

type saidNetwork struct {
	Place
	ssid     []byte
	password *secret // nil is an open network
	key      *[keySize]byte
	comments []secret // that stand beside it
}

// A reader reads one file.
type reader struct {
	*said
	file string
}

func (r *reader) problem(line int, format string, args ...any) {
	r.said.problem(Place{r.file, line}, format, args...)
}

func (s *said) problem(at Place, format string, args ...any) {
	switch len(s.problems) {
	case maxProblems:
	case maxProblems - 1:
		s.problems = append(s.problems, Problem{Text: "There is more that is wrong; mend this first."})
	default:
		s.problems = append(s.problems, Problem{at.File, at.Line, fmt.Sprintf(format, args...)})
	}
}

// secret is one that stands at p and means value.
func (r *reader) secret(p piece, value string) *secret {
	return &secret{Place{r.file, p.line}, value, p}
}

var hostLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`) // RFC 1123, one label

// CheckHostname returns a host name as it is used, or says in one sentence what is
// wrong with it.
func CheckHostname(name string) (string, error) {
	name = strings.TrimSuffix(strings.ToLower(name), ".local")
	if !hostLabel.MatchString(name) {
		return "", fmt.Errorf("%.70q cannot be the camera's name: it has up to 63 letters a-z, digits and hyphens, as garden-2", name)
	}
	return name, nil
}

// CheckCountry returns a country as the drivers know it, or says in one sentence what
// is wrong with it.
func CheckCountry(text string) (string, error) {
	c := strings.ToUpper(strings.TrimSpace(text))
	if c == "UK" {
		c = "GB"
	}
	if len(c) != 2 || strings.Trim(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "", fmt.Errorf("%.40q is no country: it has two letters, as DE, GB or US", text)
	}
	return c, nil
}

func (r *reader) setHostname(line int, text string) {
	name, err := CheckHostname(text)
	switch {
	case err != nil:
		r.problem(line, "%s.", capital(err.Error()))
	case r.hostname == "":
		r.hostname = name
	}
}

func (r *reader) setCountry(line int, text string) {
	country, err := CheckCountry(text)
	switch {
	case err != nil:
		r.problem(line, "%s.", capital(err.Error()))
	case r.country == "":
		r.country = country
	}
}

const hashedText = "This is a hash of a password, which cannot become the owner's password: write password= in pushcam.txt."

// crypted matches what crypt(5) makes of a password.
var crypted = regexp.MustCompile(`^\$(1|2[abxy]?|5|6|7|y|gy|sha1|md5)\$[^ ]{8,}$`)

// setPassword takes the owner's, or the viewers', to all.
func (r *reader) setPassword(all *[]secret, p *secret) {
	err := device.CheckPassword(p.value)
	switch {
	case p.value == "":
	case crypted.MatchString(p.value):
		r.problem(p.Line, hashedText)
	case err != nil && !p.blanked():
		r.problem(p.Line, "%s.", capital(err.Error()))
	default:
		*all = append(*all, *p)
	}
}

// addNetwork takes one whose name and password were read. password is nil for an open
// network. comments are what else tells the password.
func (r *reader) addNetwork(line int, ssid []byte, password *secret, comments ...secret) {
	n := saidNetwork{Place{r.file, line}, ssid, password, nil, comments}
	err := CheckSSID(ssid)
	if password != nil && err == nil {
		n.Place = password.Place
	}
	if password != nil && err == nil && !password.blanked() {
		n.key, err = ParseKey(ssid, password.value)
	}
	switch {
	case err != nil:
		r.problem(n.Line, "%s.", capital(err.Error()))
	case len(r.networks) == maxNetworks:
		r.problem(line, "There are more than %d networks, and this one is left out.", maxNetworks)
	default:
		r.networks = append(r.networks, n)
	}
}

// kept tells whether the network's key was taken over before.
func (n saidNetwork) kept() bool { return n.password != nil && n.password.blanked() }

// secrets are what is to be overwritten once the network is taken.
func (n saidNetwork) secrets() []secret {
	if n.password == nil {
		return nil
	}
	return append([]secret{*n.password}, n.comments...)
}

func sameKey(a, b *[keySize]byte) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

func (r *reader) setFlag(line int, name, value string) {
	before, again := r.flags[name]
	switch {
	case len(value) > maxValue:
		r.problem(line, "The value of %s is longer than %d bytes.", name, maxValue)
		return
	case again && r.places[name].File != r.file:
		return
	case again && name == "control": // of which there may be several
		value = before + "," + value
	case again:
		r.problem(line, "%s is already set in line %d, and this one is left out.", name, r.places[name].Line)
		return
	case len(r.flags) == maxFlags:
		r.problem(line, "There are more than %d settings, and %s is left out.", maxFlags, name)
		return
	}
	r.flags[name], r.places[name] = value, Place{r.file, line}
}

// capital begins a sentence.
func capital(text string) string {
	for i, r := range text {
		return string(unicode.ToUpper(r)) + text[i+len(string(r)):]
	}
	return text
}
