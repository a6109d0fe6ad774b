//go:build unix

package device

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// What gokrazy's pages have in them (its internal/assets), and what only looks
// alike.
const gokrazyPage = `<link rel="stylesheet" href="/assets/bootstrap.css" />
<img src = "assets/gokrazy-logo.svg"><a href="/">gokrazy</a>
<form action="/reboot" method="post"><script src="/assets/status.js" async></script>
<a href="/log?path=/user/pushcam&stream=stdout">raw log</a> <a href="//example.org/">elsewhere</a>
<pre>href=&#34;/etc&#34; data-href='/x'</pre>`

const pageBelow = `<link rel="stylesheet" href="/gokrazy/assets/bootstrap.css" />
<img src = "assets/gokrazy-logo.svg"><a href="/gokrazy/">gokrazy</a>
<form action="/gokrazy/reboot" method="post"><script src="/gokrazy/assets/status.js" async></script>
<a href="/gokrazy/log?path=/user/pushcam&stream=stdout">raw log</a> <a href="//example.org/">elsewhere</a>
<pre>href=&#34;/etc&#34; data-href='/x'</pre>`

// gokrazyWeb answers as gokrazy does, and tells what it was asked in the header.
func gokrazyWeb(w http.ResponseWriter, r *http.Request) {
	// Who answers before the body has come may be seen as hanging up.
	size, _ := io.Copy(io.Discard, r.Body)
	h := w.Header()
	h.Set("Asked", fmt.Sprint(r.Method, " ", r.Host, r.URL))
	h.Set("Authorized", r.Header.Get("Authorization"))
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "no-cache")
	switch r.URL.Path {
	case "/":
		h.Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, gokrazyPage)
	case "/assets/status.js":
		h.Set("Content-Type", "text/javascript; charset=utf-8")
		io.WriteString(w, `new EventSource("/log?path=" + ServiceName); href="/unchanged"`)
	case "/log":
		io.WriteString(w, `href="/unchanged"`)
	case "/stop":
		http.Redirect(w, r, "/status?path=%2Fuser%2Fpushcam", http.StatusSeeOther)
	case "/restart":
		h.Set("Location", "//example.org/")
		w.WriteHeader(http.StatusFound)
	case "/assets/huge":
		h.Set("Content-Type", "text/html")
		w.Write(make([]byte, maxPage+1))
	case "/status":
		fmt.Fprint(w, size)
	case "/assets/hangup":
		panic(http.ErrAbortHandler)
	default:
		http.Error(w, "not found", http.StatusNotFound)
	}
}

// gokrazyRoot is a root folder with gokrazy's socket, where handler answers (nil: no
// socket).
func gokrazyRoot(t *testing.T, handler http.HandlerFunc) (root Root) {
	t.Helper()
	root = Root(t.TempDir())
	if err := os.Mkdir(root.Path("run"), 0o755); err != nil {
		t.Fatal(err)
	}
	if handler != nil {
		ln, err := net.Listen("unix", root.Path(httpSocket))
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: handler}
		done := make(chan struct{})
		go func() { defer close(done); srv.Serve(ln) }()
		t.Cleanup(func() { srv.Close(); <-done })
	}
	return root
}

