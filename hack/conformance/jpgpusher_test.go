package conformance

import (
	"context"
	_ "embed"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"
)

//go:embed testdata/jpgpusher-client.html
var clientPage string

// The JPGPusher README's client page, from another origin: it fetches the id as
// text, shows it in an <img>, and keeps it alive by XMLHttpRequest. Only its
// address is changed where it is not the page's own localhost:12340.
func TestJPGPusherClient(t *testing.T) {
	t.Parallel()
	const original = "localhost:12340"
	for _, tt := range []struct{ name, listen, page, camera string }{
		{"unchanged", "127.0.0.1:12340", "127.0.0.1", original},
		{"on a LAN", "127.0.0.1:0", "page.test", "pushcam.test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			covers(t, "Chromium", "the JPGPusher README's client, "+tt.name)
			// Frames are few and small: this is about the session.
			p := start(t, "-listen", tt.listen, "-idle-hold", "1s", "-fps", "10", "-size", "640x360", "-session-frames", "40", "-session-timeout", "4s")
			html := clientPage
			if tt.camera != original {
				html = strings.ReplaceAll(html, original, tt.camera+":"+p.port)
			}
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				w.Write([]byte(html))
			}))
			defer site.Close()
			_, port, err := net.SplitHostPort(site.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			tb := newChromium(t).newTab(t).(*chromiumTab)
			defer tb.serveJQuery()()
			tb.open("http://" + tt.page + ":" + port + "/")
			shown(t, tb, "#screen")
			moves(t, tb, "#screen")
			// Longer than a session lives without keep-alives; the client's come
			// every 1.8 s.
			p.await("6 s of frames", func(s state) bool {
				return len(s.Viewers) == 1 && s.Viewers[0].Session && s.Viewers[0].Sent+s.Viewers[0].Skipped > 6*10
			})
			moves(t, tb, "#screen")
			tb.open("about:blank")
			p.await("the session's end and a camera that rests", func(s state) bool {
				return len(s.Viewers) == 0 && s.Sessions == 0 && s.Camera.Phase == "idle"
			})
			frames := p.state().Camera.Frames
			p.await("the camera to stand still", func(s state) bool { still := s.Camera.Frames == frames; frames = s.Camera.Frames; return still })
		})
	}
}

// serveJQuery answers the page's request for jQuery with Debian's copy, until
// the returned function is called.
func (tb *chromiumTab) serveJQuery() (stop func()) {
	t := tb.t
	t.Helper()
	const path = "/usr/share/javascript/jquery/jquery.min.js"
	script, err := os.ReadFile(path)
	if err != nil {
		missing(t, "libjs-jquery")
	}
	ctx, cancel := context.WithCancel(tb.ctx)
	requests := chromedp.Events(ctx, fetch.RequestPaused)
	if _, err := chromedp.Call(ctx, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: "https://*"}}}); err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		for request, err := range requests {
			if err != nil {
				return // the browser or the test ended
			}
			chromedp.Call(ctx, fetch.FulfillRequest, fetch.FulfillRequestParams{
				RequestID:       request.RequestID,
				ResponseCode:    http.StatusOK,
				ResponseHeaders: []*fetch.HeaderEntry{{Name: "Content-Type", Value: "text/javascript"}},
				Body:            script,
			})
		}
	}()
	return func() { cancel(); <-answered }
}
