package conformance

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// webkit is WebKitGTK's small browser on a screen of its own, driven by WebDriver
// (https://www.w3.org/TR/webdriver2/). It stands for Safari and for the browsers of
// kiosks. It shows one tab, does not show its console, and cannot be told host names that
// a test makes up.
type webkit struct {
	t       *testing.T
	session string // its URL
	client  *http.Client
}

func newWebKit(t *testing.T) *webkit { t.Helper(); return newWebKitAt(t, here{}) }

func newWebKitAt(t *testing.T, at place) *webkit {
	t.Helper()
	need(t, "WebKitWebDriver")
	browser, environment := webkitOnScreen(t, at)
	l, err := net.Listen("tcp", "127.0.0.1:0") // the driver needs a port, and not 0
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().(*net.TCPAddr)
	l.Close()
	driver := exec.Command("WebKitWebDriver", "--host=127.0.0.1", fmt.Sprint("--port=", address.Port))
	driver.Env = environment
	background(t, at.start, driver)
	dial := func(context.Context, string, string) (conn net.Conn, err error) {
		err = at.do(func() error {
			conn, err = net.Dial("tcp", address.String())
			return err
		})
		return conn, err
	}
	await(t, func() string { return "WebKitWebDriver to listen" }, func() bool {
		conn, err := dial(t.Context(), "", "")
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	w := &webkit{t, "http://" + address.String() + "/session", &http.Client{Transport: &http.Transport{DialContext: dial}}}
	t.Cleanup(w.client.CloseIdleConnections)
	var session struct{ SessionID string }
	w.call("POST", "", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"pageLoadStrategy":         "none",                        // a page with a stream never finishes loading
		"timeouts":                 map[string]any{"script": nil}, // else each script waits beside the page's
		"webkitgtk:browserOptions": map[string]any{"binary": browser, "args": []string{"--automation"}},
	}}}, &session)
	w.session += "/" + session.SessionID
	t.Cleanup(func() { w.call("DELETE", "", nil, nil) })
	return w
}

// webkitOnScreen is the path of WebKitGTK's small browser, and an environment with a screen
// and a home of its own.
func webkitOnScreen(t *testing.T, at place) (browser string, environment []string) {
	t.Helper()
	need(t, "Xvfb")
	browsers, err := filepath.Glob("/usr/lib/*/webkit2gtk-4.*/MiniBrowser")
	if err != nil || len(browsers) == 0 {
		missing(t, "MiniBrowser of libwebkit2gtk")
	}
	screen, said, err := os.Pipe() // on which the X server tells which screen was free
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	xvfb := exec.Command("Xvfb", "-displayfd", "3", "-nolisten", "tcp", "-screen", "0", "1280x800x24")
	xvfb.ExtraFiles = []*os.File{said}
	background(t, at.start, xvfb)
	said.Close()
	var number int
	if _, err := fmt.Fscanln(screen, &number); err != nil {
		t.Fatalf("Xvfb does not say its screen: %v", err)
	}
	return browsers[0], append(os.Environ(), fmt.Sprint("DISPLAY=:", number), "HOME="+t.TempDir(),
		"WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS=1") // the sandbox does not work as root
}

// background runs a program, and what it starts, until the test is over.
func background(t *testing.T, begin func(*exec.Cmd) error, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stderr = t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := begin(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		timer := time.AfterFunc(10*time.Second, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		defer timer.Stop()
		cmd.Wait() // how it ends does not matter
	})
}

// call sends one command and stores its result.
func (w *webkit) call(method, path string, params, result any) {
	w.t.Helper()
	if err := w.try(method, path, params, result); err != nil {
		w.t.Fatal(err)
	}
}

// errUnloaded is returned for a script whose page was left meanwhile.
var errUnloaded = errors.New("the page was left")

func (w *webkit) try(method, path string, params, result any) error {
	var body io.Reader
	if params != nil {
		b, err := json.Marshal(params)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, w.session+path, body)
	if err != nil {
		return err
	}
	resp, err := w.client.Do(request)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct{ Value json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("WebKit's %s %s: %s %s, %w", method, path, resp.Status, answer.Value, err)
		if bytes.Contains(answer.Value, []byte("before the unload event")) {
			err = errUnloaded
		}
		return err
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, result)
}

func (w *webkit) newTab(*testing.T) tab { return w }

func (w *webkit) open(url string) {
	w.t.Helper()
	w.call("POST", "/url", map[string]any{"url": url}, nil)
	until(w.t, w, `document.readyState != "loading" && location.href != "about:blank"`)
}

func (w *webkit) eval(expression string, result any) {
	w.t.Helper()
	const script = `const done = arguments[0]; (async () => JSON.stringify(await (%s)))().then(done, e => done(JSON.stringify("" + e)))`
	var text string
	err := errUnloaded
	for tries := 0; errors.Is(err, errUnloaded) && tries < 10; tries++ {
		err = w.try("POST", "/execute/async", map[string]any{"script": fmt.Sprintf(script, expression), "args": []any{}}, &text)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	decode(w.t, text, result)
}

func (w *webkit) screenshot(selector string) []byte {
	w.t.Helper()
	var found map[string]string // one element's id by the standard's name for it
	w.call("POST", "/element", map[string]any{"using": "css selector", "value": selector}, &found)
	for _, id := range found {
		var shot string
		w.call("GET", "/element/"+id+"/screenshot", nil, &shot)
		b, err := base64.StdEncoding.DecodeString(shot)
		if err != nil {
			w.t.Fatal(err)
		}
		return b
	}
	w.t.Fatalf("WebKit finds no %s", selector)
	return nil
}

func (w *webkit) hide() {
	w.t.Helper()
	w.call("POST", "/window/minimize", map[string]any{}, nil)
}

func (w *webkit) front() {
	w.t.Helper()
	w.call("POST", "/window/rect", map[string]any{"width": 1024, "height": 768}, nil)
}

// complaints is empty, because WebKit's driver does not show the console.
func (w *webkit) complaints() []string { return nil }

// WebKit shows a stream in a page that it knows, too. Under its driver it remembers nothing,
// so here it is without.
func TestKnownPage(t *testing.T) {
	extra(t)
	t.Parallel()
	covers(t, "WebKitGTK", "an `<img>` of another site's page shows the stream at each visit; WebKit asks ahead for what a known page has, and waits for its end")
	browser, environment := webkitOnScreen(t, here{})
	p := start(t)
	const visits = 6 // it asks ahead from the third on
	var shown atomic.Int32
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			fmt.Fprintf(w, `<!DOCTYPE html><img src="%s/stream" onload="this.onload = null; fetch('shown').then(() => location = 'away')">`, p.url)
		case "/shown":
			shown.Add(1)
		case "/away":
			fmt.Fprint(w, `<!DOCTYPE html><script>setTimeout(() => location = "./", 500)</script>`)
		}
	}))
	t.Cleanup(site.Close)
	cmd := exec.Command(browser, site.URL+"/")
	cmd.Env = environment
	background(t, here{}.start, cmd)
	await(t, func() string { return fmt.Sprintf("the stream at %d visits; it was shown at %d", visits, shown.Load()) },
		func() bool { return shown.Load() >= visits })
}
