package conformance

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The viewer page shows a moving picture, with one connection that stays open.
// It shows it again after the camera's program was restarted: an <img> alone
// never recovers (mjpg-streamer 265, 206).
func TestPage(t *testing.T) {
	eachEngine(t, "the page's picture moves, and moves again after the camera restarted", func(t *testing.T, b browser) {
		p := start(t)
		tb := b.newTab(t)
		tb.open(p.url + "/")
		shown(t, tb, "#picture")
		t.Logf("picture %v after the program's start", time.Since(p.began).Round(time.Millisecond))
		moves(t, tb, "#picture")
		keep(t, "page.png", tb.screenshot("body"))
		p.await("one viewer", func(s state) bool { return len(s.Viewers) == 1 && s.Sessions == 0 })

		p.stop()
		until(t, tb, `document.getElementById("state").classList.contains("bad")`)
		again := start(t, "-listen", "127.0.0.1:"+p.port)
		again.await("the page shows the stream again", func(s state) bool { return len(s.Viewers) == 1 && s.Viewers[0].Sent > 10 })
		moves(t, tb, "#picture")
	})
}

// The page also shows the stream again if the program was back so soon that the page
// has not noticed it was away, and nothing told the <img> that its stream is over.
func TestPageAfterFastRestart(t *testing.T) {
	eachEngine(t, "the page shows the stream again after a restart that it did not notice", func(t *testing.T, b browser) {
		p := start(t)
		tb := b.newTab(t)
		tb.open(p.url + "/")
		shown(t, tb, "#picture")
		until(t, tb, `document.getElementById("state").textContent.includes("watching")`)
		p.stop()
		again := start(t, "-listen", "127.0.0.1:"+p.port)
		again.await("the page shows the stream again", func(s state) bool { return len(s.Viewers) == 1 && s.Viewers[0].Sent > 10 })
		moves(t, tb, "#picture")
	})
}

// Browsers would show each frame one late if nothing followed a part's last byte
// (crbug 527446). Ours are followed by the next boundary, for some browsers also by the
// next header.
func TestNewestFrame(t *testing.T) {
	eachEngine(t, "shows the newest frame, not the one before", func(t *testing.T, b browser) {
		h := hold(t, start(t, "-source", "replay:"+recording(t), "-fps", "0.4"))
		tb := b.newTab(t)
		tb.open(h.url + "/")
		showsTheNewest(t, h, tb, "#picture")
	})
}

// The same on other pages, whose <img> shows the camera itself or a relay that passes
// the stream on by a request of its own, as Home Assistant does. The page comes from
// another server, because the camera's answers, apart from its own page, let no picture
// be put into them; browsers' requests for the stream reach the camera as they are.
func TestNewestFrameInImg(t *testing.T) {
	eachEngine(t, "an <img> of the stream shows the newest frame, not the one before", func(t *testing.T, b browser) {
		h := hold(t, start(t, "-source", "replay:"+recording(t), "-fps", "0.4"))
		camera, err := url.Parse(h.url)
		if err != nil {
			t.Fatal(err)
		}
		tb := b.newTab(t)
		tb.open(otherSite(t, (&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(camera) }, FlushInterval: -1}).ServeHTTP))
		showsTheNewest(t, h, tb, withImage(tb))
	})
}

func TestNewestFrameOfRelay(t *testing.T) {
	eachEngine(t, "an <img> of a relay of /stream?advance_headers=1 shows the newest frame, not the one before", func(t *testing.T, b browser) {
		h := hold(t, start(t, "-source", "replay:"+recording(t), "-fps", "0.4"))
		tb := b.newTab(t)
		tb.open(otherSite(t, func(w http.ResponseWriter, r *http.Request) { relay(w, r, h.url+"/stream?advance_headers=1") }))
		showsTheNewest(t, h, tb, withImage(tb))
	})
}

// otherSite is a page that is not the camera's, beside a stream.
func otherSite(t *testing.T, stream http.HandlerFunc) (url string) {
	t.Helper()
	pages := http.NewServeMux()
	pages.HandleFunc("/stream", stream)
	pages.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a page") })
	site := httptest.NewServer(pages)
	t.Cleanup(func() { site.CloseClientConnections(); site.Close() })
	return site.URL + "/"
}

// withImage gives the page an <img> of its origin's /stream, which the returned
// selector finds.
func withImage(tb tab) (selector string) {
	var done bool
	tb.eval(`!(document.body.innerHTML = "<img src=/stream>")`, &done)
	return "img"
}

