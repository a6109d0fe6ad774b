package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/network/portal"
	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/network/wifi"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// portalEnv has the test's binary serve the set-up network on the link of this name,
// with what is below the folder that is its argument. Beside it, it listens as the
// camera's program does.
const portalEnv = "PUSHCAM_NETWORK_PORTAL"

// answerPatience is for one answer of the page, on the way to which passwords are hashed.
const answerPatience = 30 * time.Second

func servePortal(link string, root device.Root) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	l, err := c.Listen(ctx, "tcp", ":80")
	if err != nil {
		return err
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the camera") }))
	s := &setUp{root: root, log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		reload: func() { fmt.Println("reload") },
		rename: func(name []byte) error { fmt.Printf("rename %s\n", name); return nil }}
	s.serve(ctx, wifi.Opening{Link: link, SSID: "pushcam-setup-3F2A", Air: []wifi.Heard{{SSID: []byte("Home"), Signal: -50, Security: "WPA2"}, {SSID: []byte("Next door"), Signal: -80, Security: "WPA2"}}})
	return nil
}

// captiveChecks are what systems ask for, to see whether a network leads to the
// Internet.
var captiveChecks = []string{
	"http://connectivitycheck.gstatic.com/generate_204", // Android
	"http://captive.apple.com/hotspot-detect.html",      // iOS
	"http://www.msftconnecttest.com/connecttest.txt",    // Windows
	"http://detectportal.firefox.com/canonical.html",    // Firefox
}

// get is what a phone here gets; it does not follow where it is sent.
func (n *namespace) get(method string, host netip.Addr, to, body string) (*http.Response, string) {
	n.t.Helper()
	res, text, err := n.tryGet(method, host, to, body)
	if err != nil {
		n.t.Fatalf("%s %s: %v", method, to, err)
	}
	return res, text
}

