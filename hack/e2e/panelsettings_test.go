//go:build linux

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/pushcam/pushcam/camera"
)

// testPanelSettings has the owner change on its page what is seen elsewhere: at the camera,
// by viewers, on pages of other sites, in the log.
func testPanelSettings(t *testing.T, tb *tab) {
	tb.open(t, tb.m.url+"/panel")
	tb.logIn(t, password)
	tb.until(t, moves)
	t.Run("a diagnosis is copied", func(t *testing.T) { testPanelCopy(t, tb) })
	t.Run("always on", func(t *testing.T) { testPanelAlwaysOn(t, tb) })
	t.Run("viewers at most", func(t *testing.T) { testPanelMost(t, tb) })
	t.Run("sites allowed", func(t *testing.T) { testPanelSites(t, tb) })
	t.Run("also called", func(t *testing.T) { testPanelCalled(t, tb) })
	t.Run("log", func(t *testing.T) { testPanelLog(t, tb) })
	tb.logOut(t)
}

func testPanelAlwaysOn(t *testing.T, tb *tab) {
	const hold, always = "Seconds on without viewers", "Always on"
	m := tb.m
	unwatched := func(what string, more uint64) (frames uint64) {
		t.Helper()
		s := m.is(t, what, func(s state) bool {
			return len(s.Viewers) == 0 && s.Camera.Phase == camera.Idle && s.Camera.Frames >= more
		})
		return s.Camera.Frames
	}
	tb.set(t, hold, "0")
	tb.until(t, input(always)+`.click() === undefined`)
	m.kept(t, map[string]any{"idle_hold": 0.0, "always_on": true})
	tb.open(t, "about:blank")
	unwatched("a camera that runs for nobody", unwatched("nobody who watches", 0)+fps)

	tb.open(t, m.url+"/panel")
	tb.until(t, input(always)+`?.checked && `+input(always)+`.click() === undefined`)
	m.kept(t, map[string]any{"always_on": false})
	tb.open(t, "about:blank")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := m.cam.Stopped(ctx); err != nil {
		t.Errorf("the webcam goes on for nobody, although it is not to be always on: %v", err)
	}

	tb.open(t, m.url+"/panel")
	tb.reset(t, hold)
	tb.reset(t, always)
	m.kept(t, map[string]any{"idle_hold": 10.0, "always_on": false})
	tb.until(t, moves)
}

// testPanelMost has the owner bound the viewers. An address may have half of the places, and
// the page itself has the first.
func testPanelMost(t *testing.T, tb *tab) {
	const most = "Viewers at most"
	m := tb.m
	tb.set(t, most, "2")
	m.kept(t, map[string]any{"max_viewers": 2.0})
	code, _, said, err := m.get("/stream", getTimeout)
	if err != nil || code != http.StatusServiceUnavailable || !strings.Contains(string(said), "1 of the 2 places") {
		t.Errorf("a viewer more than there may be: status %d, %v: %.200q", code, err, said)
	}
	tb.reset(t, most)
	m.stream(t).await(t, true)
	tb.until(t, moves)
}

// testPanelSites has the owner name a site whose scripts then read the state.
func testPanelSites(t *testing.T, tb *tab) {
	const sites = "Sites allowed"
	m, page := tb.m, tb.another(t)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "another site") }))
	t.Cleanup(site.Close)
	page.open(t, site.URL)
	reads := func(want string) {
		t.Helper()
		got := run(t, page, chromedp.Evaluate[string](`fetch("`+m.url+`/state").then(a => a.json()).then(s => s.hostname, e => e.name)`, chromedp.EvalAwaitPromise))
		if got != want {
			t.Errorf("a page of %s reads %q, want %q", site.URL, got, want)
		}
	}
	reads("TypeError")
	tb.set(t, sites, site.URL+"/index.html")
	tb.until(t, wrong(sites)+`.includes("without a path")`)
	tb.set(t, sites, site.URL)
	m.kept(t, map[string]any{"allow_origin": site.URL})
	reads(m.now(t).Hostname)
	tb.reset(t, sites)
	reads("TypeError")
}

