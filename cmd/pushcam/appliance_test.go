package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/gokrazy/update/card"
	"github.com/pushcam/pushcam/pusher"
)

// calm is a camera of which nobody wants anything.
type calm struct{}

func (calm) Health() error            { return nil }
func (calm) FrameTime() time.Duration { return time.Second }

// newPage is what an owner chooses on the page of an appliance, and changes nothing else.
func newPage(t *testing.T, name string) *pageSettings {
	t.Helper()
	c, err := parse(noSystem, nil, noEnv, setup.Setup{}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	p := &pageSettings{kept: quietSettings(t.TempDir()), name: func() string { return name }, rename: func(string) error { return nil }, own: given{"pushcam", "default"}, apply: func(*config, *config) {}}
	p.now.Store(c)
	return p
}

// The appliance's owner reads the log and sees gokrazy's interface, with the
// password that was chosen first.
func TestOwner(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"run", "perm/pushcam", "proc"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "proc/mounts"), []byte("/dev/mmcblk0p4 /perm ext4 rw 0 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(root, "run/gokrazy-http.sock"))
	if err != nil {
		t.Fatal(err)
	}
	gokrazy := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "gokrazy "+r.URL.Path) })}
	closed := make(chan struct{})
	go func() { defer close(closed); gokrazy.Serve(socket) }()
	defer func() { gokrazy.Close(); <-closed }()

	book := newLogbook()
	log := slog.New(slog.NewTextHandler(book, nil))
	network := newNetwork("", nil, func(bool) {}, log)
	network.take(status.Status{Domain: "fritz.box"})
	appliance := &appliance{root: device.Root(root), log: log, network: network, owners: device.OpenOwnership(device.Root(root), device.ReadOwner(device.Root(root))), name: &discovery.Announcer{Hostname: "attic"}, updates: &update.Server{Card: &card.Card{Root: device.Root(root)}, Dir: t.TempDir(), Log: log}}
	page := newPage(t, "attic")
	server := &pusher.Server{
		Hub: pusher.NewHub(func(bool) {}), Camera: calm{}, Log: log,
		Owner: newOwner(&config{}, appliance, quietSettings(t.TempDir()), page, func() []string { return nil }, map[string]http.Handler{
			"/api/log":      book,
			"/api/controls": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "controls of "+r.URL.Path) }),
		}),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()
	defer func() { cancel(); <-served }()

	log.Info("hello, owner")
	web := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if resp, err := web.Get("http://" + l.Addr().String() + "/api/log"); err != nil || resp.Body.Close() != nil || resp.StatusCode != 403 {
		t.Errorf("before there is an owner: %v, %v", resp, err)
	}
	for _, first := range []struct {
		password string
		code     int
	}{{"short", 422}, {"the owner's", 303}, {"a stranger's", 409}} {
		resp, err := web.PostForm("http://"+l.Addr().String()+"/welcome", url.Values{"password": {first.password}, "again": {first.password}})
		if err != nil || resp.Body.Close() != nil || resp.StatusCode != first.code {
			t.Errorf("%q is chosen: %v, %v; want %d", first.password, resp, err, first.code)
		}
	}
	tests := []struct {
		host, path, password string
		code                 int
		body                 string // a part of it
	}{
		{"", "/api/log", "the owner's", 200, `msg="hello, owner"`},
		{"attic", "/api/log", "the owner's", 200, `msg="hello, owner"`},
		{"attic", "/api/update", "the owner's", 200, `"max_root": `},
		{"attic", "/api/controls", "the owner's", 200, "controls of /api/controls"},
		{"attic", "/api/update/try", "the owner's", 405, "takes POST"},
		{"attic", "/api/update/try", "", 401, "needs the owner's password"},
		{"attic.local", "/gokrazy/update/root", "the owner's", 403, "use pushcamctl update"},
		{"attic.local", "/gokrazy/status", "the owner's", 200, "gokrazy /status"},
		{"attic.fritz.box", "/gokrazy/status", "the owner's", 200, "gokrazy /status"}, // as the router calls it
		{"pushcam.local", "/gokrazy/status", "the owner's", 403, `not for "pushcam.local"`},
		{"other.fritz.box", "/gokrazy/status", "the owner's", 403, `not for "other.fritz.box"`},
		{"attic.example.com", "/gokrazy/status", "the owner's", 403, `not for "attic.example.com"`},
		{"", "/gokrazy/", "", 401, "needs the owner's password"},
		{"", "/api/log", "a stranger's", 401, "not the owner's password"},
	}
	for _, tt := range tests {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+l.Addr().String()+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = tt.host
		if tt.password != "" {
			r.SetBasicAuth("gokrazy", tt.password)
		}
		resp, err := web.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tt.code || !strings.Contains(string(body), tt.body) {
			t.Errorf("%s %s: %d %q, %v; want %d with %q", tt.host, tt.path, resp.StatusCode, body, err, tt.code, tt.body)
		}
	}
	if text, _, _, _ := book.from(0); strings.Contains(string(text), "the owner's\"") || !strings.Contains(string(text), "a wrong password") {
		t.Errorf("the log is %s", text)
	}
}

// An update may be made for any name as soon as the name is on /perm, and not before.
func TestKeepName(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for name, kept := range map[string]bool{"perm": true, "perm that is no folder": false} {
		root := t.TempDir()
		if !kept {
			if err := os.WriteFile(filepath.Join(root, "perm"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		a := &appliance{root: device.Root(root), log: log, name: &discovery.Announcer{Hostname: "garden"}, updates: &update.Server{}}
		a.keepName()
		now, err := setup.Load(a.root)
		if a.updates.KeepsName.Load() != kept || (now.Hostname == "garden") != kept || err != nil {
			t.Errorf("%s: it keeps its name: %v; %+v, %v", name, a.updates.KeepsName.Load(), now, err)
		}
	}
}
