//go:build linux

package portal

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"strconv"
	"strings"
	"unicode"

	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/gokrazy/words"
)

// The page is for phones that a system opens in a small browser of its own, which may
// run no script, keep no cookie and load nothing else: so all of it is in one answer,
// less than 15 kB of it, and the script is for comfort.
//
// It is written by hand because html/template would make the program larger by a
// quarter: the linker keeps each exported method of a program that uses it.

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

//go:embed countries.js
var countriesScript string

// script is the page's in a language.
func script(l *words.Language) string {
	if l == words.English {
		return l.Page(pageScript)
	}
	return l.Page(pageScript) + countriesScript
}

// maxRows is how many networks the page lists.
const maxRows = 12

// hashOf names a style or a script in a Content-Security-Policy.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// A builder writes a page in a language. What is not of this package goes through add, which
// escapes it.
type builder struct {
	strings.Builder
	language *words.Language
}

// add writes markup, whose own words are in {{ }}, and in which %s stands for texts.
func (b *builder) add(markup string, texts ...string) {
	escaped := make([]any, len(texts))
	for i, t := range texts {
		escaped[i] = html.EscapeString(t)
	}
	fmt.Fprintf(b, b.language.Page(markup), escaped...)
}

func (b *builder) begin(title string) {
	b.add(`<!DOCTYPE html>
<html lang="{{en}}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title>
<link rel="icon" href="data:,">
<style>`, b.language.Say(title))
	b.WriteString(pageStyle)
	b.add("</style>\n<main>\n<h1>%s</h1>\n", b.language.Say(title))
}

func (b *builder) alert(sentence string) {
	if sentence != "" {
		b.add(`<p class="alert" role="alert">%s</p>`+"\n", b.language.Say(sentence))
	}
}

// symbols are what a row shows: a lock, and how strong the network is.
const symbols = `<svg class="defs" aria-hidden="true"><defs>
<path id="lock" d="M5 9V7a5 5 0 0 1 10 0v2h1v9H4V9zm2 0h6V7a3 3 0 0 0-6 0z"/>
<g id="s1"><path d="M29 14h3v5h-3z"/><path opacity=".25" d="M34 10h3v9h-3zM39 6h3v13h-3zM44 1h3v18h-3z"/></g>
<g id="s2"><path d="M29 14h3v5h-3zM34 10h3v9h-3z"/><path opacity=".25" d="M39 6h3v13h-3zM44 1h3v18h-3z"/></g>
<g id="s3"><path d="M29 14h3v5h-3zM34 10h3v9h-3zM39 6h3v13h-3z"/><path opacity=".25" d="M44 1h3v18h-3z"/></g>
<g id="s4"><path d="M29 14h3v5h-3zM34 10h3v9h-3zM39 6h3v13h-3zM44 1h3v18h-3z"/></g>
</defs></svg>
`

// formPage is the page with the form. trouble is a sentence on what is not of one field.
func formPage(p *Portal, l *words.Language, f *form, trouble string) string {
	b := &builder{language: l}
	b.begin("Set up your camera")
	b.add(`<p class="soft">{{Choose the Wi-Fi that the camera is to join. It leaves this network then and goes there.}}</p>` + "\n")
	switch {
	case trouble != "":
		b.alert(trouble)
	case len(f.wrong) > 0:
		b.alert("Something is missing or wrong. Passwords have to be typed again.")
	default:
		b.alert(p.Failure)
	}
	b.WriteString(symbols)
	b.add(`<form method="post" action="/" autocomplete="off">` + "\n")
	b.add("<fieldset><legend>{{Your Wi-Fi}}</legend>\n")
	b.networks(p, f)
	b.secret(f, keyField, "Password of the Wi-Fi", "off", "It is on the router’s label. Leave it empty for a network without one.")
	b.add("</fieldset>\n")
	b.add("<fieldset><legend>{{Your camera}}</legend>\n")
	b.country(f)
	b.text(f, hostField, "Its name", f.host, "You find it as http://"+p.Hostname+".local/ or by another name that you give it.")
	if !p.Owner.Free() {
		b.secret(f, passwordField, "The owner’s password", "current-password", "The one that this camera has already.")
	} else {
		b.secret(f, passwordField, "A password for its owner", "new-password", "Choose one of at least 8 characters: whoever changes the camera’s settings needs it.")
	}
	b.add("</fieldset>\n")
	if p.asksViewing() {
		b.viewing(f)
	}
	b.add(`<button class="go">{{Connect the camera}}</button>` + "\n</form>\n")
	b.add(`<footer><a href="%s">{{See the picture}}</a><p class="soft">{{This page is at %s}}</p></footer>`+"\n</main>\n", cameraURL, pageURL)
	b.add("<script>")
	b.WriteString(script(b.language))
	b.add("</script>\n</html>\n")
	return b.String()
}

// rows are the networks that the page lists.
func (p *Portal) rows() (rows []Seen) {
	listed := make(map[string]bool)
	for _, s := range p.Seen {
		if setup.CheckSSID(s.SSID) == nil && !listed[string(s.SSID)] && len(rows) < maxRows {
			listed[string(s.SSID)] = true
			rows = append(rows, s)
		}
	}
	return rows
}

// choose chooses a network, in the list or as another one.
func (f *form) choose(p *Portal, ssid []byte) {
	for _, s := range p.rows() {
		if string(s.SSID) == string(ssid) {
			if says.unusable[s.Security] == "" {
				f.network = hex.EncodeToString(ssid)
			}
			return
		}
	}
	f.network, f.name = other, text(ssid)
}

