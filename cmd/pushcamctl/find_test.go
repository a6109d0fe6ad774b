package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/discovery"
)

// there is a pushcam whose state is text, and the URL of its page.
func there(t *testing.T, name, text string) (discovery.Found, string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }))
	t.Cleanup(server.Close)
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	return discovery.Found{
		Name: name, Host: name + ".local", Version: "v0", Path: "/",
		Addresses: []netip.Addr{at.Addr()}, Port: int(at.Port()),
	}, server.URL + "/"
}

func finds(all ...discovery.Found) *program {
	return &program{browse: func(ctx context.Context) ([]discovery.Found, error) {
		if _, ok := ctx.Deadline(); !ok {
			return nil, errors.New("without an end")
		}
		return all, nil
	}}
}

func TestFind(t *testing.T) {
	live, liveURL := there(t, "pushcam", `{"camera":{"phase":"live"},"program":{"version":"v1.2"},"update":{"message":"the update to v1.3 was rolled back: no\u001b camera"}}`)
	live.Model = "Raspberry Pi 3 Model B"
	fault, faultURL := there(t, "pushcam-2", `{"camera":{"phase":"no-camera","reason":"there is none"},"network":{"wifi":{"network":{"ssid":"ho\u001bme","signal_dbm":-63}}},"unowned":true}`)
	other, _ := there(t, "pushcam-3", `<html>`)
	stdout, stderr, code := try(t, finds(live, fault, other, discovery.Found{Host: "pushcam-4.local"}), "find")
	if code != 0 || stderr != "" {
		t.Errorf("exit status %d: %s", code, stderr)
	}
	var got [][]string
	for line := range strings.Lines(stdout) {
		var cells []string
		for cell := range strings.SplitSeq(line, "  ") {
			if cell = strings.TrimSpace(cell); cell != "" {
				cells = append(cells, cell)
			}
		}
		got = append(got, cells)
	}
	want := [][]string{
		{"NAME", "ADDRESS", "VERSION", "MODEL", "STATE"},
		{"pushcam.local", liveURL, "v1.2", "Raspberry Pi 3 Model B", "live; the update to v1.3 was rolled back: no\ufffd camera"},
		{"pushcam-2.local", faultURL, "v0", "-", "no-camera: there is none; Wi-Fi ho\ufffdme (-63 dBm); it has no owner yet: open its page and choose a password"},
		{"pushcam-3.local", "-", "v0", "-", "not known: what it gives as its state is not a pushcam's"},
		{"pushcam-4.local", "-", "-", "-", "not known: it has announced no address"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestFindJSON(t *testing.T) {
	live, url := there(t, "pushcam", `{"camera":{"phase":"live"},"program":{"version":"v1.2"}}`)
	stdout, _, code := try(t, finds(live), "find", "-json")
	want := `[
  {
    "name": "pushcam",
    "host": "pushcam.local",
    "addresses": [
      "127.0.0.1"
    ],
    "port": ` + strings.Trim(strings.TrimPrefix(url, "http://127.0.0.1:"), "/") + `,
    "path": "/",
    "version": "v0",
    "model": "",
    "state": {
      "phase": "live",
      "version": "v1.2"
    }
  }
]
`
	if diff := cmp.Diff(want, stdout); diff != "" || code != 0 {
		t.Errorf("exit status %d, -want +got:\n%s", code, diff)
	}
	if stdout, _, code := try(t, finds(), "find", "-json"); stdout != "[]\n" || code != 1 {
		t.Errorf("nothing found: %q, exit status %d", stdout, code)
	}
}

func TestFindNothing(t *testing.T) {
	stdout, stderr, code := try(t, finds(), "find")
	if code != 1 || stdout != "" || !strings.Contains(stderr, "no pushcam has answered") {
		t.Errorf("exit status %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestFindFails(t *testing.T) {
	p := &program{browse: func(context.Context) ([]discovery.Found, error) { return nil, errors.New("there is no network") }}
	if _, stderr, code := try(t, p, "find"); code != 1 || stderr != "pushcamctl: cannot look for pushcams: there is no network\n" {
		t.Errorf("exit status %d: %s", code, stderr)
	}
	if _, stderr, code := try(t, finds(), "find", "-timeout", "0s"); code != 2 || !strings.Contains(stderr, "-timeout is from 100ms to 1h, not 0s") {
		t.Errorf("exit status %d: %s", code, stderr)
	}
	if _, stderr, code := try(t, finds(), "find", "here"); code != 2 || !strings.Contains(stderr, "takes flags only") {
		t.Errorf("exit status %d: %s", code, stderr)
	}
}