// noLeak fails t if a goroutine is left when everything is cleaned up.
func noLeak(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

const refused = "Only gokrazy's pages are to be had here; for updates use pushcamctl update\n"

func TestWebInterface(t *testing.T) {
	tests := []struct {
		name, method, path string
		code               int
		asked, location    string
		body               string
	}{
		{"page", "GET", "/gokrazy/", 200, "GET gokrazy/", "", pageBelow},
		{"page's head", "HEAD", "/gokrazy/", 200, "HEAD gokrazy/", "", ""},
		{"script", "GET", "/gokrazy/assets/status.js", 200, "GET gokrazy/assets/status.js", "", `new EventSource("/gokrazy/log?path=" + ServiceName); href="/unchanged"`},
		{"text", "GET", "/gokrazy/log?a=1&b=%2F", 200, "GET gokrazy/log?a=1&b=%2F", "", `href="/unchanged"`},
		{"redirect", "POST", "/gokrazy/stop", 303, "POST gokrazy/stop", "/gokrazy/status?path=%2Fuser%2Fpushcam", ""},
		{"redirect to another host", "POST", "/gokrazy/restart", 302, "POST gokrazy/restart", "//example.org/", ""},
		{"body", "POST", "/gokrazy/status", 200, "POST gokrazy/status", "", "4"},
		{"an update", "PUT", "/gokrazy/update/root", 403, "", "", refused},
		{"what a GET would change", "GET", "/gokrazy/update/bootonly", 403, "", "", refused},
		{"what a GET would change, by another path", "GET", "/gokrazy/x/..//update//bootonly", 403, "", "", refused},
		{"updates as such", "GET", "/gokrazy/update", 403, "", "", refused},
		{"another program", "PUT", "/gokrazy/uploadtemp/program", 403, "", "", refused},
		{"another program in the place of one", "GET", "/gokrazy/divert?path=/user/pushcam&diversion=program", 403, "", "", refused},
		{"another program, by the path of a picture", "PUT", "/gokrazy/assets/../uploadtemp/program", 403, "", "", refused},
		{"what gokrazy does not have yet", "GET", "/gokrazy/updates", 403, "", "", refused},
		{"unknown", "GET", "/gokrazy/assets/nothing", 404, "GET gokrazy/assets/nothing", "", "not found\n"},
		{"above", "GET", "/gokrazy/../etc", 403, "", "", refused},
		{"host in the path", "GET", "/gokrazy//example.org/", 403, "", "", refused},
		{"without the slash", "GET", "/gokrazy", 308, "", "/gokrazy/", "<a href=\"/gokrazy/\">Permanent Redirect</a>.\n\n"},
		{"not below", "GET", "/gokrazyness", 404, "", "", "404 page not found\n"},
		{"a page too large", "GET", "/gokrazy/assets/huge", 502, "", "", "gokrazy's web interface does not answer: its page has more than 4 MiB\n"},
		{"no answer", "GET", "/gokrazy/assets/hangup", 502, "", "", "gokrazy's web interface does not answer: EOF\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			noLeak(t)
			root := gokrazyRoot(t, gokrazyWeb)
			r := httptest.NewRequest(tt.method, "http://pushcam.local/", strings.NewReader("body"))
			path, query, _ := strings.Cut(tt.path, "?")
			r.URL.Path, r.URL.RawQuery = path, query
			r.SetBasicAuth("gokrazy", "the owner's")
			w := httptest.NewRecorder()
			(&WebInterface{Prefix: "/gokrazy/", Root: root}).ServeHTTP(w, r)
			h := w.Header()
			got := []string{fmt.Sprint(w.Code), h.Get("Asked"), h.Get("Location"), w.Body.String()}
			want := []string{fmt.Sprint(tt.code), tt.asked, tt.location, tt.body}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if h.Get("Authorized") != "" || h.Get("Access-Control-Allow-Origin") != "" || tt.asked != "" && h.Get("Cache-Control") != "" {
				t.Errorf("header %v", h)
			}
		})
	}
}

func TestWebInterfaceIsNotThere(t *testing.T) {
	w := httptest.NewRecorder()
	(&WebInterface{Prefix: "/gokrazy/", Root: gokrazyRoot(t, nil)}).ServeHTTP(w, httptest.NewRequest("GET", "/gokrazy/", nil))
	if w.Code != 502 || !strings.Contains(w.Body.String(), "does not answer") || !strings.Contains(w.Body.String(), httpSocket) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// What ends the system is this program's own, whatever gokrazy's page asks for.
func TestWebInterfacePower(t *testing.T) {
	noLeak(t)
	var called []string
	i := &WebInterface{Prefix: "/gokrazy/", Root: gokrazyRoot(t, gokrazyWeb),
		PowerOff: func() { called = append(called, "off") }, Reboot: func() { called = append(called, "reboot") }}
	for _, ask := range []string{"POST /gokrazy/poweroff", "POST /gokrazy/reboot", "GET /gokrazy/reboot"} {
		method, path, _ := strings.Cut(ask, " ")
		w := httptest.NewRecorder()
		i.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if asked := w.Header().Get("Asked"); (asked != "") != (method == "GET") {
			t.Errorf("%s: gokrazy was asked %q: %d %s", ask, asked, w.Code, w.Body)
		}
	}
	if diff := cmp.Diff([]string{"off", "reboot"}, called); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A log that goes on is passed on line by line, until the client leaves.
func TestWebInterfaceStreams(t *testing.T) {
	noLeak(t)
	lines, left := make(chan string), make(chan struct{})
	root := gokrazyRoot(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(left)
		for {
			select {
			case line := <-lines:
				fmt.Fprintln(w, line)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	server := httptest.NewServer(&WebInterface{Prefix: "/gokrazy/", Root: root})
	defer server.Close()
	go func() { lines <- "one" }()
	resp, err := server.Client().Get(server.URL + "/gokrazy/log")
	if err != nil {
		t.Fatal(err)
	}
	body := bufio.NewReader(resp.Body)
	if line, err := body.ReadString('\n'); err != nil || line != "one\n" {
		t.Errorf("%q, %v", line, err)
	}
	lines <- "two"
	if line, err := body.ReadString('\n'); err != nil || line != "two\n" {
		t.Errorf("%q, %v", line, err)
	}
	resp.Body.Close()
	<-left
}
