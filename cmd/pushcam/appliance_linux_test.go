package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/update/card/cardtest"
	"github.com/pushcam/pushcam/pusher/api/apitest"
)

// The whole program on a folder that looks like the appliance. It is run in a
// network of its own, because it announces itself there, and in a process of its own,
// because it is confined for good.
func TestAppliance(t *testing.T) {
	const inside = "PUSHCAM_TEST_APPLIANCE"
	if os.Getenv(inside) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAppliance$", "-test.v")
		dir, err := os.MkdirTemp("", "appliance") // the path of a socket has 107 bytes
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		cmd.Env = append(os.Environ(), inside+"=1", "TMPDIR="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		if os.Geteuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		}
		switch out, err := cmd.CombinedOutput(); {
		case err != nil && len(out) == 0 && os.Getenv("CI") == "true":
			t.Fatalf("no network of its own here: %v", err)
		case err != nil && len(out) == 0:
			t.Skipf("skipped: no network of its own here: %v", err)
		case err != nil:
			t.Errorf("%v\n%s", err, out)
		}
		return
	}

	card := cardtest.NewCard(t, 2)
	root := gokrazyRoot(t)
	for _, name := range []string{"dev", "proc", "sys"} {
		if err := os.Symlink(card.Root.Path(name), root.Path(name)); err != nil {
			t.Fatal(err)
		}
	}
	// What this test removes in /etc is on /perm, where a confined program may do so.
	if err := errors.Join(os.MkdirAll(root.Path("perm/etc"), 0o755), os.Symlink("perm/etc", root.Path("etc"))); err != nil {
		t.Fatal(err)
	}
	write(t, root.Path(device.LicensesFile), "the licences")
	socket := filepath.Join(t.TempDir(), "socket")
	t.Cleanup(func() { // a confined program removes no temporary folders
		if t.Failed() {
			os.Exit(1)
		}
		os.Exit(0)
	})
	_, stop := startOn(t, root, "-listen", "unix:"+socket, "-listen-tls", "127.0.0.1:0", "-led-gpio", "-1", "-button-gpio", "-1")
	web := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	get := func(path string) (int, string) {
		t.Helper()
		resp, err := web.Get("http://localhost" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	_, text := get("/state")
	var state struct {
		Kernel  struct{ Release, Package string }
		Network struct{ Reason string }
		Update  struct{ Phase string }
		ID      string
	}
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{cardtest.Kernel, "stock"}, []string{state.Kernel.Release, state.Kernel.Package}); diff != "" || state.Network.Reason == "" {
		t.Errorf("the kernel (-want +got):\n%s\nof %s", diff, text)
	}
	if id, err := device.ID(root); err != nil || state.ID != id {
		t.Errorf("the state tells the id %q, and the card has %q, %v", state.ID, id, err)
	}
	if err := os.Remove(root.Path(device.LicensesFile)); err != nil { // as on a card that does not answer any more
		t.Fatal(err)
	}
	if code, said := get("/licenses"); code != http.StatusOK || said != "the licences" {
		t.Errorf("the licences: %d %s", code, said)
	}
	if code, said := get("/api/update"); code != http.StatusForbidden || !strings.Contains(said, "owner") {
		t.Errorf("an appliance without a password has an owner: %d %s", code, said)
	}
	if err := stop(); err != nil {
		t.Errorf("the program ended with: %v", err)
	}
	if _, err := os.Stat(root.Path("perm/pushcam")); err != nil {
		t.Errorf("the settings are not where the appliance keeps them: %v", err)
	}

	hash, err := device.HashPassword(pcOwner)
	if err != nil {
		t.Fatal(err)
	}
	write(t, root.Path("perm", device.OwnerFile), hash)
	// A confined program opens no port, and sockets on /perm only.
	socket = root.Path("perm/socket")
	_, stop = startOn(t, root, "-listen", "unix:"+socket, "-listen-tls", "", "-led-gpio", "-1", "-button-gpio", "-1")
	asOwner(t, &web, stop)
	if err := stop(); err != nil {
		t.Errorf("the program ended with: %v", err)
	}
}

// asOwner asks what only an appliance answers its owner, and holds it against openapi.json.
func asOwner(t *testing.T, web *http.Client, stop func() error) {
	spec, err := apitest.Load()
	if err != nil {
		t.Fatal(err)
	}
	p := &ownedPC{t: t, url: "http://localhost", web: web, spec: spec, stop: stop}
	for _, s := range []struct {
		method, path, body string
		code               int
		says               string
	}{
		{"GET", "/api/settings", "", 200, `"name"`},
		{"PATCH", "/api/settings", `{"idle_hold":12}`, 200, `"value": 12,`},
		{"PATCH", "/api/settings", `{"idle_hold":null}`, 200, `"value": 10,`},
		{"PATCH", "/api/settings", `{"name":"not a name"}`, 422, `"name"`},
		{"PATCH", "/api/settings", `{"viewing":"closed"}`, 200, `"closed"`},
		{"GET", "/api/camera", "", 200, `"modes"`},
		{"GET", "/api/wifi", "", 409, "no Wi-Fi"},
		{"PUT", "/api/wifi", `{"ssid":"home"}`, 409, "no Wi-Fi"},
		{"GET", "/api/update", "", 200, `"max_root"`},
		{"GET", "/api/update/keys", "", 200, `"keys": []`},
		{"DELETE", "/api/update/keys?key=SHA256:none", "", 503, "not possible here"},
		{"POST", "/api/update/try", "", 503, "not possible here"},
		{"GET", "/api/report", "", 200, "pushcam "},
		{"POST", "/api/actions/poweroff", `{}`, 400, "sure"},
		{"POST", "/api/actions/reboot", `{"sure":false}`, 400, "sure"},
		{"POST", "/api/password", "old=" + pcOwner + "&new=short", 422, "too short"},
		{"POST", "/api/password", "old=" + pcOwner + "&new=another-password", 204, ""},
	} {
		header := []string{"If-Match", "*"}
		if s.path == "/api/password" {
			header = append(header, "Content-Type", "application/x-www-form-urlencoded")
		}
		if code, _, body := p.ask(s.method, s.path, s.body, header...); code != s.code || !strings.Contains(body, s.says) {
			t.Errorf("%s %s %s: %d %s, want %d with %q", s.method, s.path, s.body, code, body, s.code, s.says)
		}
	}
	resp, err := web.Get("http://localhost/state")
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a camera that was closed: %s", resp.Status)
	}
}
