//go:build linux

package portal

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/gokrazy/words"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A site is a portal's page, and what was submitted there.
type site struct {
	*web
	settings setup.Settings
	submits  int
	err      error // of Submit
}

// An owner is one who has this password; nobody is, if it is empty.
type owner struct {
	password string
	err      error
	late     string // the password of who becomes the owner on another page
}

func (o *owner) Free() bool { return o.password == "" && o.err == nil }

func (o *owner) Verify(password string) (bool, error) {
	if o.late != "" {
		o.password, o.late = o.late, ""
	}
	return password == o.password && password != "", o.err
}

func newSite(change func(*Portal)) *site {
	s := new(site)
	p := &Portal{
		Network: "pushcam-setup-3F2A", Hostname: "pushcam",
		Seen: []Seen{{[]byte("Home"), -48, "WPA2"}, {[]byte("Café"), -66, "open"}, {[]byte("eduroam"), -70, "EAP"}, {[]byte("New"), -71, "WPA3"}, {[]byte("Home"), -80, "open"}, {nil, -81, "WPA2"}},
		Submit: func(change func(*setup.Settings)) error {
			s.submits++
			if s.err == nil || errors.Is(s.err, setup.ErrNotKept) {
				change(&s.settings)
			}
			return s.err
		},
	}
	p.Owner = new(owner)
	if change != nil {
		change(p)
	}
	p.Log = discard
	s.web = newWeb(p)
	return s
}

const home = "486f6d65"

func filled(more ...string) url.Values {
	v := url.Values{networkField: {home}, keyField: {"correct horse"}, countryField: {"DE"}, hostField: {"pushcam"}, passwordField: {"my own password"}}
	for i := 0; i < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return v
}

func (s *site) get(method, to string, header ...string) *http.Response {
	r := httptest.NewRequest(method, to, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

func (s *site) submitForm(values url.Values, header ...string) (code int, page string) {
	r := httptest.NewRequest(http.MethodPost, pageURL, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// checks are what systems ask for, to see whether a network leads to the Internet.
var checks = []string{
	"http://connectivitycheck.gstatic.com/generate_204", "http://clients3.google.com/gen_204", // Android, ChromeOS
	"http://captive.apple.com/hotspot-detect.html", "http://www.apple.com/library/test/success.html", // iOS, macOS
	"http://www.msftconnecttest.com/connecttest.txt", "http://www.msftncsi.com/ncsi.txt", "http://www.msftconnecttest.com/redirect", // Windows
	"http://detectportal.firefox.com/canonical.html", "http://detectportal.firefox.com/success.txt?ipv4",
	"http://nmcheck.gnome.org/check_network_status.txt", "http://network-test.debian.org/nm",
	"http://pushcam.local/", "http://example.com:8080/", "http://4.3.2.1/generate_204", "http://4.3.2.1:81/", "http://[::1]/",
}

func TestCaptiveChecks(t *testing.T) {
	s := newSite(nil)
	for _, u := range checks {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			res := s.get(method, u)
			if res.StatusCode != http.StatusFound || res.Header.Get("Location") != "http://4.3.2.1/" || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: %s to %q", method, u, res.Status, res.Header.Get("Location"))
			}
		}
	}
	for _, u := range []string{"http://4.3.2.1/", "http://4.3.2.1:80/"} {
		if res := s.get("GET", u); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", u, res.Status)
		}
	}
	if res := s.get("DELETE", pageURL); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") == "" {
		t.Errorf("DELETE: %s", res.Status)
	}
}

// Everything is in one answer of less than 15 kB, whatever there is in the air; other languages
// take a little more.
func TestSize(t *testing.T) {
	s := newSite(func(p *Portal) {
		p.Seen = nil
		for i := range 40 {
			p.Seen = append(p.Seen, Seen{fmt.Appendf(nil, "%02d The network of the house %4d", i, i), -60 - i, "WPA2"})
		}
		p.Failure = strings.Repeat("The network is not there. ", 10)
	})
	first := s.first(httptest.NewRequest("GET", pageURL, nil))
	page, other := formPage(s.Portal, words.English, first, ""), formPage(s.Portal, words.German, first, "")
	t.Logf("%d bytes, in German %d", len(page), len(other))
	if len(page) >= 15_000 || len(other) >= 16_000 {
		t.Errorf("the page has %d bytes, and %d in German", len(page), len(other))
	}
	if n := strings.Count(page, "name=network"); n != maxRows+1 {
		t.Errorf("%d networks are listed", n)
	}
}

