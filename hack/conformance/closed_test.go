package conformance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	viewersPassword = "look-and-see"
	token           = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// startClosed starts a camera at which only who knows viewersPassword or token may look.
func startClosed(t *testing.T, args ...string) *program {
	t.Helper()
	dir, hash := t.TempDir(), sha256.Sum256([]byte(token))
	settings := fmt.Sprintf(`{"privacy": false, "tokens": [{"name": "nvr", "sha256": %q, "made": "2026-11-28T00:00:00Z"}]}`, hex.EncodeToString(hash[:]))
	if err := os.WriteFile(filepath.Join(dir, "settings.json"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	begin := func(cmd *exec.Cmd) error {
		cmd.Env = append(os.Environ(), "PUSHCAM_VIEWER_PASSWORD="+viewersPassword)
		return cmd.Start()
	}
	return startBy(t, begin, append([]string{"-viewing", "closed", "-state-dir", dir}, args...)...)
}

// Players, recorders and scripts look at a closed camera with a password or a token in the
// URL.
func TestClosedForPrograms(t *testing.T) {
	t.Parallel()
	p := startClosed(t)
	with := strings.Replace(p.url, "http://", "http://viewer:"+viewersPassword+"@", 1)
	t.Run("curl", func(t *testing.T) {
		for _, url := range []string{with + "/snapshot.jpg", p.url + "/snapshot.jpg?token=" + token} {
			if picture, _ := command(t, "curl", "-sSf", url); !bytes.HasPrefix(picture, []byte("\xff\xd8")) {
				t.Errorf("%s: %.100q", url, picture)
			}
		}
		for _, path := range []string{"/snapshot.jpg", "/state", "/metrics", "/snapshot.jpg?token=x"} {
			said, _ := command(t, "curl", "-sS", "-w", "%{http_code}", p.url+path)
			if !bytes.HasSuffix(said, []byte("401")) && !bytes.HasSuffix(said, []byte("403")) {
				t.Errorf("%s: %.200q", path, said)
			}
		}
	})
	for name, url := range map[string]string{"password": with + "/stream", "token": p.url + "/stream?token=" + token} {
		t.Run("ffmpeg by "+name, func(t *testing.T) {
			if _, log := command(t, "ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-stats", "-i", url, "-frames:v", "30", "-f", "null", "-"); !bytes.Contains(log, []byte("frame=   30")) {
				t.Errorf("ffmpeg decoded:\n%s", log)
			}
		})
	}
}

// A browser gets a page to log in, then the page whose picture moves, and after the logout
// the first one again. A page of another site shows nothing, although the browser is logged
// in.
func TestClosedPage(t *testing.T) {
	eachBrowser(t, "a closed camera: logs in, sees the picture move, logs out; another site's page shows nothing", func(t *testing.T, b browser) {
		p := startClosed(t, "-allow-host", "pushcam.test")
		camera := "http://pushcam.test:" + p.port
		tb := b.newTab(t)
		tb.open(camera + "/")
		submit := func(password string) {
			t.Helper()
			until(t, tb, `document.querySelector("[name=password]")`)
			var done bool // before the page is left, as the timer has it
			tb.eval(fmt.Sprintf(`(document.querySelector("[name=password]").value = %q, setTimeout(() => document.forms[0].requestSubmit()), true)`, password), &done)
		}
		until(t, tb, `getComputedStyle(document.body).maxWidth != "none"`) // its policy lets its style in
		submit("not-the-password")
		until(t, tb, `document.querySelector("[role=alert]")?.textContent.includes("neither")`)
		submit(viewersPassword)
		shown(t, tb, "#picture")
		moves(t, tb, "#picture")
		until(t, tb, `document.getElementById("state").textContent.includes("watching")`)

		site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<!DOCTYPE html><title>elsewhere</title><img>")
		}))
		t.Cleanup(site.Close)
		elsewhere := b.newTab(t)
		elsewhere.open(strings.Replace(site.URL, "127.0.0.1", "page.test", 1) + "/")
		var sees bool
		elsewhere.eval(fmt.Sprintf(`new Promise(done => { const i = document.images[0]; i.onload = () => done(true); i.onerror = () => done(false); i.src = %q; })`, camera+"/snapshot.jpg"), &sees)
		if sees {
			t.Error("a page of another site shows a closed camera")
		}
		elsewhere.eval(fmt.Sprintf(`new Promise(done => { const i = document.images[0]; i.onload = () => done(true); i.onerror = () => done(false); i.src = %q; })`, camera+"/snapshot.jpg?token="+token), &sees)
		if !sees {
			t.Error("a page of another site does not show a closed camera with a token either, so this test shows nothing")
		}

		// A logout in one tab is one in the other, too.
		const loginPage = `document.querySelector("[name=password]") && document.title.includes("log in")`
		other := b.newTab(t)
		other.open(camera + "/")
		shown(t, other, "#picture")
		var done bool
		other.eval(`(setTimeout(() => document.forms[0].requestSubmit()), true)`, &done)
		until(t, other, loginPage)
		tb.front()
		until(t, tb, loginPage)
	})
}
