package pusher

import (
	"path"
	"regexp"
	"slices"
	"testing"
)

// Quotes go only where an attribute means the same without them, and nowhere from a text that
// is to be translated.
func TestPagesAreSentWithoutQuotes(t *testing.T) {
	for line, want := range map[string]string{
		`<p id="none" hidden data-text="none"></p>`:       `<p id=none hidden data-text=none></p>`,
		`<img src="stream" alt="{{The live picture}}">`:   `<img src=stream alt="{{The live picture}}">`,
		`<circle cx="16" cy="8" r="2.6"/>`:                `<circle cx=16 cy=8 r="2.6"/>`,
		`<link rel="icon" href="data:,">`:                 `<link rel=icon href="data:,">`,
		`<a href="./" class="main small">`:                `<a href="./" class="main small">`,
		`<input name="a" value="">`:                       `<input name=a value="">`,
		`<meta name="viewport" content="width=100, x=1">`: `<meta name=viewport content="width=100, x=1">`,
	} {
		if got := string(sentAs("a.html", []byte(line))); got != want+"\n" {
			t.Errorf("%s is sent as %s, want %s", line, got, want)
		}
	}
	texts := regexp.MustCompile(`(?s){{.*?}}`)
	for name, content := range allWebFiles(t) {
		if path.Ext(name) == ".html" && !slices.Equal(texts.FindAllString(string(content), -1), texts.FindAllString(string(webFile(name)), -1)) {
			t.Errorf("the texts of %s are sent as %q", name, texts.FindAllString(string(webFile(name)), -1))
		}
	}
}
