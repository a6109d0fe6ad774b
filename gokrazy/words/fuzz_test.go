package words

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whatever is in a sentence, it is said in some way, always the same, and not much longer.
func FuzzSay(f *testing.F) {
	for _, sentence := range []string{
		"", ".", "%1", "a: b; c. d", "No camera: no camera: no camera: no camera: no camera: x.",
		`There is no token with the name "\"%1"`, "Ärger: the card does not answer.", "\xff is \xff, not \xff", ": . ; : . ;  ",
		strings.Repeat("x is x, not ", 100), strings.Repeat("no camera: ", 200),
	} {
		f.Add(sentence)
	}
	for _, t := range newCatalogue(german).templates {
		f.Add(strings.Join(t.parts, "7"))
	}
	f.Fuzz(func(t *testing.T, sentence string) {
		said := German.Say(sentence)
		if said != German.Say(sentence) {
			t.Errorf("%q is said in two ways", sentence)
		}
		if limit := 4*len(sentence) + 100; len(said) > limit {
			t.Errorf("%d bytes become %d: %q", len(sentence), len(said), said)
		}
	})
}

// translated is what JSON does, slowly: with all values that sentences have their names.
func translated(v any, name string) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = translated(value, key)
		}
	case []any:
		for i := range v {
			v[i] = translated(v[i], "")
		}
	case string:
		if spoken[name] {
			return German.Say(v)
		}
	}
	return v
}

func FuzzJSON(f *testing.F) {
	for _, text := range []string{
		`{"error": "no camera: no camera was found yet", "name": "no camera", "n": 1.50}`,
		`{"why": ["no camera"], "x": {"reason": "The card does not answer.\n"}}`,
		`{"\"why": "no camera", "why": null, "trouble":"\u006eo camera"}`,
		`["why", "no camera", {"why" : "no camera", "text": "<b>"}]`,
		`"no camera"`, `"why`, `{"why": "no camera\`, "event: state\ndata: {\"reason\":\"no camera\"}\n\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := German.JSON([]byte(text))
		var before, after any
		if json.Unmarshal([]byte(text), &before) != nil {
			return
		}
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatalf("%q becomes %q: %v", text, got, err)
		}
		if diff := cmp.Diff(translated(before, ""), after); diff != "" {
			t.Errorf("%q becomes %q (-want +got):\n%s", text, got, diff)
		}
		if string(English.JSON([]byte(text))) != text {
			t.Errorf("in English %q changes", text)
		}
	})
}
