package main

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/discovery"
)

func addrs(all ...string) (parsed []netip.Addr) {
	for _, a := range all {
		parsed = append(parsed, netip.MustParseAddr(a))
	}
	return parsed
}

func TestPage(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "proc/device-tree"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "proc/device-tree/model"), []byte("Raspberry Pi Zero 2 W Rev 1.0\x00"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		port    int
		network discovery.State
		means   string
		want    string
	}{
		{"ready", 80, discovery.State{Host: "pushcam-2.local", Addresses: addrs("192.168.178.23", "2001:db8::1", "fe80::1")}, "ready, nobody is watching",
			"pushcam\n\nhttp://pushcam-2.local/\nhttp://192.168.178.23/\n\nready, nobody is watching\n\nRaspberry Pi Zero 2 W Rev 1.0\n"},
		{"no network", 80, discovery.State{Reason: "there is no network"}, "no camera is found: check its cable",
			"pushcam\n\nthere is no network\n\nno camera is found: check its cable\n\nRaspberry Pi Zero 2 W Rev 1.0\n"},
		{"long lines, another port, many addresses", 8080, discovery.State{Host: strings.Repeat("a", 40) + ".local", Addresses: addrs("10.0.0.1", "10.0.1.1", "10.0.2.1", "10.0.3.1", "2001:db8::1")}, "privacy: the camera is closed until the button is pressed again",
			"pushcam\n\nhttp://" + strings.Repeat("a", 31) + "\n" + strings.Repeat("a", 9) + ".local:8080/\nhttp://10.0.0.1:8080/\nhttp://10.0.1.1:8080/\nhttp://10.0.2.1:8080/\n\nprivacy: the camera is closed until\nthe button is pressed again\n\nRaspberry Pi Zero 2 W Rev 1.0\n"},
		{"IPv6 only", 80, discovery.State{Host: "pushcam.local", Addresses: addrs("2001:db8::1", "fe80::1")}, "ready, nobody is watching",
			"pushcam\n\nhttp://pushcam.local/\nhttp://[2001:db8::1]/\n\nready, nobody is watching\n\nRaspberry Pi Zero 2 W Rev 1.0\n"},
		{"hostile", 80, discovery.State{Host: "\x1b[2J\x9b\n.local", Addresses: addrs("10.0.0.1")}, "é",
			"pushcam\n\nhttp://?[2J??.local/\nhttp://10.0.0.1/\n\n?\n\nRaspberry Pi Zero 2 W Rev 1.0\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &screen{root: device.Root(dir), port: c.port, means: func() string { return c.means }}
			text, ok := strings.CutPrefix(s.page(s.links(c.network), c.network.Reason), toFront+"\r\n ")
			if !ok || strings.Contains(text, "\x1b") {
				t.Errorf("the page is %q", text)
			}
			text = strings.ReplaceAll(text, "\r\n ", "\n")
			if diff := cmp.Diff(c.want, text[:min(len(text), len(c.want))]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			lines := strings.Split(text, "\n")
			for _, l := range lines {
				if len(l) > columns-2 {
					t.Errorf("%q is too long", l)
				}
			}
			if len(lines) > rows-2 {
				t.Errorf("%d lines", len(lines))
			}
		})
	}
}

// What is new is shown once, on the screen and on the serial line.
func TestScreen(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	took := func(terminal string) string {
		t.Helper()
		path := filepath.Join(dir, "dev", terminal)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, terminal := range []string{device.ScreenTerminal, device.SerialTerminal} {
		if err := os.WriteFile(filepath.Join(dir, "dev", terminal), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var network, means atomic.Value
		network.Store(discovery.State{Reason: "there is no network"})
		means.Store("ready, nobody is watching")
		s := &screen{root: device.Root(dir), port: 80, name: func() discovery.State { return network.Load().(discovery.State) }, means: func() string { return means.Load().(string) }, log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { s.run(ctx) })
		defer running.Wait()
		defer cancel()
		expect := func(screen, serial string) {
			t.Helper()
			synctest.Wait()
			if got := took(device.ScreenTerminal); !strings.Contains(got, screen) || (got == "") != (screen == "") {
				t.Errorf("the screen shows %q, want %q in it", got, screen)
			}
			if got := took(device.SerialTerminal); got != serial {
				t.Errorf("the serial line says %q, want %q", got, serial)
			}
		}
		expect("there is no network", "")
		time.Sleep(time.Minute)
		expect("", "")
		network.Store(discovery.State{Host: "pushcam.local", Addresses: addrs("10.0.2.15")})
		time.Sleep(lookAgain)
		expect("http://10.0.2.15/", "pushcam is at http://pushcam.local/ http://10.0.2.15/\r\n")
		means.Store("somebody is watching")
		time.Sleep(lookAgain)
		expect("somebody is watching", "")
		means.Store("shutting down: wait until it is dark")
		cancel()
		expect("shutting down", "")
	})
}