func (n *namespace) tryGet(method string, host netip.Addr, to, body string) (res *http.Response, text string, err error) {
	n.do(func() {
		err = func() error {
			conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(host, 80).String(), answerPatience)
			if err != nil {
				return err
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(answerPatience))
			r, err := http.NewRequest(method, to, strings.NewReader(body))
			if err != nil {
				return err
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", "http://"+r.Host)
			r.Close = true
			if err := r.Write(conn); err != nil {
				return err
			}
			if res, err = http.ReadResponse(bufio.NewReader(conn), r); err != nil {
				return err
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			text = string(b)
			return err
		}()
	})
	return res, text, err
}

// resolve asks a name server here for the IPv4 address of a name.
func (n *namespace) resolve(server netip.Addr, name string) netip.Addr {
	n.t.Helper()
	var found netip.Addr
	var err error
	n.do(func() {
		err = func() error {
			conn, err := net.DialTimeout("udp", netip.AddrPortFrom(server, 53).String(), patience)
			if err != nil {
				return err
			}
			defer conn.Close()
			m := dnsmessage.Message{Header: dnsmessage.Header{ID: 1, RecursionDesired: true},
				Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name + "."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
			question, err := m.Pack()
			if err != nil {
				return err
			}
			conn.SetDeadline(time.Now().Add(patience))
			if _, err := conn.Write(question); err != nil {
				return err
			}
			answer := make([]byte, 512)
			size, err := conn.Read(answer)
			if err != nil {
				return err
			}
			if err := m.Unpack(answer[:size]); err != nil {
				return err
			}
			for _, r := range m.Answers {
				if a, ok := r.Body.(*dnsmessage.AResource); ok {
					found = netip.AddrFrom4(a.A)
				}
			}
			return nil
		}()
	})
	if err != nil {
		n.t.Fatalf("%s: %v", name, err)
	}
	return found
}

// Phones join the set-up network: they get addresses, every name and every page that
// they know leads to the set-up page, and what is typed there is kept. The camera's
// page is beside it, and who comes by another link finds only that.
func TestSetUpNetwork(t *testing.T) {
	t.Parallel()
	root := device.Root(t.TempDir())
	for name, text := range map[string]string{"proc/mounts": "/dev/mmcblk0p4 /perm ext4 rw 0 0\n", "perm/pushcam/.": "", "run/pushcam/.": ""} {
		path := root.Path(name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The set-up network is a switch here.
	camera := &router{namespace: newNamespace(t), prefix: portal.Address}
	camera.ip("link add lan type bridge")
	camera.ip("link set lan up")
	cmd := exec.Command(os.Args[0], string(root))
	cmd.Env = append(os.Environ(), portalEnv+"=lan")
	program := camera.start(cmd)
	await(t, "the page", func() error {
		if !strings.Contains(program.says(), "the set-up page is there") {
			return fmt.Errorf("it says %q", program.says())
		}
		return nil
	})

	phone, second := newCamera(t), newCamera(t)
	phone.plug("wlan0", camera)
	second.plug("wlan1", camera)
	here := portal.Address.Addr()
	if a, b := phone.awaitAddress("wlan0", camera), second.awaitAddress("wlan1", camera); a == b || a == here || a == portal.CameraAddress.Addr() {
		t.Errorf("the phones have %v and %v", a, b)
	}
	s := phone.await("the router", func(s status.Status) bool { return find(s, "wlan0").Default })
	if l := find(s, "wlan0"); l.Router != here || len(s.DNS) != 1 || s.DNS[0] != here {
		t.Errorf("the phone has the router %v and the name servers %v", l.Router, s.DNS)
	}

	for _, check := range append(captiveChecks, "http://pushcam.local/") {
		u, err := url.Parse(check)
		if err != nil {
			t.Fatal(err)
		}
		at := phone.resolve(s.DNS[0], u.Host)
		if at != here {
			t.Fatalf("%s is at %v", u.Host, at)
		}
		res, _ := phone.get("GET", at, check, "")
		if to := res.Header.Get("Location"); res.StatusCode != http.StatusFound || to != "http://4.3.2.1/" {
			t.Errorf("%s: %s to %q", check, res.Status, to)
		}
	}
	if res, page := phone.get("GET", here, "http://4.3.2.1/", ""); res.StatusCode != http.StatusOK || !strings.Contains(page, "Next door") {
		t.Errorf("%s: %s", res.Status, page)
	}
	if _, page := phone.get("GET", portal.CameraAddress.Addr(), "http://4.3.2.2/", ""); page != "the camera" {
		t.Errorf("the camera's own page is %q", page)
	}

	// Another network of the camera, whose computers send what is for the page's address
	// its way.
	lan := newNamespace(t)
	camera.ip("link add eth0 type veth peer name eth0 netns " + lan.path())
	camera.ip("addr add 192.168.1.1/24 dev eth0")
	camera.ip("link set eth0 up")
	lan.ip("addr add 192.168.1.2/24 dev eth0")
	lan.ip("link set eth0 up")
	lan.ip("route add 4.3.2.0/24 via 192.168.1.1")
	if _, page := lan.get("GET", here, "http://4.3.2.1/", ""); page != "the camera" {
		t.Errorf("who comes by another link finds %q", page)
	}

	form := url.Values{"network": {"486f6d65"}, "key": {"too short"[:7]}, "country": {"DE"}, "camera": {"garden"}, "password": {"my own password"}, "viewing": {"closed"}}
	if res, page := phone.get("POST", here, "http://4.3.2.1/", form.Encode()); res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(page, "at least 8 characters") {
		t.Errorf("%s: %s", res.Status, page)
	}
	form.Set("key", "correct horse")
	if res, page := phone.get("POST", here, "http://4.3.2.1/", form.Encode()); res.StatusCode != http.StatusOK || !strings.Contains(page, "http://garden.local/") {
		t.Errorf("%s: %s", res.Status, page)
	}
	key, err := setup.ParseKey([]byte("Home"), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := setup.Load(root)
	if err != nil || kept.Hostname != "garden" || kept.Country != "DE" || kept.Viewing != "closed" || len(kept.Networks) != 1 || string(kept.Networks[0].SSID) != "Home" || *kept.Networks[0].PSK != *key {
		t.Errorf("kept is %+v, %v", kept, err)
	}
	if ok, err := device.ReadOwner(root).Verify("my own password"); !ok {
		t.Errorf("the owner's password is not kept: %v", err)
	}
	await(t, "what follows", func() error {
		if said := program.says(); !strings.Contains(said, "rename garden\n") || !strings.Contains(said, "reload\n") {
			return fmt.Errorf("it says %q", said)
		}
		return nil
	})

	program.cmd.Process.Signal(syscall.SIGTERM)
	await(t, "the end", func() error {
		if left := camera.ip("-4 -o addr show dev lan"); left != "" {
			return fmt.Errorf("there is %q", left)
		}
		return nil
	})
}
