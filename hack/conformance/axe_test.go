package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// axeVersion of axe-core is what npm fetches.
const axeVersion = "4.11.1"

// axe-core looks at all pages, light and dark, for what people who see or move differently cannot
// use: names, contrast, order, what the keyboard does not reach.
func TestAccessibility(t *testing.T) {
	need(t, "npm")
	tb := chromiumAlone(t, "axe-core "+axeVersion+" finds nothing on any page, light and dark", "")
	dir := t.TempDir()
	for tries := 1; ; tries++ { // a registry may be away for a moment
		said, err := exec.CommandContext(t.Context(), "npm", "pack", "--silent", "--pack-destination", dir, "axe-core@"+axeVersion).CombinedOutput()
		if err == nil {
			break
		}
		if tries == 3 {
			missing(t, fmt.Sprintf("axe-core, which npm does not fetch (%v: %s),", err, said))
		}
	}
	command(t, "tar", "-xzf", filepath.Join(dir, "axe-core-"+axeVersion+".tgz"), "-C", dir, "package/axe.min.js")
	axe, err := os.ReadFile(filepath.Join(dir, "package", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	p, closed := startOwned(t, "-size", "320x240"), startClosed(t)
	o := logIn(t, tb, p)
	o.begin("Seconds on without viewers", "-5")
	o.finish("Seconds on without viewers")
	fill := func(values string) string {
		return `(Object.entries(` + values + `).forEach(([id, value]) => { document.getElementById(id).value = value; }), setTimeout(() => document.forms[0].requestSubmit()), true)`
	}
	for _, page := range []struct{ url, ready, then string }{ // without a url it is what has become of the page before
		{"", wrong("Seconds on without viewers") + ` != "" && document.querySelector("#viewers tbody td")`, ""},
		{p.url + "/", `document.getElementById("word")?.textContent == "live" && (document.getElementById("adjust").open = true)`, ""},
		{p.url + "/view?label=Door", `document.getElementById("picture")?.width > 0`, ""},
		{p.url + "/wall?cam=" + p.url, `document.querySelector("#tiles img")?.naturalWidth > 0`, ""},
		{p.url + "/login", `document.querySelector("[name=password]")`, ""},
		{closed.url + "/", `document.querySelector("[name=password]")`, ""},
		{unowned(t), `document.querySelector("[name=viewing]")`, ""},
		{setUpSite(t), `document.querySelector("[role=alert]")`, fill(`{ country: "DE", key: "short" }`)},
		{"", `document.getElementById("wrong-key")`, fill(`{ key: "correct horse", password: "my own password" }`)},
		{"", `document.querySelector(".big")`, ""},
	} {
		if page.url != "" {
			tb.open(page.url)
		}
		until(t, tb, page.ready)
		for _, scheme := range []string{"light", "dark"} {
			if _, err := chromedp.Call(tb.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
				t.Fatal(err)
			}
			var text string
			tb.eval(fmt.Sprintf(`(() => { %s; return axe.run().then(r => JSON.stringify([r.violations.flatMap(v => v.nodes.map(n => v.id + ": " + n.html + " " + n.failureSummary)), r.passes.length])); })()`, axe), &text)
			var found []any
			if err := json.Unmarshal([]byte(text), &found); err != nil || len(found) != 2 {
				t.Fatalf("axe says %.200q, %v", text, err)
			}
			if passes := found[1].(float64); passes < 5 {
				t.Errorf("%s: axe has looked at %v rules only", page.url, passes)
			}
			for _, v := range found[0].([]any) {
				t.Errorf("%s (%s), %s: %v", page.url, page.ready, scheme, v)
			}
		}
		if page.then != "" {
			var done bool
			tb.eval(page.then, &done)
		}
	}
}
