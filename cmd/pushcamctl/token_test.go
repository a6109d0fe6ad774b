package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/identity"
	"github.com/pushcam/pushcam/pusher"
)

// closedCamera serves a camera whose viewing is closed, with TLS and without, and with more
// answers for its owner, and returns a program that reaches it as attic.local, and the URL of
// its page.
func closedCamera(t *testing.T, answers map[string]http.Handler) (p *program, page string) {
	t.Helper()
	key, err := identity.New()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := key.Certificate("")
	if err != nil {
		t.Fatal(err)
	}
	var listeners [2]net.Listener
	for i := range listeners {
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	secure, plain := listeners[0].Addr().String(), listeners[1].Addr().String()
	listeners[0] = tls.NewListener(listeners[0], &tls.Config{Certificates: []tls.Certificate{cert}})
	server := &pusher.Server{
		Hub:     pusher.NewHub(func(bool) {}),
		Owner:   &pusher.Owner{Verify: func(password string) (bool, error) { return password == "the owner's", nil }, Names: func() []string { return nil }, Answers: answers},
		Viewing: new(pusher.Viewing),
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listeners[:]...) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	p = &program{
		self: "pushcamctl", configDir: func() (string, error) { return dir, nil },
		lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
		dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, secure)
		},
	}
	if err := (knownCameras{p.configDir}).add(key.Fingerprint(), "attic"); err != nil {
		t.Fatal(err)
	}
	oldPasswordFile(t, dir, "attic", "the owner's\n")
	return p, "http://" + plain
}

// Tokens of a camera as it is: what is made lets look, and what is revoked does not.
func TestToken(t *testing.T) {
	p, page := closedCamera(t, nil)
	run := func(code int, want string, args ...string) (said string) {
		t.Helper()
		stdout, stderr, got := try(t, p, append([]string{"token", "attic"}, args...)...)
		if said = stdout + stderr; got != code || !strings.Contains(said, want) {
			t.Errorf("%q: exit status %d: %s; want %d and %q", args, got, said, code, want)
		}
		return said
	}
	looks := func(token string) int {
		t.Helper()
		resp, err := http.Get(page + "/state?token=" + token)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	run(0, "attic has no tokens; make one with: pushcamctl token -make recorder attic\n")
	made := regexp.MustCompile(`shown this once: ([A-Z2-7]+)\n.*\n  http://attic\.local/stream\?token=([A-Z2-7]+)\n$`).FindStringSubmatch(run(0, "The token the recorder is made", "-make", "the recorder"))
	if made == nil || made[1] != made[2] {
		t.Fatalf("%q", made)
	}
	if code := looks(made[1]); code != http.StatusOK {
		t.Errorf("with the token: status %d", code)
	}
	if said := run(0, "  the recorder\n"); strings.Contains(said, made[1]) {
		t.Errorf("the list shows the secret: %s", said)
	}
	run(1, `refused: attic says: There is a token "the recorder" already`, "-make", "the recorder")
	run(1, `attic has no token "another"; pushcamctl token attic lists those that it has`, "-revoke", "another")
	run(0, "The token the recorder is revoked", "-revoke", "the recorder")
	if code := looks(made[1]); code != http.StatusUnauthorized && code != http.StatusForbidden {
		t.Errorf("with the revoked token: status %d", code)
	}
	run(0, "attic has no tokens")
	run(2, "one after the other", "-make", "a", "-revoke", "b")
	if _, stderr, code := try(t, p, "token"); code != 2 || !strings.Contains(stderr, "which pushcam?") {
		t.Errorf("without a host: exit status %d: %s", code, stderr)
	}
}
