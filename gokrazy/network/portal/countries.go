//go:build linux

package portal

import (
	_ "embed"
	"strings"
)

// countryLines are those countries that the regulatory database knows, one a line: the
// code of ISO 3166-1, a blank, the name.
//
//go:embed countries.txt
var countryLines string

// countries calls yield with the code and the name of each.
func countries(yield func(code, name string) bool) {
	for line := range strings.Lines(countryLines) {
		code, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !yield(code, name) {
			return
		}
	}
}

func isCountry(code string) bool {
	for c := range countries {
		if c == code {
			return true
		}
	}
	return false
}

// likelyCountry is the one that a browser's language names, as de-AT does; empty if it
// names none. The United States are what browsers name whom nobody has told anything.
func likelyCountry(acceptLanguage string) string {
	first, _, _ := strings.Cut(acceptLanguage, ",")
	first, _, _ = strings.Cut(first, ";")
	parts := strings.Split(strings.TrimSpace(first), "-")
	code := strings.ToUpper(parts[len(parts)-1])
	if len(parts) < 2 || code == "US" || !isCountry(code) {
		return ""
	}
	return code
}
