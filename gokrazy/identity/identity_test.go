package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// The key is made once, for root alone, and is the same afterwards.
func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", File)
	first, damaged, err := Load(path)
	if err != nil || damaged != nil {
		t.Fatal(err, damaged)
	}
	if !IsFingerprint(first.Fingerprint()) {
		t.Errorf("its fingerprint is %q", first.Fingerprint())
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	again, damaged, err := Load(path)
	if err != nil || damaged != nil || again.Fingerprint() != first.Fingerprint() {
		t.Errorf("%v, %v, %v; want %v", again.Fingerprint(), damaged, err, first.Fingerprint())
	}
	other, err := New()
	if err != nil || other.Fingerprint() == first.Fingerprint() {
		t.Errorf("another key is the same: %v", err)
	}
}

// A key that is damaged is set aside, and there is another one.
func TestLoadDamaged(t *testing.T) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"empty":           nil,
		"zeros":           make([]byte, 300),
		"no DER":          pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: []byte("x")}),
		"of another kind": pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), File)
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			k, damaged, err := Load(path)
			if err != nil || damaged == nil || k == nil {
				t.Fatalf("%v, %v", damaged, err)
			}
			if aside, err := os.ReadFile(path + badSuffix); err != nil || !bytes.Equal(aside, text) {
				t.Errorf("set aside is %q, %v", aside, err)
			}
			if again, damaged, err := Load(path); err != nil || damaged != nil || again.Fingerprint() != k.Fingerprint() {
				t.Errorf("the new one does not last: %v, %v", damaged, err)
			}
		})
	}
}

// A key that cannot be kept is none: it would be another one after each start.
func TestLoadCannotKeep(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if k, _, err := Load(filepath.Join(file, File)); err == nil || k != nil {
		t.Error("a key in no folder")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, File), 0o700); err != nil {
		t.Fatal(err)
	}
	if k, _, err := Load(filepath.Join(dir, File)); err == nil || k != nil {
		t.Error("a folder is a key")
	}
}

// The certificate is the same each time, is for its names, and proves the key.
func TestCertificate(t *testing.T) {
	k, err := New()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := k.Certificate("ID", "pushcam.local", "pushcam")
	if err != nil {
		t.Fatal(err)
	}
	again, err := k.Certificate("ID", "pushcam.local", "pushcam")
	if err != nil || !bytes.Equal(cert.Certificate[0], again.Certificate[0]) {
		t.Errorf("two certificates of a key differ, %v", err)
	}
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	failed := errors.New("no certificate")
	client := tls.Client(ours, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, VerifyConnection: func(s tls.ConnectionState) error {
		leaf := s.PeerCertificates[0]
		if Fingerprint(leaf) != k.Fingerprint() || leaf.Subject.CommonName != "ID" || leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) != nil {
			return failed
		}
		return leaf.VerifyHostname("pushcam.local")
	}})
	served := make(chan error, 1)
	go func() { served <- tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// What the card holds may be anything.
func FuzzParse(f *testing.F) {
	k, err := New()
	if err != nil {
		f.Fatal(err)
	}
	text, err := k.PEM()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := parse(text)
		if err != nil {
			return
		}
		if _, err := k.Certificate("id", "name"); err != nil || !IsFingerprint(k.Fingerprint()) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