func (b *builder) networks(p *Portal, f *form) {
	b.wrong(f, networkField)
	b.add(`<div class="list">` + "\n")
	rows := p.rows()
	for i, s := range rows {
		id, value := "n"+strconv.Itoa(i), hex.EncodeToString(s.SSID)
		why := says.unusable[s.Security]
		b.add("<input type=radio name=network id=%s value=%s", id, value)
		b.flag("checked", value == f.network)
		b.flag("disabled", why != "")
		b.add("><label class=row for=%s><b>%s", id, text(s.SSID))
		if why != "" {
			b.add("<small>%s</small>", b.language.Say(why))
		}
		n, lock := strength(s.Signal), ""
		label := "signal " + n + " of 4"
		if s.Security != open {
			label, lock = label+", with a password", "<use href=#lock />"
		}
		b.add(`</b><svg role=img aria-label="%s">`+lock+"<use href=#s%s /></svg></label>\n", b.language.Say(label), n)
	}
	b.add("<input type=radio name=network id=no value=%s", other)
	b.flag("checked", f.network == other || len(rows) == 0)
	b.add(`><label class="row" for="no"><b>{{Another network}}<small>{{whose name is hidden, or not in this list}}</small></b></label>` + "\n")
	b.add(`<div class="more">`)
	b.text(f, nameField, "Name of the network", f.name, "")
	b.add("</div></div>\n")
}

// strength is how strong a network is, from 1 to 4.
func strength(signal int) string {
	n := 1
	for _, least := range []int{-78, -67, -55} {
		if signal >= least {
			n++
		}
	}
	return strconv.Itoa(n)
}

func (b *builder) country(f *form) {
	b.field(f, countryField, "The country that it is in")
	b.add(`<select id="country" name="country"`)
	b.invalid(f, countryField)
	b.add(`><option value="">{{choose …}}`)
	for code, name := range countries {
		b.add("<option value=%s", code)
		b.flag("selected", code == f.country)
		b.add(">%s", name)
	}
	b.add(`<option value="%s"`, other)
	b.flag("selected", f.country == other)
	b.add(">{{another one}}</select>")
	b.end(f, countryField, "")
}

func (b *builder) viewing(f *form) {
	b.add("<fieldset><legend>{{Who may look?}}</legend>\n")
	b.wrong(f, viewingField)
	b.add("<div class=list>\n<input type=radio name=viewing id=vo value=open")
	b.flag("checked", f.viewing != "closed")
	b.add("><label class=row for=vo><b>{{Everybody on my network}}</b></label>\n<input type=radio name=viewing id=vc value=closed")
	b.flag("checked", f.viewing == "closed")
	b.add("><label class=row for=vc><b>{{Only who knows the password}}</b></label>\n</div></fieldset>\n")
}

func (b *builder) text(f *form, field, label, value, hint string) {
	b.field(f, field, label)
	b.add(`<input id="%s" name="%s" value="%s" maxlength="63" autocapitalize="none" autocorrect="off" spellcheck="false"`, field, field, value)
	b.invalid(f, field)
	b.add(">")
	b.end(f, field, hint)
}

func (b *builder) secret(f *form, field, label, complete, hint string) {
	b.field(f, field, label)
	b.add(`<span class="with"><input type="password" id="%s" name="%s" maxlength="256" autocomplete="%s"`, field, field, complete)
	b.invalid(f, field)
	b.add(`><button type="button" data-for="%s" hidden>{{show}}</button></span>`, field)
	b.end(f, field, hint)
}

func (b *builder) field(f *form, field, label string) {
	b.add(`<div class="field"><label for="%s">%s</label>`+"\n", field, b.language.Say(label))
}

// end ends a field: with what is wrong, or with a hint.
func (b *builder) end(f *form, field, hint string) {
	if f.wrong[field] == "" && hint != "" {
		b.add(`<p class="soft">%s</p>`, b.language.Say(hint))
	}
	b.wrong(f, field)
	b.add("</div>\n")
}

func (b *builder) wrong(f *form, field string) {
	if s := f.wrong[field]; s != "" {
		b.add(`<p class="wrong" id="wrong-%s">%s</p>`, field, b.language.Say(s))
	}
}

// invalid marks a field that something is wrong with.
func (b *builder) invalid(f *form, field string) {
	if f.wrong[field] != "" {
		b.add(` aria-invalid="true" aria-describedby="wrong-%s"`, field)
	}
}

func (b *builder) flag(name string, set bool) {
	if set {
		b.WriteString(" " + name)
	}
}

// leavingPage says where the camera goes, and how to find it.
func leavingPage(p *Portal, l *words.Language, t *taken) string {
	b := &builder{language: l}
	b.begin("The camera is on its way")
	b.alert(t.trouble)
	b.add(`<p>{{It leaves this network now and joins <b>%s</b>, which takes about half a minute.}}</p>
<ol>
<li>{{Bring this phone back to <b>%s</b>, if it does not go there by itself.}}</li>
<li>{{Open}}<br><a class="big" href="http://%s.local/">http://%s.local/</a><br><span class="soft">{{If your phone does not know that name: the router’s page lists the camera as “%s”, with its address.}}</span></li>
</ol>
`, t.network, t.network, t.host, t.host, t.host)
	b.add(`<h2>{{What the camera’s light says}}</h2>
<p><b>{{One short flash every 3 seconds:}}</b> {{it is there and ready.}}</p>
<p><b>{{Two long flashes and a pause:}}</b> {{it has not got in, and its own network <b>%s</b> is there again, after a minute or two. Join that, and its page says why.}}</p>
</main>
</html>
`, p.Network)
	return b.String()
}

// text is a network's name for people: what cannot be shown in it is replaced.
func text(ssid []byte) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(string(ssid), "\uFFFD"))
}
