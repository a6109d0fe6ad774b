package conformance

import (
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
)

// texts is the expression for all that a page says, also to those who hear it.
const texts = `[document.title, document.documentElement.lang, ...[...document.querySelectorAll("body, body *")].filter(e => e.checkVisibility() && !e.matches("script, code")).flatMap(e =>
	[e.getAttribute("aria-label"), e.title, e.placeholder, e.alt, ...[...e.childNodes].filter(n => n.nodeType == Node.TEXT_NODE).map(n => n.data)])]
	.map(text => text?.trim()).filter(Boolean)`

// inBoth is what both languages say the same, or is no word of theirs.
var inBoth = regexp.MustCompile(`^[^\pL]*$|^pushcam|127\.0\.0\.1|^\d+x\d+|Mbit/s|^(live|auto|mjpg|jpeg|Name|Format|Update|Link|Tor|Test pattern)$|^[\d.,]+ s$`)

// In a German browser all that an owner reads on the way is German, what the camera answers,
// too; in an English one it is English.
func TestLanguage(t *testing.T) {
	t.Parallel()
	covers(t, "Chromium", "a German browser: first sight, a wrong password, refused values, all is German")
	said := map[string]map[string][]string{
		"de": visit(t, "de-DE,de", map[string]string{
			"differ": "Die beiden Passwörter sind verschieden: zweimal dasselbe eingeben.",
			"wrong":  "Das ist weder das Passwort der Zuschauer noch das des Besitzers.",
			"hold":   "Sekunden an ohne Zuschauer", "refused": "idle_hold: erlaubt ist 0 bis 86400, nicht -5",
			"sites": "Erlaubte Seiten", "origin": "allow-origin ist „home“: eine Seite ist eine wie https://home.example:8123, ohne Pfad, und nicht „home“",
			"what": "Wofür", "link": "Link machen", "taken": "Es gibt schon einen Link „Tor“; diesen erst widerrufen oder einen anderen Namen nehmen",
		}),
		"en": visit(t, "en-US,en", map[string]string{
			"differ": "The two passwords differ: type the same one twice.",
			"wrong":  "That is neither the viewers' password nor the owner's.",
			"hold":   "Seconds on without viewers", "refused": "idle_hold is from 0 to 86400, not -5",
			"sites": "Sites allowed", "origin": `allow-origin is "home": an origin is one as https://home.example:8123, without a path, and not "home"`,
			"what": "For what", "link": "Make a link", "taken": `There is a token "Tor" already; DELETE it first, or take another name`,
		}),
	}
	for page, german := range said["de"] {
		english := said["en"][page]
		if len(german) < 6 || len(english) < 6 {
			t.Errorf("%s says only %q, and in English %q", page, german, english)
		}
		if !slices.Contains(german, "de") || !slices.Contains(english, "en") {
			t.Errorf("%s is not of the language that it says", page)
		}
		for _, text := range german {
			if slices.Contains(english, text) && !inBoth.MatchString(text) {
				t.Errorf("%s says in both languages: %q", page, text)
			}
		}
	}
}

// visit goes an owner's way in a language, and returns what its pages say, by their names.
func visit(t *testing.T, language string, expected map[string]string) map[string][]string {
	t.Helper()
	tb := newChromium(t, chromedp.Flag("accept-lang", language)).newTab(t).(*chromiumTab)
	said := make(map[string][]string)
	look := func(name string) {
		t.Helper()
		var all []string
		tb.eval(texts, &all)
		said[name] = all
		keep(t, fmt.Sprintf("%s-%.2s.png", name, language), tb.screenshot("body"))
	}
	send := func(fields string) {
		t.Helper()
		var done bool // before the page is left, as the timer has it
		tb.eval(`(Object.entries(`+fields+`).forEach(([name, value]) => { document.getElementsByName(name)[0].value = value; }), setTimeout(() => document.forms[0].requestSubmit()), true)`, &done)
		until(t, tb, `document.querySelector("[role=alert]")`)
	}
	alerted := func(name string) {
		t.Helper()
		until(t, tb, fmt.Sprintf(`document.querySelector("[role=alert]").textContent == %q`, expected[name]))
	}

	tb.open(unowned(t))
	look("welcome")
	send(`{ password: "my own password", again: "another one" }`)
	alerted("differ")
	look("welcome-again")

	p := startOwned(t)
	tb.open(p.url + "/login")
	look("login")
	send(`{ password: "not the password" }`)
	alerted("wrong")
	look("login-again")

	o := logIn(t, tb, p)
	o.set(expected["hold"], "-5")
	until(t, tb, fmt.Sprintf(`%s == %q`, wrong(expected["hold"]), expected["refused"]))
	o.set(expected["sites"], "home")
	until(t, tb, fmt.Sprintf(`%s == %q`, wrong(expected["sites"]), expected["origin"]))
	o.set(expected["what"], "Tor")
	o.press(expected["link"])
	until(t, tb, `document.querySelector("li")?.textContent.includes("Tor")`)
	o.set(expected["what"], "Tor")
	o.press(expected["link"])
	until(t, tb, fmt.Sprintf(`[...document.querySelectorAll(".button .wrong")].some(w => w.textContent == %q)`, expected["taken"]))
	until(t, tb, `document.querySelector("#viewers tbody td")`)
	look("panel")
	return said
}
