package conformance

import (
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// A wall shows four cameras. Each sends what its tile needs, and nothing while that is out of
// sight; one that was restarted is shown again.
func TestWall(t *testing.T) {
	tb := chromiumAlone(t, "/wall shows four cameras, each at its tile's rate, heals them, and lets those rest that are out of sight", countShifts)
	var cameras []*program
	query := url.Values{}
	for range 4 {
		p := start(t, "-size", "320x240", "-fps", "30")
		cameras = append(cameras, p)
		query.Add("cam", p.url)
	}
	resize := func(width, height int64) {
		t.Helper()
		if _, err := chromedp.Call(tb.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1}); err != nil {
			t.Fatal(err)
		}
	}
	resize(800, 600)
	tb.open(cameras[0].url + "/wall?" + query.Encode())
	const images = `[...document.querySelectorAll("#tiles img")]`
	until(t, tb, images+`.length == 4 && `+images+`.every(i => i.naturalWidth == 320)`)
	for _, p := range cameras {
		p.await("a session's viewer who is sent 10 of 30 frames a second", func(s state) bool {
			return len(s.Viewers) == 1 && s.Viewers[0].Session && s.Viewers[0].Sent > 5 && s.Viewers[0].Skipped > s.Viewers[0].Sent
		})
	}
	moves(t, tb, "#tiles li:nth-child(2)")
	keep(t, "wall.png", tb.screenshot("body"))
	still(t, tb)

	last := cameras[3]
	last.stop()
	const words = `[...document.querySelectorAll("#tiles span")].map(s => s.textContent).join()`
	until(t, tb, words+` == ",,,reconnecting"`)
	again := start(t, "-listen", "127.0.0.1:"+last.port)
	again.await("the wall shows it again", func(s state) bool { return len(s.Viewers) == 1 && s.Viewers[0].Sent > 5 })
	until(t, tb, words+` == ",,,"`)

	// In a narrow window they are one below the other.
	resize(400, 300)
	again.await("nobody sees the last one", func(s state) bool { return len(s.Viewers) == 0 })
	until(t, tb, `scrollTo(0, document.body.scrollHeight) || scrollY > 300`)
	again.await("somebody sees the last one", func(s state) bool { return len(s.Viewers) == 1 && s.Viewers[0].Sent > 5 })
	cameras[0].await("nobody sees the first one", func(s state) bool { return len(s.Viewers) == 0 && s.Sessions == 0 })

	if said := tb.complaints(); len(said) > 0 && !strings.Contains(strings.Join(said, "\n"), "ERR_CONNECTION_REFUSED") {
		t.Errorf("the console says:\n%s", strings.Join(said, "\n"))
	}
	tb.open(cameras[0].url + "/wall?cam=javascript:alert(1)")
	until(t, tb, `!document.getElementById("none").hidden`)
}

// Cameras that announce themselves later come onto the wall by themselves, also if the first
// look found none.
func TestWallFindsCameras(t *testing.T) {
	tb := chromiumAlone(t, "/wall shows cameras that come into the network later", `
		window.inNetwork = null; // nothing can be asked yet
		const ask = fetch;
		window.fetch = (what, ...more) => String(what) !== "api/cameras" ? ask(what, ...more) :
			inNetwork ? Promise.resolve(Response.json({ cameras: inNetwork.map(url => ({ url })) })) : Promise.reject(new Error("no network"));`)
	first, second := start(t, "-size", "320x240"), start(t, "-size", "320x240")
	tb.open(first.url + "/wall")
	until(t, tb, `!document.getElementById("none").hidden`)
	const seen = `[...document.querySelectorAll("#tiles img")].filter(i => i.naturalWidth == 320).length`
	until(t, tb, `(inNetwork = ["`+first.url+`"]) && `+seen+` == 1 && document.getElementById("none").hidden`)
	until(t, tb, `(inNetwork = ["`+second.url+`", "`+first.url+`"]) && `+seen+` == 2 && document.querySelectorAll("#tiles li").length == 2`)
}

// A camera that has another address than before is shown from there, and nobody asks for it
// at the old one any more.
func TestWallFollowsCamera(t *testing.T) {
	const answers = `
		window.address = null;
		const ask = fetch;
		window.fetch = (what, ...more) => String(what) !== "api/cameras" ? ask(what, ...more) :
			Promise.resolve(Response.json({ cameras: address ? [{ host: "garden.local", url: address }] : [] }));`
	tb := chromiumAlone(t, "/wall shows a camera whose address has changed once, from where it is", answers)
	p := start(t, "-size", "320x240")
	gone := httptest.NewServer(nil)
	gone.Close()
	tb.open(p.url + "/wall")
	until(t, tb, `(address = "`+gone.URL+`") && document.querySelector("#tiles span")?.textContent == "reconnecting"`)
	until(t, tb, `(address = "`+p.url+`") && document.querySelectorAll("#tiles li").length == 1 && document.querySelector("#tiles img").naturalWidth == 320`)
}

// On a page that came by https a browser shows nothing that comes by http. The wall says where
// such cameras are shown.
func TestWallByHTTPS(t *testing.T) {
	t.Parallel()
	covers(t, "Chromium", "/wall by https says where cameras without it are shown")
	p := start(t, "-size", "320x240")
	camera, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(camera) }, FlushInterval: -1})
	t.Cleanup(func() { secure.CloseClientConnections(); secure.Close() })
	tb := newChromium(t, chromedp.Flag("ignore-certificate-errors", true)).newTab(t)
	const tile, says = `document.querySelector("#tiles li")`, `document.getElementById("mixed").checkVisibility()`
	for _, page := range []string{p.url, secure.URL} {
		for _, cam := range []string{p.url, secure.URL} {
			tb.open(page + "/wall?cam=" + cam)
			until(t, tb, fmt.Sprintf("%s && %s == %t", tile, says, page == secure.URL && cam == p.url))
			keep(t, "wall.png", tb.screenshot("body"))
		}
	}
}
