package conformance

import (
	"context"
	_ "embed"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"
)

//go:embed testdata/jpgpusher-client.html
var clientPage string

// The client page of JPGPusher's README works. It fetches the id as text, shows the
// session in an <img>, and keeps it alive by XMLHttpRequest. The only change is the
// camera's address, where that is not the page's localhost:12340. To its own origin
// jQuery sends X-Requested-With, and to another one the browser sends Origin. With a
// LAN's name browsers send no Sec-Fetch headers.
func TestJPGPusherClient(t *testing.T) {
	t.Parallel()
	const original = "localhost:12340"
	for _, tt := range []struct {
		name, listen string
		camera       string // its host in the page, or host and port; "" for the page's own, with a server that passes on what is the camera's
		page         string // its host
	}{
		{"unchanged, of another origin", "127.0.0.1:12340", original, "127.0.0.1"},
		{"of another origin, on a LAN", "127.0.0.1:0", "pushcam.test", "page.test"},
		{"of its own origin", "127.0.0.1:0", "", "localhost"},
		{"of its own origin, on a LAN", "127.0.0.1:0", "", "pushcam.test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			covers(t, "Chromium", "the JPGPusher README's client, "+tt.name)
			// Frames are few and small: this is about the session.
			p := start(t, "-listen", tt.listen, "-allow-host", "pushcam.test", "-idle-hold", "1s", "-fps", "10", "-size", "640x360", "-session-frames", "40", "-session-timeout", "4s")
			address, err := url.Parse(p.url)
			if err != nil {
				t.Fatal(err)
			}
			html := clientPage
			pass := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(address)
				r.Out.Host = r.In.Host
			}}
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/client.html" {
					pass.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", "text/html")
				io.WriteString(w, html)
			}))
			defer site.Close()
			_, port, err := net.SplitHostPort(site.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			page := tt.page + ":" + port
			switch tt.camera {
			case original:
			case "":
				html = strings.ReplaceAll(html, original, page)
			default:
				html = strings.ReplaceAll(html, original, tt.camera+":"+p.port)
			}
			tb := newChromium(t).newTab(t).(*chromiumTab)
			defer tb.serveJQuery()()
			tb.open("http://" + page + "/client.html")
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
