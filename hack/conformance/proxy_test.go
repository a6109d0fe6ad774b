package conformance

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nginx runs nginx in front of a pushcam, at /webcam/ as OctoPrint's images have it and
// nowhere else, with the README's line and its own defaults for everything else, and returns
// its address.
func nginx(t *testing.T, p *program) string {
	t.Helper()
	need(t, "nginx")
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	location := regexp.MustCompile("location /webcam/ [^`]*").Find(readme)
	if location == nil {
		t.Fatal("the README has no line for nginx")
	}
	// nginx takes no port 0: it gets one that was free a moment ago.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	address, dir := l.Addr().String(), t.TempDir()
	config := fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen %[2]s;
		location = / { return 200 "octoprint"; }
		%[3]s
	}
}
`, dir, address, strings.Replace(string(location), "http://pushcam.local", p.url, 1))
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-e", "stderr", "-p", dir, "-c", path)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		defer timer.Stop()
		cmd.Wait() // how nginx ends does not matter
	})
	await(t, func() string { return "nginx to listen" }, func() bool {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	return address
}

// nginx collects small answers, unless X-Accel-Buffering forbids it. Frames of 1 kB
// would come together, some seconds late.
func TestNginxPassesFramesAtOnce(t *testing.T) {
	extra(t)
	t.Parallel()
	covers(t, "nginx", "passes small frames at once (X-Accel-Buffering), under /webcam/")
	p := start(t, "-source", "replay:"+recording(t), "-fps", "0.5")
	address := nginx(t, p)
	for _, path := range []string{"/webcam/stream", "/webcam/?action=stream", "/webcam/stream.mjpg"} {
		// In HTTP/1.0 nginx does not chunk what has no length.
		frames := get(t, address, path, "1.0")
		var least time.Duration
		for i := range 10 {
			part, err := frames.Next()
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if age := time.Since(part.Capture); i == 0 || age < least {
				least = age
			}
		}
		t.Logf("%s: the quickest of 10 frames was %v old", path, least.Round(time.Microsecond))
		if least > time.Second { // half of the time between two frames; even on a busy machine one frame is in time
			t.Errorf("%s: even the quickest frame was held back: it was %v old", path, least)
		}
	}
}

// A page behind nginx can log in by http, where browsers send Origin alone.
func TestLoginBehindNginx(t *testing.T) {
	extra(t)
	t.Parallel()
	covers(t, "nginx", "passes on the name it was asked by, so that a page can log in by http")
	const password, name = "look-and-see", "cam.example"
	p := start(t, "-size", "320x240", "-viewing", "closed", "-viewer-password", password, "-allow-host", name)
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+nginx(t, p)+"/webcam/login", strings.NewReader(url.Values{"password": {password}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = name
	r.Header.Set("Origin", "http://"+name)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) != 1 {
		t.Errorf("%s, %v", resp.Status, resp.Header)
	}
}

// The page and a session work behind a proxy that has only one path for the camera. So
// does the stream at the path that OctoPrint uses.
func TestPageBehindNginx(t *testing.T) {
	extra(t)
	eachEngine(t, "page, session and ?action=stream behind nginx, which has /webcam/ alone", func(t *testing.T, b browser) {
		p := start(t, "-size", "320x240", "-fps", "5") // three streams at once
		proxy := "http://" + nginx(t, p)
		tb := b.newTab(t)
		tb.open(proxy + "/webcam/")
		shown(t, tb, "#picture")
		moves(t, tb, "#picture")
		until(t, tb, `document.getElementById("state").textContent.includes("watching")`)
		for id, src := range map[string]string{
			"octoprint": `"/webcam/?action=stream"`,
			"session":   `await fetch("sessions", { method: "POST" }).then(a => a.json().then(s => new URL(s.url, a.url).href))`,
		} {
			var added string
			tb.eval(`(async () => document.body.appendChild(Object.assign(new Image(), { id: "`+id+`", src: `+src+` })).id)()`, &added)
			shown(t, tb, "#"+id)
			moves(t, tb, "#"+id)
		}
	})
}