func TestFirstPage(t *testing.T) {
	for _, c := range []struct {
		name     string
		change   func(*Portal)
		language string
		has      []string
		hasNot   []string
	}{
		{"new", nil, "", []string{"Café", "value=486f6d65><label class=row for=n0><b>Home</b>", "signal 4 of 4, with a password", "A password for its owner", `value="pushcam"`, "Who may look?", "value=open checked"}, []string{"alert", "value=486f6d65 checked", "selected"}},
		{"has an owner", func(p *Portal) { p.Owner = &owner{password: "sesame open"} }, "", []string{"The owner’s password"}, []string{"A password for its owner", "Who may look?"}},
		{"the card says who may look", func(p *Portal) { p.Settings.Flags = map[string]string{"viewing": "open"} }, "", nil, []string{"Who may look?"}},
		{"failed", func(p *Portal) {
			p.Failure = `The password for "Home" is wrong.`
			p.Settings = setup.Settings{Country: "AT", Networks: []setup.Network{{SSID: []byte("Home")}}}
		}, "de-DE", []string{`role="alert">The password for &#34;Home&#34; is wrong.`, home + " checked", "value=AT selected"}, []string{"DE selected"}},
		{"hidden network", func(p *Portal) { p.Settings.Networks = []setup.Network{{SSID: []byte("cellar")}} }, "", []string{"value=other checked", `value="cellar"`}, nil},
		{"nothing is heard", func(p *Portal) { p.Seen = nil }, "", []string{"value=other checked"}, nil},
		{"language", nil, "de-CH,de;q=0.9", []string{"value=CH selected"}, nil},
		{"language of nobody", nil, "en-US,en;q=0.9", nil, []string{"selected"}},
		{"language without a country", nil, "de", nil, []string{"selected"}},
		{"hostile names", func(p *Portal) { p.Seen = []Seen{{[]byte("<script>\xff\n\u202e"), -40, "open"}} }, "", []string{"&lt;script&gt;\uFFFD\uFFFD\uFFFD<"}, []string{"<script>\xff"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(c.change)
			r := httptest.NewRequest("GET", pageURL, nil)
			r.Header.Set("Accept-Language", c.language)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			page := w.Body.String()
			if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, hashOf(pageStyle)) || !strings.Contains(policy, "default-src 'none'") {
				t.Errorf("policy %q", policy)
			}
			_, page, _ = strings.Cut(page, "<main>")
			for _, text := range c.has {
				if !strings.Contains(page, text) {
					t.Errorf("there is no %q in\n%s", text, page)
				}
			}
			for _, text := range c.hasNot {
				if strings.Contains(page, text) {
					t.Errorf("there is %q in\n%s", text, page)
				}
			}
		})
	}
}

