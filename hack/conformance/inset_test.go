package conformance

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// testInset shows the page's picture in picture: it moves on while the page is hidden, and
// the camera may rest when it is closed.
func testInset(t *testing.T, tb *chromiumTab, p *program) {
	t.Helper()
	tb.open(p.url + "/")
	shown(t, tb, "#picture")
	tb.do(chromedp.Click(chromedp.CSS("#inset")))
	until(t, tb, `document.pictureInPictureElement?.videoWidth == 320`)
	tb.browser.newTab(t).front()
	until(t, tb, `document.hidden`)
	p.await("a viewer, as the picture is seen", func(s state) bool { return len(s.Viewers) == 1 })
	var frames int
	tb.eval(`new Promise(done => {
		let frames = 0;
		const count = () => { if (++frames == 20) done(frames); else document.pictureInPictureElement.requestVideoFrameCallback(count); };
		count();
		setTimeout(() => done(frames), 30_000);
	})`, &frames)
	if frames < 20 {
		t.Error("the picture in picture stands still while its page is hidden")
	}
	tb.eval(`document.exitPictureInPicture().then(() => true)`, new(bool))
	p.await("no viewer of a page that is hidden", func(s state) bool { return len(s.Viewers) == 0 })
}