// relay answers with what a stream gives, as it comes.
func relay(w http.ResponseWriter, r *http.Request, stream string) {
	request, err := http.NewRequestWithContext(r.Context(), "GET", stream, nil)
	if err != nil {
		panic(err)
	}
	upstream, err := http.DefaultClient.Do(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer upstream.Body.Close()
	w.Header().Set("Content-Type", upstream.Header.Get("Content-Type"))
	for some := make([]byte, 64<<10); ; {
		n, err := upstream.Body.Read(some)
		if _, e := w.Write(some[:n]); err != nil || e != nil {
			return // the camera or the browser has closed the connection
		}
		w.(http.Flusher).Flush()
	}
}

// drawn is what the selected element shows now. The page draws it onto a canvas,
// because WebKit's screenshots are slow.
func drawn(t *testing.T, tb tab, selector string) []byte {
	t.Helper()
	const prefix = "data:image/png;base64,"
	var text string
	tb.eval(`(() => {
		const picture = document.querySelector("`+selector+`"), canvas = document.createElement("canvas");
		canvas.width = canvas.height = 8;
		if (picture.width > 0) canvas.getContext("2d").drawImage(picture, 0, 0, 8, 8);
		return canvas.toDataURL();
	})()`, &text)
	b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, prefix))
	if err != nil {
		t.Fatalf("%.40q: %v", text, err)
	}
	return b
}

// changes waits until the selected element shows another picture.
func changes(t *testing.T, tb tab, selector string) {
	t.Helper()
	first := drawn(t, tb, selector)
	await(t, func() string { return selector + " to show another picture" }, func() bool { return !bytes.Equal(first, drawn(t, tb, selector)) })
}

// showsTheNewest looks at an element while the camera takes a picture in another colour
// now and then. The newest picture must be shown before the server sends anything
// behind it; after 1 s it would send the same one again.
func showsTheNewest(t *testing.T, h *holder, tb tab, selector string) {
	t.Helper()
	changes, last := 0, ""
	for changes < 3 {
		var want string
		select {
		case jpg := <-h.parts:
			want = colour(t, jpg)
		case <-time.After(patience):
			t.Fatal("no picture came")
		}
		if want != last {
			last = want
			changes++
			await(t, func() string { return want + " to be shown, and nothing is sent after it" }, func() bool {
				return colour(t, drawn(t, tb, selector)) == want
			})
		}
		h.next <- struct{}{}
	}
}

// Browsers keep at most 6 connections to a host (Motion 1465, ZoneMinder 441). Five
// visible pages need five for their streams and share the sixth for the state.
func TestFivePagesAtOnce(t *testing.T) {
	eachBrowser(t, "one connection a page stays open: five pages at once share the 6 that a browser has", func(t *testing.T, b browser) {
		p := start(t, "-size", "320x240", "-fps", "5")
		tb := b.newTab(t)
		tb.open(p.url + "/")
		shown(t, tb, "#picture")
		var done bool
		tb.eval(`(() => {
			for (let i = 0; i < 4; i++) document.body.append(Object.assign(document.createElement("iframe"), { src: "/" }));
			return true;
		})()`, &done)
		const pages = `[document, ...[...document.querySelectorAll("iframe")].map(f => f.contentDocument)]`
		until(t, tb, pages+`.every(d => `+showsPicture("d", "#picture")+`)`)
		until(t, tb, pages+`.every(d => d.querySelector("#state").textContent.includes("5 watching"))`)
		p.await("five viewers with frames", func(s state) bool {
			for _, v := range s.Viewers {
				if v.Sent < 10 {
					return false
				}
			}
			return len(s.Viewers) == 5
		})
	})
}

// A hidden page takes no frames, so that the camera may rest. In front again, it shows
// the stream again. So a seventh tab has a connection, too.
func TestHiddenPage(t *testing.T) {
	eachBrowser(t, "a hidden page pauses, and shows the stream again in front; seven tabs work", func(t *testing.T, b browser) {
		p := start(t, "-idle-hold", "1s", "-size", "640x360")
		var tabs []tab
		for range 7 {
			tb := b.newTab(t)
			tb.open(p.url + "/")
			shown(t, tb, "#picture")
			tabs = append(tabs, tb)
		}
		moves(t, tabs[6], "#picture")
		p.await("one viewer, in the tab in front", func(s state) bool { return len(s.Viewers) == 1 })

		b.newTab(t).front()
		p.await("no viewer, and a camera that rests", func(s state) bool { return len(s.Viewers) == 0 && s.Camera.Phase == "idle" })
		tabs[0].front()
		p.await("one viewer", func(s state) bool { return len(s.Viewers) == 1 && s.Viewers[0].Sent > 10 })
		moves(t, tabs[0], "#picture")
	})
}