func TestSubmit(t *testing.T) {
	key := func(ssid, password string) *[32]byte {
		k, err := setup.ParseKey([]byte(ssid), password)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for _, c := range []struct {
		name   string
		values url.Values
		had    setup.Settings
		want   setup.Settings
	}{
		{"from the list", filled(), setup.Settings{}, setup.Settings{Country: "DE", Networks: []setup.Network{{SSID: []byte("Home"), PSK: key("Home", "correct horse")}}}},
		{"open", filled(networkField, "436166c3a9", keyField, ""), setup.Settings{}, setup.Settings{Country: "DE", Networks: []setup.Network{{SSID: []byte("Café")}}}},
		{"hidden", filled(networkField, "other", nameField, " cellar ", countryField, "other"), setup.Settings{Country: "DE"}, setup.Settings{Networks: []setup.Network{{SSID: []byte("cellar"), PSK: key("cellar", "correct horse")}}}},
		{"another name", filled(hostField, "Garden.local "), setup.Settings{}, setup.Settings{Hostname: "garden", Country: "DE", Networks: []setup.Network{{SSID: []byte("Home"), PSK: key("Home", "correct horse")}}}},
		{"closed", filled(viewingField, "closed"), setup.Settings{Viewing: "open"}, setup.Settings{Country: "DE", Viewing: "closed", Networks: []setup.Network{{SSID: []byte("Home"), PSK: key("Home", "correct horse")}}}},
		{"others stay", filled(), setup.Settings{Hostname: "x", Flags: map[string]string{"fps": "5"}, Networks: []setup.Network{{SSID: []byte("Work"), Priority: 7}, {SSID: []byte("Home"), Priority: 3}}},
			setup.Settings{Hostname: "x", Country: "DE", Flags: map[string]string{"fps": "5"}, Networks: []setup.Network{{SSID: []byte("Home"), PSK: key("Home", "correct horse"), Priority: 8}, {SSID: []byte("Work"), Priority: 7}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(nil)
			s.settings = c.had
			code, page := s.submitForm(c.values, "Origin", "http://4.3.2.1")
			if code != http.StatusOK || s.submits != 1 {
				t.Fatalf("%d, submitted %d times: %s", code, s.submits, page)
			}
			if !strings.HasPrefix(s.settings.Password, "bcrypt-") {
				t.Errorf("the owner's password is %q", s.settings.Password)
			}
			s.settings.Password = ""
			if diff := cmp.Diff(c.want, s.settings); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			name := "pushcam"
			if c.want.Hostname != "" && c.had.Hostname == "" {
				name = c.want.Hostname
			}
			for _, text := range []string{"http://" + name + ".local/", "<b>" + text(c.want.Networks[0].SSID) + "</b>", "pushcam-setup-3F2A"} {
				if !strings.Contains(page, text) {
					t.Errorf("there is no %q in\n%s", text, page)
				}
			}
		})
	}
}

// What is wrong is said at its field; what was typed is still there, but for passwords.
func TestWrong(t *testing.T) {
	owned := func(p *Portal) {
		p.Owner = &owner{password: "sesame open"}
	}
	for _, c := range []struct {
		name   string
		change func(*Portal)
		values url.Values
		field  string
		want   string
	}{
		{"no network", nil, filled(networkField, ""), networkField, says.noNetwork},
		{"no such network", nil, filled(networkField, "xyz"), networkField, says.noNetwork},
		{"a name too long", nil, filled(networkField, strings.Repeat("41", 33)), networkField, says.noNetwork},
		{"a typed name too long", nil, filled(networkField, other, nameField, strings.Repeat("ä", 17)), nameField, "at most 32 bytes"},
		{"no typed name", nil, filled(networkField, other, nameField, "  "), nameField, "The network&#39;s name is missing."},
		{"a company's", nil, filled(networkField, "656475726f616d"), networkField, "It wants a user"},
		{"WPA3", nil, filled(networkField, other, nameField, "New"), networkField, "It is WPA3"},
		{"no password", nil, filled(keyField, ""), keyField, says.noKey},
		{"too short", nil, filled(keyField, "short"), keyField, "at least 8 characters"},
		{"password of an open one", nil, filled(networkField, "436166c3a9"), keyField, says.keyForOpen},
		{"no country", nil, filled(countryField, ""), countryField, says.noCountry},
		{"no such country", nil, filled(countryField, "XX"), countryField, says.noCountry},
		{"no name", nil, filled(hostField, ""), hostField, "cannot be the camera"},
		{"a name with a blank", nil, filled(hostField, "<gar den>"), hostField, "&lt;gar den&gt;"},
		{"no owner's password", nil, filled(passwordField, ""), passwordField, "too short"},
		{"a short owner's password", nil, filled(passwordField, "1234567"), passwordField, "too short"},
		{"nobody may look", nil, filled(viewingField, "nobody"), viewingField, says.noViewing},
		{"not the owner's password", owned, filled(), passwordField, says.wrongPassword},
		{"somebody was faster", func(p *Portal) { p.Owner = &owner{late: "sesame open"} }, filled(), passwordField, says.wrongPassword},
		{"nothing for the owner's password", owned, filled(passwordField, ""), passwordField, "If nobody knows it"},
		{"the owner's password cannot be read", func(p *Portal) {
			p.Owner = &owner{err: errors.New("the card is gone")}
		}, filled(), passwordField, "The card is gone."},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // for the pause after a wrong password
				s := newSite(c.change)
				code, page := s.submitForm(c.values)
				if code != http.StatusUnprocessableEntity || s.submits != 0 {
					t.Errorf("%d, submitted %d times", code, s.submits)
				}
				if n := strings.Count(page, `class="wrong"`); n != 1 || !strings.Contains(page, `id="wrong-`+c.field+`">`) || !strings.Contains(page, c.want) {
					t.Errorf("%d sentences, want one for %s with %q in\n%s", n, c.field, c.want, page)
				}
				for _, field := range []string{keyField, passwordField} {
					if secret := c.values.Get(field); secret != "" && strings.Contains(page, secret) {
						t.Errorf("%s comes back: %s", field, page)
					}
				}
				if c.field != countryField && !strings.Contains(page, "value=DE selected") {
					t.Error("the country is forgotten")
				}
			})
		})
	}
	t.Run("the owner's", func(t *testing.T) {
		s := newSite(owned)
		if code, page := s.submitForm(filled(passwordField, "sesame open")); code != http.StatusOK || s.submits != 1 || s.settings.Password != "" {
			t.Errorf("%d, %q: %s", code, s.settings.Password, page)
		}
	})
}

