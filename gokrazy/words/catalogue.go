package words

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of the work that a sentence makes: names and paths in it may be a stranger's.
const (
	maxSentence = 2 << 10 // bytes; a longer one is not translated
	maxDepth    = 4       // of sentences within sentences
	maxCuts     = 4       // where two sentences may meet
)

// A catalogue has the sentences of a language.
type catalogue struct {
	whole     map[string]string // those without places, by the English ones
	templates []template        // the others, those with the most words of their own first
}

// A template is a sentence with places, as %1, in which something else stands each time.
type template struct {
	parts       []string // of English, what is between the places
	translation string
}

// newCatalogue reads a file of words: a line in English, a line of its translation, and an
// empty one. A line that begins with # is a comment. The full stops at the ends of both do
// not count: see one.
func newCatalogue(text string) *catalogue {
	c := &catalogue{whole: make(map[string]string)}
	english := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" || line[0] == '#':
		case english == "":
			english = line
		default:
			english, line = strings.TrimSuffix(english, "."), strings.TrimSuffix(line, ".")
			if parts := between(english); len(parts) > 1 {
				c.templates = append(c.templates, template{parts, line})
			} else {
				c.whole[english] = line
			}
			english = ""
		}
	}
	own := func(t template) int { return len(strings.Join(t.parts, "")) }
	slices.SortStableFunc(c.templates, func(a, b template) int { return cmp.Compare(own(b), own(a)) })
	return c
}

// place is the number of the place at the beginning of text; 0 if there is none.
func place(text string) int {
	if len(text) > 1 && text[0] == '%' && text[1] >= '1' && text[1] <= '9' {
		return int(text[1] - '0')
	}
	return 0
}

// between are the parts of an English sentence that are not places.
func between(english string) (parts []string) {
	begin := 0
	for i := range english {
		if place(english[i:]) > 0 {
			parts = append(parts, english[begin:i])
			begin = i + 2
		}
	}
	return append(parts, english[begin:])
}

// say translates a sentence, and what stands in its places down to a depth.
func (c *catalogue) say(sentence string, depth int) string {
	if depth == 0 || sentence == "" {
		return sentence
	}
	if behind, ok := strings.CutPrefix(sentence, " "); ok {
		return " " + c.say(behind, depth-1)
	}
	if said, ok := c.one(sentence, depth); ok {
		return said
	}
	// It may be two: an error and what it wraps, or one after the other.
	end := 0
	for range maxCuts {
		i := strings.IndexAny(sentence[end:], ".:;")
		if i < 0 {
			break
		}
		end += i + 1
		rest, more := strings.CutPrefix(sentence[end:], " ")
		if !more {
			continue
		}
		first, mark := sentence[:end-1], sentence[end-1:end+1]
		if said, ok := c.one(first, depth); ok {
			return said + mark + c.say(rest, depth-1)
		}
	}
	return sentence
}

// one translates what is one sentence of the catalogue, as it is there, or with a capital
// letter and a full stop. That its translation has then, too.
func (c *catalogue) one(sentence string, depth int) (said string, ok bool) {
	words, stop := strings.CutSuffix(sentence, ".")
	first, n := utf8.DecodeRuneInString(words)
	said, ok = c.exactly(words, depth)
	if !ok && unicode.IsUpper(first) {
		said, ok = c.exactly(string(unicode.ToLower(first))+words[n:], depth)
	}
	if ok && unicode.IsUpper(first) {
		first, n := utf8.DecodeRuneInString(said)
		said = string(unicode.ToUpper(first)) + said[n:]
	}
	if stop {
		said += "."
	}
	return said, ok
}

func (c *catalogue) exactly(sentence string, depth int) (said string, ok bool) {
	if said, ok := c.whole[sentence]; ok {
		return said, true
	}
	for _, t := range c.templates {
		if places, ok := t.match(sentence); ok {
			return c.fill(t, places, depth), true
		}
	}
	return "", false
}

// match finds what stands in a template's places. Each part is looked for once, behind the
// one before it: if the sentence can be divided so at all, it can with the first of each.
func (t *template) match(sentence string) (places []string, ok bool) {
	last := len(t.parts) - 1
	rest, ok := strings.CutPrefix(sentence, t.parts[0])
	if !ok || !strings.HasSuffix(rest, t.parts[last]) {
		return nil, false
	}
	rest = rest[:len(rest)-len(t.parts[last])]
	for _, part := range t.parts[1:last] {
		var here string
		if here, rest, ok = strings.Cut(rest, part); !ok {
			return nil, false
		}
		places = append(places, here)
	}
	return append(places, rest), true
}

// fill is a template's translation with its places. What stands there in quotation marks is a
// name, and stays as it is.
func (c *catalogue) fill(t template, places []string, depth int) string {
	var said strings.Builder
	for text := t.translation; text != ""; {
		n := place(text)
		if n == 0 {
			next := strings.IndexByte(text[1:], '%') + 1
			if next == 0 {
				next = len(text)
			}
			said.WriteString(text[:next])
			text = text[next:]
			continue
		}
		text = text[2:]
		here := places[n-1]
		if strings.HasSuffix(t.parts[n-1], `"`) {
			said.WriteString(here)
		} else {
			said.WriteString(c.say(here, depth-1))
		}
	}
	return said.String()
}