// On a LAN, plain http is no secure context. The page works without what browsers allow
// only with https or on localhost, and its console stays empty.
func TestInsecureContext(t *testing.T) {
	eachBrowser(t, "plain http under a LAN's name: no secure context, nothing in the console", func(t *testing.T, b browser) {
		p := start(t, "-allow-host", "pushcam.test")
		tb := b.newTab(t)
		tb.open("http://pushcam.test:" + p.port + "/")
		var secure bool
		if tb.eval("isSecureContext", &secure); secure {
			t.Fatal("the browser takes the page for secure: this test shows nothing")
		}
		shown(t, tb, "#picture")
		moves(t, tb, "#picture")
		until(t, tb, `document.getElementById("state").textContent.includes("watching")`)
		if said := tb.complaints(); len(said) > 0 {
			t.Errorf("the console says:\n%s", strings.Join(said, "\n"))
		}
	})
}

// A page of another origin, for instance a home automation's, may show the stream. If its
// owner has named it, it may also read a snapshot and the state, without credentials
// (CORS).
func TestPageFromElsewhere(t *testing.T) {
	eachBrowser(t, "a third-party page shows the stream and, if it is named, reads a snapshot (CORS)", func(t *testing.T, b browser) {
		site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Write([]byte("<!DOCTYPE html><title>elsewhere</title><img>"))
		}))
		t.Cleanup(site.Close)
		origin := strings.Replace(site.URL, "127.0.0.1", "page.test", 1)
		p := start(t, "-allow-host", "pushcam.test", "-allow-origin", origin)
		tb := b.newTab(t)
		tb.open(origin + "/")
		camera := `"http://pushcam.test:` + p.port
		var answer string
		tb.eval(`document.querySelector("img").src = `+camera+`/stream"`, &answer)
		shown(t, tb, "img")
		moves(t, tb, "img")
		for path, want := range map[string]string{"/snapshot.jpg": "image/jpeg", "/state": "application/json"} {
			tb.eval(`fetch(`+camera+path+`").then(r => r.blob()).then(b => b.size > 0 && b.type, String)`, &answer)
			if answer != want {
				t.Errorf("a script gets %q of %s, want %s", answer, path, want)
			}
		}
		// Mainsail's script reads the stream, at an address that gives nobody a session, and wants
		// the length of each picture before it.
		var whole bool
		tb.eval(`fetch(`+camera+`/stream.mjpg?timestamp=1").then(async r => {
			const reader = r.body.getReader();
			for (let all = ""; all.length < 1e6;) {
				all += new TextDecoder("latin1").decode((await reader.read()).value);
				const part = /Content-Length: (\d+)\r\n[^]*?\r\n\r\n(?=\xff\xd8)/.exec(all), end = part && part.index + part[0].length + Number(part[1]);
				if (!part || all.length < end + 4) continue;
				reader.cancel();
				return all.slice(end, end + 4) === "\r\n--";
			}
		}, String)`, &whole)
		if !whole {
			t.Error("a script reads no part with its length from /stream.mjpg")
		}
		// It may show the page without a panel in a frame.
		tb.eval(`!!document.body.appendChild(Object.assign(document.createElement("iframe"), { src: `+camera+`/view?fit=cover&fps=5" }))`, new(bool))
		p.await("two viewers, one in the frame", func(s state) bool {
			return len(s.Viewers) == 2 && min(s.Viewers[0].Sent, s.Viewers[1].Sent) > 10
		})
		// The browser must refuse a script that would send a password along.
		var refused bool
		tb.eval(`fetch(`+camera+`/state", { credentials: "include" }).then(() => false, () => true)`, &refused)
		if !refused {
			t.Error("a script of another origin reads the answer to a request with credentials")
		}
		stranger := start(t, "-allow-host", "pushcam.test")
		for _, path := range []string{"/snapshot.jpg", "/state"} {
			tb.eval(`fetch("http://pushcam.test:`+stranger.port+path+`").then(() => false, () => true)`, &refused)
			if !refused {
				t.Errorf("a script of a page that nobody has named reads %s", path)
			}
		}
	})
}