// A wrong owner's password costs its time, and one at a time is compared.
func TestGuesses(t *testing.T) {
	t.Attr("fault", "abuse | the owner's password is guessed at the set-up page | one at a time, and slowly | –")
	synctest.Test(t, func(t *testing.T) {
		s := newSite(func(p *Portal) { p.Owner = &owner{password: "sesame open"} })
		began := time.Now()
		done := make(chan int)
		for range 5 {
			go func() { code, _ := s.submitForm(filled()); done <- code }()
		}
		for range 5 {
			if code := <-done; code != http.StatusUnprocessableEntity {
				t.Errorf("answered %d", code)
			}
		}
		if took := time.Since(began); took != 5*guessPause {
			t.Errorf("five guesses took %v", took)
		}
	})
}

func TestForeign(t *testing.T) {
	s := newSite(nil)
	for name, header := range map[string][]string{
		"another site":                     {"Origin", "http://evil.example"},
		"another site, as Chromium says":   {"Sec-Fetch-Site", "cross-site", "Origin", "http://4.3.2.1"},
		"a page without an origin":         {"Origin", "null"},
		"the camera's page beside this":    {"Origin", "http://4.3.2.2"},
		"the same address at another port": {"Origin", "http://4.3.2.1:81"},
	} {
		if code, page := s.submitForm(filled(), header...); code != http.StatusForbidden || !strings.Contains(page, says.foreign) {
			t.Errorf("%s: %d %s", name, code, page)
		}
	}
	for name, c := range map[string]struct {
		body, kind string
		want       int
	}{
		"too long":       {"network=" + strings.Repeat("a", maxForm), "application/x-www-form-urlencoded", http.StatusRequestEntityTooLarge},
		"nothing":        {"", "application/x-www-form-urlencoded", http.StatusBadRequest},
		"broken":         {"network=%zz", "application/x-www-form-urlencoded", http.StatusBadRequest},
		"another form's": {"network=" + home, "multipart/form-data; boundary=x", http.StatusBadRequest},
		"JSON":           {"{}", "application/json", http.StatusBadRequest},
	} {
		r := httptest.NewRequest("POST", pageURL, strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.kind)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != c.want || !strings.Contains(w.Body.String(), says.notForm) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if s.submits != 0 {
		t.Error("submitted")
	}
}

// Who touches the button twice gets the same answer twice, and so does who loads the
// page again. If the camera has not left by then, there is the form again.
func TestTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil)
		_, first := s.submitForm(filled())
		code, second := s.submitForm(filled(networkField, ""))
		if code != http.StatusOK || first != second || s.submits != 1 {
			t.Errorf("%d, submitted %d times:\n%s", code, s.submits, second)
		}
		if res := s.get("GET", pageURL); res.ContentLength != int64(len(first)) {
			t.Errorf("loaded again: %s, %d bytes", res.Status, res.ContentLength)
		}
		time.Sleep(leaving + 1)
		if res := s.get("GET", pageURL); res.ContentLength == int64(len(first)) {
			t.Error("there is no form any more")
		}
		if s.submitForm(filled()); s.submits != 2 {
			t.Errorf("submitted %d times", s.submits)
		}
	})
}

