package conformance

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/pusher"
)

// What the page says of a camera that is fine, but not live.

// While an update comes, and until the camera restarts with it, the page says so, which is
// nothing to worry about; the update that is on trial is live.
func TestPageDuringUpdate(t *testing.T) {
	eachEngine(t, "the page says when the camera is being updated, and why it will restart", func(t *testing.T, b browser) {
		var now atomic.Pointer[update.State]
		now.Store(&update.State{Phase: update.Idle})
		url := film(t, &pusher.Server{News: func() map[string]any {
			return map[string]any{"camera": camera.State{Phase: camera.Live}, "update": now.Load()}
		}})
		tb := b.newTab(t)
		tb.open(url)
		until(t, tb, word+` == "live"`)
		const calm = ` && !document.getElementById("state").classList.contains("bad")`
		now.Store(&update.State{Phase: update.Receiving})
		until(t, tb, word+` == "updating"`+calm)
		now.Store(&update.State{Phase: update.Restarting, Message: "restarting, because of an update"})
		until(t, tb, word+` == "updating" && document.getElementById("notice").textContent == "Restarting, because of an update"`+calm)
		now.Store(&update.State{Phase: update.OnTrial})
		until(t, tb, word+` == "live"`+calm)
	})
}

// A camera that does not come back from its update is away, after two minutes. The page's
// clock is put forward here.
func TestPageAfterUpdateThatNeverEnds(t *testing.T) {
	tb := chromiumAlone(t, "an update that has not ended after two minutes is no longer why the camera is away", `
		window.later = window.tries = 0;
		const now = performance.now.bind(performance), ask = fetch;
		performance.now = () => now() + later;
		window.fetch = (...what) => window.away ? (tries++, Promise.reject(new TypeError("away"))) : ask(...what);`)
	url := film(t, &pusher.Server{News: func() map[string]any {
		return map[string]any{"camera": camera.State{Phase: camera.Live}, "update": update.State{Phase: update.Restarting}}
	}})
	r, through := passageTo(t, &program{url: strings.TrimSuffix(url, "/")}, 0)
	tb.open(through.url + "/")
	until(t, tb, word+` == "updating"`)
	until(t, tb, `window.away = true`)
	r.lose()
	until(t, tb, `tries > 3`)
	until(t, tb, word+` == "updating"`)
	until(t, tb, `(later = 121_000) && `+word+` == "reconnecting"`)
}

// Safari before 16 has no AbortSignal.timeout.
func TestPageWithoutAbortTimeout(t *testing.T) {
	tb := chromiumAlone(t, "the page, the owner's panel and the wall work in a browser without AbortSignal.timeout", `delete AbortSignal.timeout;`)
	p := startOwned(t, "-size", "320x240")
	logIn(t, tb, p)
	until(t, tb, word+` == "live" && document.querySelector("#viewers tbody td") != null`)
	tb.open(p.url + "/")
	until(t, tb, word+` == "live" && document.getElementById("age").textContent != ""`)
	tb.open(p.url + "/wall")
	until(t, tb, `!document.getElementById("none").hidden`) // it has looked for cameras, and found none
}

// On a link that is slower than the camera's pictures come the page says so, and no more when
// it is faster.
func TestPageOnSlowLink(t *testing.T) {
	eachEngine(t, "on a slow link the page says that it is slow, and no more when the link is faster", func(t *testing.T, b browser) {
		p := start(t, "-source", "replay:"+recordingOf(t, 1600, 1200), "-fps", "5")
		r, through := passageTo(t, p, 0)
		tb := b.newTab(t)
		tb.open(through.url + "/")
		until(t, tb, word+` == "live"`)
		r.setRate(20_000) // bytes a second, for pictures of about 30,000
		until(t, tb, word+` == "slow" && document.getElementById("state").classList.contains("bad")`)
		r.setRate(0)
		until(t, tb, word+` == "live" && !document.getElementById("state").classList.contains("bad")`)
	})
}

// In full screen the display stays on. A browser ends that for a page that is hidden, so the
// page asks for it anew when it is shown again. A script says here that it is hidden: headless
// Chromium leaves full screen when another tab is in front.
func TestDisplayStaysOn(t *testing.T) {
	tb := chromiumAlone(t, "the display stays on in full screen, also after the page was hidden, and no longer", `
		window.locks = [];
		const ask = WakeLock.prototype.request;
		WakeLock.prototype.request = async function (...what) { const lock = await ask.apply(this, what); locks.push(lock); return lock; };
		window.hide = async hidden => {
			Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
			if (hidden) await locks[0].release();
			return document.dispatchEvent(new Event("visibilitychange"));
		};`)
	p := start(t, "-size", "320x240")
	tb.open(p.url + "/")
	until(t, tb, word+` == "live"`)
	const full, held = `document.fullscreenElement?.id == "stage"`, `locks.filter(l => !l.released).length`
	tb.do(chromedp.Click(chromedp.CSS("#full")))
	until(t, tb, full+` && `+held+` == 1 && locks[0].type == "screen"`)
	until(t, tb, `hide(true)`)
	p.await("nobody sees the page", func(s state) bool { return len(s.Viewers) == 0 })
	until(t, tb, held+` == 0`)
	until(t, tb, `hide(false)`)
	until(t, tb, full+` && `+held+` == 1 && locks.length == 2`)
	tb.press("f")
	until(t, tb, `!document.fullscreenElement && `+held+` == 0`)
}
