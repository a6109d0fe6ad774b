package main

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/identity"
)

// keyAt is the fingerprint of the key that a program proves to have.
func keyAt(t *testing.T, address string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return identity.Fingerprint(conn.ConnectionState().PeerCertificates[0])
}

// securely starts the program with TLS, and returns what /state says of that.
func securely(t *testing.T, args ...string) (address, fingerprint, trouble string, stop func() error) {
	t.Helper()
	greeting, stop := start(t, append([]string{"-listen", "127.0.0.1:0", "-listen-tls", "127.0.0.1:0", "-source", "pattern", "-size", "320x240"}, args...)...)
	url := strings.TrimSpace(greeting[strings.Index(greeting, "http"):])
	web := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for { // until the key was read
		resp, err := web.Get(url + "state")
		if err != nil {
			t.Fatal(err)
		}
		var s struct {
			TLS struct {
				Port                 int
				Fingerprint, Trouble string
			}
		}
		err = json.NewDecoder(resp.Body).Decode(&s)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if s.TLS.Trouble != "its certificate is not there yet" {
			return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.TLS.Port)), s.TLS.Fingerprint, s.TLS.Trouble, stop
		}
	}
}

// The program has the same key after it was started again, and tells it.
func TestTLSDoor(t *testing.T) {
	dir := t.TempDir()
	address, told, trouble, stop := securely(t, "-state-dir", dir)
	first := keyAt(t, address)
	if first != told || trouble != "" {
		t.Errorf("/state tells %q, %q; want %q", told, trouble, first)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, identity.File)); err != nil || info.Mode() != 0o600 {
		t.Errorf("the key: %v, %v", info.Mode(), err)
	}
	address, _, _, _ = securely(t, "-state-dir", dir)
	if again := keyAt(t, address); again != first {
		t.Errorf("the key is %s after a restart, and was %s", again, first)
	}
}

// The owner's own certificate takes the place of the program's.
func TestTLSDoorOwnCertificate(t *testing.T) {
	dir := t.TempDir()
	key, err := identity.New()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := key.Certificate("", "cam.example.org")
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	text, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	write(t, keyFile, string(text))
	write(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})))
	address, _, _, _ := securely(t, "-tls-cert", certFile, "-tls-key", keyFile)
	if got := keyAt(t, address); got != key.Fingerprint() {
		t.Errorf("the key is %s, want %s", got, key.Fingerprint())
	}
}

// Without a key that lasts there is no TLS, and everything else works.
func TestTLSDoorWithoutKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	for name, args := range map[string][]string{
		"nowhere to keep it":  {"-state-dir", filepath.Join(file, "state")},
		"no such certificate": {"-tls-cert", file + ".pem", "-tls-key", file + ".key"},
	} {
		t.Run(name, func(t *testing.T) {
			address, _, trouble, _ := securely(t, args...)
			if !strings.HasPrefix(trouble, "there is no certificate: ") {
				t.Errorf("the trouble is %q", trouble)
			}
			if conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}); err == nil {
				conn.Close()
				t.Error("it speaks TLS")
			}
		})
	}
}

// A damaged key is said to be so.
func TestTLSDoorDamagedKey(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, identity.File), "zeros")
	var said strings.Builder
	d := &tlsDoor{own: filepath.Join(dir, identity.File), log: slog.New(slog.NewTextHandler(&said, nil)), ready: make(chan struct{}), inner: noListener{}}
	if d.fingerprint() != "" {
		t.Error("a key before it was read")
	}
	if _, err := d.certificate(nil); err == nil {
		t.Error("a certificate before it was read")
	}
	if err := d.run(t.Context()); err != nil || !identity.IsFingerprint(d.fingerprint()) || !strings.Contains(said.String(), "set aside") {
		t.Errorf("%v, %q: %s", err, d.fingerprint(), said.String())
	}
}

type noListener struct{}

func (noListener) Accept() (net.Conn, error) { return nil, errors.ErrUnsupported }
func (noListener) Close() error              { return nil }
func (noListener) Addr() net.Addr            { return new(net.TCPAddr) }

// Flags of TLS that do not go together are refused in a sentence.
func TestTLSFlags(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"-listen-tls", ":8443", "-tls-cert", "a"}, "-tls-cert and -tls-key go together"},
		{[]string{"-tls-cert", "a", "-tls-key", "b"}, "need an address for TLS, as -listen-tls :8443"},
		{[]string{"-tls-redirect"}, "need an address for TLS, as -listen-tls :8443"},
	} {
		var stderr strings.Builder
		if err := run(t.Context(), noSystem, tt.args, noEnv, io.Discard, &stderr); !errors.Is(err, errUsage) || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%q: %v, %s", tt.args, err, stderr.String())
		}
	}
}