// The camera goes to a network that it cannot keep, and says that; one that it does not
// take at all is said on the form.
func TestNotKept(t *testing.T) {
	s := newSite(nil)
	s.err = fmt.Errorf("%w: no room", setup.ErrNotKept)
	if code, page := s.submitForm(filled()); code != http.StatusOK || !strings.Contains(page, "could not keep this: The settings last only until the power goes: no room.") {
		t.Errorf("%d %s", code, page)
	}
	s = newSite(nil)
	s.err = errors.New("the settings are damaged")
	if code, page := s.submitForm(filled()); code != http.StatusInternalServerError || !strings.Contains(page, "could not take this: The settings are damaged.") {
		t.Errorf("%d %s", code, page)
	}
}

// The list of countries is that of the regulatory database in the image, which has the
// last word (wireless-regdb, db2fw.py: behind the header, an entry of four bytes for
// each, which begins with its two letters).
func TestCountries(t *testing.T) {
	db, err := os.ReadFile("../wpa/regulatory.db")
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for entry := db[8:]; entry[2] != 0 || entry[3] != 0; entry = entry[4:] {
		if code := string(entry[:2]); code != "00" && code != "AN" { // the world, and the Netherlands Antilles that were
			known[code] = true
		}
	}
	listed := make(map[string]bool)
	for code, name := range countries {
		if listed[code] || name == "" {
			t.Errorf("%s is listed twice, or has no name", code)
		}
		listed[code] = true
	}
	if diff := cmp.Diff(known, listed); diff != "" {
		t.Errorf("(-the database +countries.txt):\n%s", diff)
	}
}

// Whatever comes in a form, what is submitted is a network that can be joined, and no
// secret comes back.
func FuzzForm(f *testing.F) {
	f.Add(filled().Encode())
	f.Add(filled(networkField, other, nameField, "cellar\xff", countryField, other).Encode())
	f.Add(filled(networkField, "436166c3a9", keyField, "").Encode())
	f.Add(filled(keyField, strings.Repeat("0f", 32), hostField, "Garden.local").Encode())
	f.Add("network=486f6d65&network=other&key=%00&password=%0a")
	f.Add("")
	f.Fuzz(func(t *testing.T, body string) {
		values, err := url.ParseQuery(body)
		if err != nil || len(body) > maxForm {
			return
		}
		s := newSite(nil)
		form := read(values)
		got := s.check(form)
		if len(form.wrong) > 0 {
			page := formPage(s.Portal, words.English, form, "")
			if secret := form.key; len(secret) > 20 && secret != form.name && secret != form.host && strings.Contains(page, secret) {
				t.Errorf("the password %q comes back", secret)
			}
			return
		}
		var settings setup.Settings
		got.apply(&settings, "")
		n := settings.Networks[0]
		if len(settings.Networks) != 1 || setup.CheckSSID(n.SSID) != nil || (settings.Country != "") != isCountry(settings.Country) {
			t.Errorf("%q is %+v", body, settings)
		}
		if _, err := setup.CheckHostname("a" + settings.Hostname); err != nil && len(settings.Hostname) < 63 {
			t.Errorf("%q names the camera %q", body, settings.Hostname)
		}
	})
}

// A network that is typed takes none away that the card's file has, of which there may be 16.
func TestApply(t *testing.T) {
	var s setup.Settings
	for i := range 12 {
		s.Prefer(setup.Network{SSID: []byte{byte('a' + i)}})
	}
	typed := &typed{network: setup.Network{SSID: []byte("home")}}
	if typed.apply(&s, ""); len(s.Networks) != 13 || string(s.Networks[0].SSID) != "home" {
		t.Errorf("%d networks, and the first is %q", len(s.Networks), s.Networks[0].SSID)
	}
}
