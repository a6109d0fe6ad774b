//go:build linux

package portal

import (
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// German has words of its own for all that the page says, and says what is wrong.
func TestGerman(t *testing.T) {
	said := func(language string) (words []string) {
		s := newSite(func(p *Portal) { p.Failure = "The camera looks for its network." })
		code, page := s.submitForm(filled(keyField, "short", hostField, "<b>"), "Accept-Language", language)
		if code != http.StatusUnprocessableEntity || !strings.Contains(page, `<html lang="`+language+`">`) {
			t.Errorf("%d: %s", code, page)
		}
		_, leaving := s.submitForm(filled(), "Accept-Language", language)
		page = regexp.MustCompile(`(?s)<(style|script)>.*?</(style|script)>`).ReplaceAllString(page+leaving, "")
		for _, text := range regexp.MustCompile(`>([^<>]+)<|aria-label="([^"]*)"`).FindAllStringSubmatch(page, -1) {
			words = append(words, strings.TrimSpace(text[1]+text[2]))
		}
		return words
	}
	german, english := said("de"), said("en")
	if len(german) != len(english) || !slices.Contains(german, "„&lt;b&gt;“ kann die Kamera nicht heißen: Ein Name hat bis zu 63 Buchstaben a-z, Ziffern und Bindestriche, wie garten-2.") {
		t.Errorf("in German it says %q", german)
	}
	names := regexp.MustCompile(`^(?:[^a-z]*|Home|Caf.*|eduroam|New|http.*|pushcam.*)$`)
	for _, text := range german {
		isCountry := strings.Contains(countryLines, " "+html.UnescapeString(text)+"\n")
		if slices.Contains(english, text) && !isCountry && !names.MatchString(text) {
			t.Errorf("in both languages it says %q", text)
		}
	}
}
