package words

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		accepts string
		want    *Language
	}{
		{"", English},
		{"de", German},
		{"DE-at", German},
		{"de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", German},
		{"en-US,en;q=0.9,de;q=0.8", English},
		{"fr, de;q=0.5, en;q=0.4", German},
		{"en;q=0.3, de ; q=0.7", German},
		{"de;q=0, en;q=0.1", English},
		{"de;q=0", English},
		{"den", English},
		{"fr,*", English},
		{"de;q=NaN", English},
		{"de;q=", English},
		{"de;level=1", English},
		{";;,,;", English},
		{strings.Repeat("fr,", maxWishes) + "de", English},
	} {
		if got := Of(tt.accepts); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.accepts, got.Tag, tt.want.Tag)
		}
	}
}

func TestFor(t *testing.T) {
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	r.Header.Add("Accept-Language", "fr")
	r.Header.Add("Accept-Language", "de;q=0.5")
	w.Header().Set("Vary", "Origin")
	For(w, r)
	if l := For(w, r); l != German {
		t.Errorf("it is %s", l.Tag)
	}
	want := map[string][]string{"Content-Language": {"de"}, "Vary": {"Origin", "Accept-Language"}}
	if diff := cmp.Diff(want, map[string][]string(w.Header())); diff != "" {
		t.Errorf("the header (-want +got):\n%s", diff)
	}
}

func TestSay(t *testing.T) {
	long := strings.Repeat("x", maxSentence)
	for _, tt := range []struct{ name, english, want string }{
		{"a sentence", "This camera is closed.", "Diese Kamera ist geschlossen."},
		{"unknown", "Nobody has translated this: not yet.", "Nobody has translated this: not yet."},
		{"nothing", "", ""},
		{"a place", "the password is too short: it takes at least 8 characters", "das Passwort ist zu kurz: Es braucht mindestens 8 Zeichen"},
		{"a capital letter and a full stop", "The password is too short: it takes at least 8 characters.", "Das Passwort ist zu kurz: Es braucht mindestens 8 Zeichen."},
		{"an error that is wrapped", "no camera: /dev/video0 (Cam) was unplugged", "keine Kamera: /dev/video0 (Cam) wurde abgezogen"},
		{"with what nobody translates", "keep the password: write /perm: input/output error", "das Passwort lässt sich nicht merken: write /perm: input/output error"},
		{"a sentence in a place", "the update to 2 was rolled back: it is well only now and then", "das Update auf 2 wurde zurückgenommen: es läuft nur hin und wieder gut"},
		{"one after the other", `No network called "x.y" is heard. There are "a" and 2 more.`, `Kein Netz mit dem Namen „x.y“ ist zu hören. Es gibt "a" und 2 mehr.`},
		{"a list of choices", "format is one of [mjpg jpeg], not png", "format: erlaubt ist eines von [mjpg jpeg], nicht png"},
		{"bounds", "bitrate is from 1 to 100, not 101", "bitrate: erlaubt ist 1 bis 100, nicht 101"},
		{"a kind", `fps is a number, not "many"`, "fps: erlaubt ist eine Zahl, nicht „many“"},
		{"the closer one of two", "max-viewers is at most 5 here, for which the memory is enough, and not 9", "max-viewers ist hier höchstens 5, dafür reicht der Speicher, und nicht 9"},
		{"a name that is a sentence", `There is no token with the name "This camera is closed."`, "Es gibt keinen Link mit dem Namen „This camera is closed.“"},
		{"a name with the words around it", `There is a token "a" already; DELETE it first, or take another name" already; DELETE it first, or take another name`,
			"Es gibt schon einen Link „a\" already; DELETE it first, or take another name“; diesen erst widerrufen oder einen anderen Namen nehmen"},
		{"a name with a place", `There is no token with the name "%1 %2"`, "Es gibt keinen Link mit dem Namen „%1 %2“"},
		{"too long", "keep the password: " + long, "keep the password: " + long},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := German.Say(tt.english); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if got := English.Say(tt.english); got != tt.english {
				t.Errorf("in English it is %q", got)
			}
		})
	}
}

func TestPage(t *testing.T) {
	const page = `<html lang="{{en}}"><p>{{The camera's live picture}} <!-- mark --> {{`
	if got, want := German.Page(page), `<html lang="de"><p>Das Livebild der Kamera <!-- mark --> `; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := English.Page(page), `<html lang="en"><p>The camera's live picture <!-- mark --> `; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// What a stranger has typed is in the sentence, and is escaped once.
func TestAlert(t *testing.T) {
	got := German.Alert(`"<b>" cannot be the camera's name: it has up to 63 letters a-z, digits and hyphens, as garden-2`)
	want := `<p role="alert">„&lt;b&gt;“ kann die Kamera nicht heißen: Ein Name hat bis zu 63 Buchstaben a-z, Ziffern und Bindestriche, wie garten-2</p>`
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := German.Alert(""); got != "" {
		t.Errorf("nothing is %q", got)
	}
}

// The most that a stranger can make of one sentence.
func BenchmarkSay(b *testing.B) {
	for name, sentence := range map[string]string{
		"usual":   "There is no token with the name \"garden\"",
		"unknown": "Nobody has translated this",
		"hostile": strings.Repeat("no camera: x is x, not ", maxSentence/23),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				German.Say(sentence)
			}
		})
	}
}
