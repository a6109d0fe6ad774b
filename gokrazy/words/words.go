// Package words is what the programs say to people, in their language. All is written in
// English where it arises, and translated at the door through which it goes out, by one file
// per language that has each sentence with its translation.
package words

import (
	_ "embed"
	"html"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed de.txt
var german string

// A Language is one of those that people are answered in.
type Language struct {
	// Tag is what HTML and HTTP call it (BCP 47).
	Tag string

	sentences func() *catalogue // nil: it is that in which all is written
	pages     sync.Map          // from a page as it is written to the page as it is sent
}

var (
	English = &Language{Tag: "en"}
	German  = &Language{Tag: "de", sentences: sync.OnceValue(func() *catalogue { return newCatalogue(german) })}
)

// Languages are all, as pusher/web/words.js has them.
var Languages = []*Language{English, German}

// maxWishes is how many languages of a request are looked at.
const maxWishes = 16

// Of is the language that Accept-Language (RFC 9110, 12.5.4) likes best, as the pages' scripts
// choose it: a program that names none hears English.
func Of(acceptLanguage string) *Language {
	chosen, best := English, 0.0
	for range maxWishes {
		var wish string
		wish, acceptLanguage, _ = strings.Cut(acceptLanguage, ",")
		tag, weight, weighed := strings.Cut(wish, ";")
		primary, _, _ := strings.Cut(strings.TrimSpace(tag), "-")
		i := slices.IndexFunc(Languages, func(l *Language) bool { return strings.EqualFold(l.Tag, primary) })
		q := 1.0
		if weighed {
			var err error
			if q, err = strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64); err != nil {
				q = 0
			}
		}
		if i >= 0 && q > best {
			chosen, best = Languages[i], q
		}
	}
	return chosen
}

// For is the language of who asks, which the answer's header then names.
func For(w http.ResponseWriter, r *http.Request) *Language {
	l, h := Of(strings.Join(r.Header.Values("Accept-Language"), ",")), w.Header()
	h.Set("Content-Language", l.Tag)
	if !slices.Contains(h.Values("Vary"), "Accept-Language") {
		h.Add("Vary", "Accept-Language")
	}
	return l
}

// Say is an English sentence in the language. One that is not known stays as it is.
func (l *Language) Say(sentence string) string {
	if l.sentences == nil || len(sentence) > maxSentence {
		return sentence
	}
	return l.sentences().say(sentence, maxDepth)
}

// Error answers as http.Error does, in the language of who asks.
func Error(w http.ResponseWriter, r *http.Request, sentence string, code int) {
	http.Error(w, For(w, r).Say(sentence), code)
}

// Page is a page, or a piece of one, with its texts in the language: they stand in {{ }}. It
// is made once, so page must be one that is built in; what else comes into a page, comes
// later.
func (l *Language) Page(page string) string {
	if made, ok := l.pages.Load(page); ok {
		return made.(string)
	}
	var made strings.Builder
	rest, more := page, true
	for more {
		var markup, text string
		markup, rest, more = strings.Cut(rest, "{{")
		made.WriteString(markup)
		if more {
			text, rest, _ = strings.Cut(rest, "}}")
			made.WriteString(l.Say(text))
		}
	}
	l.pages.Store(page, made.String())
	return made.String()
}

// Alert is a paragraph of a page that says what is wrong; nothing without a sentence.
func (l *Language) Alert(sentence string) string {
	if sentence == "" {
		return ""
	}
	return `<p role="alert">` + html.EscapeString(l.Say(sentence)) + "</p>"
}