// testPanelCalled has the owner give the camera another name, by which it is opened then.
func testPanelCalled(t *testing.T, tb *tab) {
	const called, name = "Also called", "cam.example"
	m, page := tb.m, tb.another(t)
	there := "http://" + name + m.url[strings.LastIndex(m.url, ":"):]
	unknown := func() {
		t.Helper()
		page.open(t, there+"/")
		page.until(t, `document.body.textContent.includes("does not know that it is called")`)
	}
	unknown()
	tb.set(t, called, name)
	m.kept(t, map[string]any{"allow_host": name})
	page.open(t, there+"/")
	page.until(t, moves)
	page.open(t, there+"/panel")
	page.logIn(t, password)
	page.reset(t, called) // which takes the page's own name away
	m.kept(t, map[string]any{"allow_host": ""})
	unknown()
}

// testPanelLog has the owner say what goes into the log, and which lines of it are shown.
func testPanelLog(t *testing.T, tb *tab) {
	const has, with, least = "Log has", "Lines with", "At least"
	const lines = `document.querySelector("#log pre").textContent.trim().split("\n")`
	m := tb.m
	refused := func(name string) {
		t.Helper()
		code, _, said, err := m.do(http.MethodGet, "/", getTimeout, func(r *http.Request) { r.Host = name })
		if err != nil || code != http.StatusForbidden {
			t.Errorf("asked by the name %s: status %d, %v: %.200q", name, code, err, said)
		}
	}
	tb.choose(t, has, "errors")
	m.kept(t, map[string]any{"log_level": "error"})
	refused("silent.example")
	tb.reset(t, has)
	m.kept(t, map[string]any{"log_level": "info"})
	refused("loud.example")

	tb.set(t, with, "loaded kernel module")
	tb.until(t, `(all => all.length > 1 && all.every(l => l.includes("level=INFO") && l.includes("loaded kernel module")))(`+lines+`)`)
	tb.choose(t, least, "warnings")
	tb.until(t, lines+`.join() === "nothing"`)
	tb.set(t, with, ".EXAMPLE")
	tb.until(t, `(all => all.some(l => l.includes("loud.example")) && all.every(l => l.includes("level=WARN") && l.includes(".example") && !l.includes("silent")))(`+lines+`)`)
}

// testPanelCopy has the owner copy the diagnosis. What it pastes is what the page shows.
func testPanelCopy(t *testing.T, tb *tab) {
	m := tb.m
	_, err := chromedp.CallBrowser(tb.ctx, browser.SetPermission, browser.SetPermissionParams{
		Permission: &browser.PermissionDescriptor{Name: "clipboard-read"}, Setting: browser.PermissionSettingGranted, Origin: m.url})
	if err != nil {
		t.Fatal(err)
	}
	const text = `document.querySelector("#help textarea").value`
	tb.press(t, "Make a diagnosis")
	tb.until(t, text+`.includes("The end of the log:") && `+buttonOf("Copy"))
	tb.do(t, chromedp.Click(chromedp.CSS("#help .button:nth-of-type(2) button"))) // not by a script: those may not copy by themselves
	tb.until(t, `(t => t.value.length > 0 && t.selectionEnd === t.value.length)(document.querySelector("#help textarea"))`)
	copied := run(t, tb, chromedp.Evaluate[string](`navigator.clipboard.readText()`, chromedp.EvalAwaitPromise))
	if shown := run(t, tb, chromedp.Evaluate[string](text)); copied != shown {
		t.Errorf("what was copied is %.200q, want %.200q", copied, shown)
	}
	s := m.now(t)
	for _, want := range []string{"pushcam " + s.Program.Version, s.Kernel.Release, m.cam.Name, "http://" + s.Hostname + ".local/", s.TLS.Fingerprint, "loaded kernel module"} {
		if !strings.Contains(copied, want) {
			t.Errorf("%q is not in the diagnosis:\n%s", want, copied)
		}
	}
	if strings.Contains(copied, password) {
		t.Error("the owner's password is in the diagnosis")
	}
}
