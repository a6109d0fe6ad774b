package conformance

import (
	"bytes"
	"context"
	_ "embed"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"
)

// browse starts a headless Chromium with a profile of its own. Names under
// .test lead to this machine: on them Chromium sends what it sends on a LAN,
// without the Sec-Fetch headers that localhost gets.
func browse(t *testing.T) context.Context {
	t.Helper()
	need(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(1280, 800),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"),
	)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(func() { cancelTab(); cancelAllocator(); cancel() })
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	return ctx
}

// until waits for a JavaScript expression to come true.
func until(expression string) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Poll[bool](expression, chromedp.WithPollingInterval(20*time.Millisecond))(ctx, target)
		return err
	}))
}

// shown waits until the selected <img> shows a picture.
func shown(selector string) chromedp.Action[chromedp.Void] {
	return until(`document.querySelector("` + selector + `")?.naturalWidth > 0`)
}

// moves takes screenshots of the selected element until they differ.
func moves(t *testing.T, selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		var first []byte
		for {
			shot, err := chromedp.Screenshot(chromedp.CSS(selector))(ctx, target)
			switch {
			case err != nil:
				return err
			case first == nil:
				first = shot
				keep(t, "picture.png", shot)
			case !bytes.Equal(first, shot):
				return nil
			}
		}
	})
}

// keep writes what a person may want to look at.
func keep(t *testing.T, name string, data []byte) {
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name), data, 0o644); err != nil {
		t.Error(err)
	}
}

// The viewer page shows a moving picture, and shows it again after the camera's
// program was restarted: an <img> alone never recovers (mjpg-streamer 265).
func TestChromiumPage(t *testing.T) {
	ctx := browse(t)
	p := start(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(p.url+"/"), shown("#picture")); err != nil {
		t.Fatal(err)
	}
	t.Logf("picture in Chromium %v after the program's start", time.Since(p.began).Round(time.Millisecond))
	if err := chromedp.Do(ctx, moves(t, "#picture")); err != nil {
		t.Fatal(err)
	}
	page, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	keep(t, "page.png", page)

	p.process.Signal(os.Interrupt)
	if err := chromedp.Do(ctx, until(`document.getElementById("state").classList.contains("bad")`)); err != nil {
		t.Fatal(err)
	}
	again := start(t, "-listen", "127.0.0.1:"+p.port)
	again.await("the page shows the stream again", func(s state) bool { return len(s.Viewers) == 1 && s.Viewers[0].Sent > 10 })
	if err := chromedp.Do(ctx, moves(t, "#picture")); err != nil {
		t.Fatal(err)
	}
}

//go:embed testdata/jpgpusher-client.html
var clientPage string

// The JPGPusher README's client page, from another origin: it fetches the id as
// text, shows it in an <img>, and keeps it alive by XMLHttpRequest. Only its
// address is changed where it is not the page's own localhost:12340.
func TestChromiumJPGPusherClient(t *testing.T) {
	const original = "localhost:12340"
	for _, tt := range []struct{ name, listen, page, camera string }{
		{"unchanged", "127.0.0.1:12340", "127.0.0.1", original},
		{"on a LAN", "127.0.0.1:0", "page.test", "pushcam.test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := browse(t)
			p := start(t, "-listen", tt.listen, "-idle-hold", "1s")
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
			defer serveJQuery(t, ctx)()
			if err := chromedp.Do(ctx, chromedp.Navigate("http://"+tt.page+":"+port+"/"), shown("#screen"), moves(t, "#screen")); err != nil {
				t.Fatal(err)
			}
			// Longer than a session lives without keep-alives.
			p.await("8 s of frames", func(s state) bool {
				return len(s.Viewers) == 1 && s.Viewers[0].Session && s.Viewers[0].Sent > 8*30
			})
			if err := chromedp.Do(ctx, moves(t, "#screen")); err != nil {
				t.Fatal(err)
			}
			if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
				t.Fatal(err)
			}
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
func serveJQuery(t *testing.T, ctx context.Context) (stop func()) {
	t.Helper()
	const path = "/usr/share/javascript/jquery/jquery.min.js"
	script, err := os.ReadFile(path)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("libjs-jquery is not installed: %v", err)
		}
		t.Skipf("skipped: libjs-jquery is not installed: %v", err)
	}
	ctx, cancel := context.WithCancel(ctx)
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
