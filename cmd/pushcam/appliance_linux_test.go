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
}
