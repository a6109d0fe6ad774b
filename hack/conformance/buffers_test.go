package conformance

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushcam/pushcam/hack/bottleneck"
	"github.com/pushcam/pushcam/pusher/pushertest"
)

// A bufferedProxy is a proxy whose buffers the README bounds by some lines.
type bufferedProxy struct {
	name   string // in the README's table
	config string // with @LISTEN@, @CAMERA@, @DIR@ and @LINES@
	run    []string
	// adapt makes a line for @LINES@ out of a line of the README. It returns "" for a
	// line that is a command.
	adapt func(line, listen string) string
}

var bufferedProxies = []bufferedProxy{
	{"nginx", `daemon off; master_process off; pid @DIR@/pid; error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path @DIR@/b; proxy_temp_path @DIR@/p; fastcgi_temp_path @DIR@/f; uwsgi_temp_path @DIR@/u; scgi_temp_path @DIR@/s;
	server {
		@LINES@
		location / { proxy_pass @CAMERA@; }
	}
}
`, []string{"nginx", "-e", "stderr", "-p", "@DIR@", "-c", "@DIR@/config"},
		func(line, listen string) string { return strings.Replace(line, "listen 80", "listen "+listen, 1) }},
	{"haproxy", `global
	@LINES@
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
listen camera
	bind @LISTEN@
	server camera @CAMERA@
`, []string{"haproxy", "-db", "-f", "@DIR@/config"}, asItIs},
	{"Apache", `ServerRoot @DIR@
PidFile @DIR@/pid
ServerName proxy
ErrorLog @DIR@/log
Listen @LISTEN@
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
@LINES@
ProxyPass / @CAMERA@/
`, []string{"apache2", "-X", "-f", "@DIR@/config"}, asItIs},
	{"Caddy", `{
	admin off
	auto_https off
}
http://@LISTEN@ {
	reverse_proxy @CAMERA@
}
`, []string{"env", "HOME=@DIR@", "XDG_DATA_HOME=@DIR@", "caddy", "run", "--adapter", "caddyfile", "--config", "@DIR@/config"},
		func(string, string) string { return "" }},
}

func asItIs(line, _ string) string { return line }

// Behind a proxy, a viewer with a slow link sees old pictures: seconds of them wait in
// the proxy's socket buffers, which the camera cannot see. The README's lines bound
// those buffers.
func TestProxyBuffers(t *testing.T) {
	extra(t)
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	pictures := noise(t)
	for _, proxy := range bufferedProxies {
		t.Run(proxy.name, func(t *testing.T) {
			covers(t, proxy.name, "the README's lines bound the age of pictures behind it")
			need(t, proxy.run[slices.IndexFunc(proxy.run, func(arg string) bool { return arg != "env" && !strings.Contains(arg, "=") })])
			row := regexp.MustCompile(`(?m)^\| ` + proxy.name + `\b[^|]*\|([^|]*)\|`).FindSubmatch(readme)
			if row == nil {
				t.Fatalf("the README has no row for %s", proxy.name)
			}
			var lines []string
			for _, code := range regexp.MustCompile("`([^`]+)`").FindAllSubmatch(row[1], -1) {
				lines = append(lines, string(code[1]))
			}
			if len(lines) == 0 {
				t.Fatalf("the README has no lines for %s", proxy.name)
			}
			without := proxy.age(t, pictures, nil)
			with := proxy.age(t, pictures, lines)
			t.Logf("half of the pictures are older than %v without the lines, and %v with them", without, with)
			if with > time.Second || with > without {
				t.Errorf("the age of half of the pictures is %v, and %v without the README's lines", with, without)
			}
		})
	}
}

// noise is a recording of pictures of about 100 kB, more than the link below
// carries at 30 a second.
func noise(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 4 {
		img := image.NewGray(image.Rect(0, 0, 400, 300))
		for i := range img.Pix {
			img.Pix[i] = byte(r.Uint32())
		}
		var buf bytes.Buffer
		if err := jpeg.Encode(&buf, img, nil); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(n, ".jpg")), buf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// age is the median age of pictures that come through the proxy over a link of 12
// Mbit/s.
func (proxy bufferedProxy) age(t *testing.T, pictures string, lines []string) time.Duration {
	t.Helper()
	link, err := bottleneck.New(bottleneck.Path{Rate: 12e6, Buffer: bottleneck.BufferFor(12e6, 100*time.Millisecond), RTT: 4 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close() })
	there := func(cmd *exec.Cmd) error { return link.Server.Do(cmd.Start) }
	camera := startBy(t, there, "-listen", bottleneck.ServerAddr+":0", "-source", "replay:"+pictures)

	const port = "8001" // it is free: the namespace is new
	dir, listen := t.TempDir(), net.JoinHostPort(bottleneck.ServerAddr, port)
	var settings []string
	if proxy.name == "nginx" && lines == nil {
		settings = []string{"listen " + listen + ";"}
	}
	for _, line := range lines {
		if setting := proxy.adapt(line, listen); setting != "" {
			settings = append(settings, setting)
			continue
		}
		command := strings.Fields(line)
		cmd := exec.Command(command[0], command[1:]...)
		if err := link.Server.Do(cmd.Run); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	upstream := camera.url
	if proxy.name == "haproxy" {
		upstream = strings.TrimPrefix(upstream, "http://")
	}
	fill := strings.NewReplacer("@LISTEN@", listen, "@CAMERA@", upstream, "@DIR@", dir, "@LINES@", strings.Join(settings, "\n"))
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(fill.Replace(proxy.config)), 0o600); err != nil {
		t.Fatal(err)
	}
	var args []string
	for _, arg := range proxy.run {
		args = append(args, fill.Replace(arg))
	}
	background(t, there, exec.Command(args[0], args[1:]...))

	var conn net.Conn
	await(t, func() string { return proxy.name + " to listen" }, func() bool {
		conn, err = link.Client.Dial(t.Context(), listen)
		return err == nil
	})
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET /stream HTTP/1.0\r\nHost: %s\r\n\r\n", listen)
	s, err := pushertest.NewStreamReader(conn)
	if err != nil {
		t.Fatal(err)
	}
	const filling, frames = 100, 100 // the buffers fill first; both take 7 s
	var ages []time.Duration
	for n := range filling + frames {
		part, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if n >= filling {
			ages = append(ages, time.Since(part.Capture))
		}
	}
	slices.Sort(ages)
	return ages[len(ages)/2].Round(10 * time.Millisecond)
}
