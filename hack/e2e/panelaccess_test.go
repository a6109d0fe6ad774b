//go:build linux

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// testPanelAccess has the owner say on its page who may look, give a recorder a link, and
// choose another password, which stays.
func testPanelAccess(t *testing.T, tb *tab, other string) {
	const viewers, secret = "Viewers' password", "look and see"
	m := tb.m
	gets := func(who, path, password string, want int) {
		t.Helper()
		code, _, said, err := m.do(http.MethodGet, path, getTimeout, func(r *http.Request) {
			if password != "" {
				r.SetBasicAuth("somebody", password)
			}
		})
		if err != nil || code != want {
			t.Errorf("%s gets %s: status %d, %v; want %d: %.200q", who, path, code, err, want, said)
		}
	}
	goesOn := func() { // on the page whose frames are counted, not on one that was loaded anew
		t.Helper()
		tb.until(t, `(window.drawn = 0) === 0`)
		tb.until(t, moves+` && drawn > 5 && document.getElementById("trouble").textContent === ""`)
	}

	tb.open(t, m.url+"/panel")
	tb.logIn(t, password)
	tb.until(t, `(all => { const show = all.transferFromImageBitmap; all.transferFromImageBitmap = function (frame) { window.drawn++; show.call(this, frame); }; return true; })(ImageBitmapRenderingContext.prototype)`)
	goesOn()
	tb.until(t, `document.getElementById("access") && !document.getElementById("wifi")`)
	gets("the owner", "/api/wifi", password, http.StatusConflict) // there is no radio

	stranger := m.stream(t)
	stranger.await(t, true)
	tb.set(t, viewers, "short")
	tb.until(t, wrong(viewers)+`.includes("too short")`)
	tb.set(t, viewers, secret)
	tb.until(t, input(viewers)+`.closest(".field").textContent.includes("there is one")`)
	tb.set(t, "Viewing", "closed")
	tb.until(t, input("Viewing")+`.value === "closed" && !`+input("Viewing")+`.closest(".field").querySelector(".reset").hidden`)
	stranger.end(t)
	gets("a stranger", "/snapshot", "", http.StatusUnauthorized)
	gets("a viewer", "/snapshot", secret, http.StatusOK)
	goesOn()

	const link = `document.querySelector("#access code")?.textContent`
	tb.set(t, "For what", "recorder")
	tb.press(t, "Make a link")
	tb.until(t, link+`?.startsWith(location.origin + "/stream?token=") && document.querySelector("#access li")?.textContent.includes("recorder")`)
	url := run(t, tb, chromedp.Evaluate[string](link))
	recorder := m.records(t, url)
	snapshot := strings.Replace(strings.TrimPrefix(url, m.url), "/stream", "/snapshot", 1)
	gets("a recorder", snapshot, "", http.StatusOK)
	tb.press(t, "Revoke")
	tb.until(t, `document.querySelector("#access li") === null`)
	recorder(t)
	gets("a recorder whose link is revoked", snapshot, "", http.StatusForbidden)

	tb.changePassword(t, "guessed it", other, other, "is not it")
	tb.changePassword(t, password, other, password, "The two differ.")
	tb.changePassword(t, password, other, other, "")
	gets("who knows the owner's password of before", "/api/state", password, http.StatusUnauthorized)
	gets("the owner", "/api/state", other, http.StatusOK)
	goesOn()

	for _, label := range []string{viewers, "Viewing"} {
		tb.reset(t, label)
	}
	tb.until(t, input("Viewing")+`.value === "open" && `+input(viewers)+`.closest(".field").textContent.includes("there is none")`)
	gets("a stranger", "/snapshot", "", http.StatusOK)
	tb.logOut(t)
}

// changePassword types the owner's passwords on the page. says is what it says then; empty
// for that it is done.
func (tb *tab) changePassword(t *testing.T, old, now, again, says string) {
	t.Helper()
	const change = "Change the password"
	tb.set(t, "The one of now", old)
	tb.set(t, "The new one", now)
	tb.set(t, "The same again", again)
	tb.press(t, change)
	is := fmt.Sprintf(`.textContent.includes(%q)`, says)
	if says == "" {
		is = `.nextElementSibling.textContent === "Done." && ` + input("The new one") + `.value === ""`
	}
	tb.until(t, `[...document.querySelectorAll("#access .button")].find(b => b.textContent.startsWith("`+change+`"))`+is)
}

// records opens a stream by its URL. It is to end when ended is called.
func (m *machine) records(t *testing.T, url string) (ended func(*testing.T)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := web.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d", url, resp.StatusCode)
	}
	return func(t *testing.T) {
		t.Helper()
		if n, err := io.Copy(io.Discard, resp.Body); n == 0 || ctx.Err() != nil {
			t.Errorf("%s goes on after %d bytes: %v", url, n, err)
		}
	}
}
