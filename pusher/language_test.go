package pusher

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

const german = "Accept-Language: de-DE,de;q=0.9,en;q=0.8"

// The pages without a script and the sentences that go with them are in the language of the
// browser, and what was typed is in them as it was typed, and escaped.
func TestPagesInGerman(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var chosen atomic.Value
		r := newRig(t, withoutOwner(&chosen))
		expect := func(a answer, code int, says ...string) {
			t.Helper()
			if a.Code != code || a.Header.Get("Content-Language") != "de" || !slices.Contains(a.Header.Values("Vary"), "Accept-Language") {
				t.Errorf("%d, in %q, varies by %q; want %d", a.Code, a.Header.Get("Content-Language"), a.Header.Values("Vary"), code)
			}
			for _, s := range says {
				if !strings.Contains(a.Body, s) {
					t.Errorf("it does not say %q: %s", s, a.Body)
				}
			}
			if strings.Contains(a.Body, "{{") || strings.Contains(a.Body, "}}") {
				t.Errorf("words are not found: %s", a.Body)
			}
		}
		expect(r.do("GET", "/", german), 200, `<html lang="de">`, "<title>pushcam: willkommen</title>", "Noch einmal <input", "Wer darf zusehen?", "Das Livebild")
		expect(r.post("short", "short", german), 422, `<p role="alert">Nicht angenommen: it is &lt;short&gt;.</p>`)
		expect(r.do("GET", "/<b>", german), 404, "Unter „/<b>“ gibt es nichts; die Kamera ist unter /\n")
		expect(r.do("GET", "/<b>", german, "Accept: application/json"), 404, `{`, `"error": "Unter „/\u003cb\u003e“ gibt es nichts`)
		expect(r.ask("pushcam.local", "/own", german), 403, "Diese Kamera hat noch keinen Besitzer")
		if a := r.do("GET", "/"); !strings.Contains(a.Body, `<html lang="en">`) || !strings.Contains(a.Body, "The same again <input") || a.Header.Get("Content-Language") != "en" {
			t.Errorf("who names no language gets %s", a.Body)
		}
		r.post("a good password", "a good password", german)
		expect(r.do("GET", "/login", german), 200, "<h1>Anmelden.</h1>", "<button>Anmelden</button>", "Passwort <input")
		expect(r.form("POST", "/login", map[string][]string{"password": {"wrong"}}, german), 401, "Das ist weder das Passwort der Zuschauer noch das des Besitzers.")
	})
}

// What the page shows of the state is in its language; names in it are not.
func TestStateInGerman(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *Server) {
			s.State = map[string]func() any{"camera": func() any {
				return map[string]string{"reason": "no camera: there is no /dev/video*", "name": "no camera"}
			}}
		})
		a := r.do("GET", "/state?viewer=nobody", german)
		for _, s := range []string{`"reason": "keine Kamera: es gibt kein video*"`, `"name": "no camera"`, `"error": "Kein offener Strom heißt „nobody“; /state zählt alle Zuschauer auf"`} {
			if !strings.Contains(a.Body, s) {
				t.Errorf("the state has no %s: %s", s, a.Body)
			}
		}
		if a := r.do("GET", "/state?viewer=nobody"); !strings.Contains(a.Body, `"reason": "no camera: there is no video*"`) {
			t.Errorf("in English: %s", a.Body)
		}
	})
}
