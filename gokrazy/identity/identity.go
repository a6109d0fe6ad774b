// Package identity is the key by which a camera proves who it is. The camera has it on
// its card; the owner's computer knows its fingerprint, and sends a password or an
// update to nobody else.
package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"regexp"
	"time"

	"github.com/pushcam/pushcam/gokrazy/durable"
)

// File is where the key is, in the program's state folder.
const File = "identity.pem"

const (
	maxFile   = 4 << 10 // bytes
	blockType = "PRIVATE KEY"
	badSuffix = ".bad"
)

// Key is a camera's key. It is for ECDSA with P-256, because browsers know no Ed25519.
type Key struct{ private *ecdsa.PrivateKey }

// New makes a key.
func New() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return &Key{private}, nil
}

// PEM is the key as File has it.
func (k *Key) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}), nil
}

func parse(text []byte) (*Key, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != blockType {
		return nil, errors.New("there is no private key in it")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, errors.New("its key is not for ECDSA with P-256")
	}
	return &Key{private}, nil
}

// Load reads the key at path. If there is none, it makes one, which only root can read.
// One that is damaged is set aside as path.bad, and damaged says why there is another
// one now. An error means that there is no key that will last.
func Load(path string) (k *Key, damaged, err error) {
	text, err := durable.ReadFile(path, maxFile)
	switch {
	case err == nil:
		k, damaged = parse(text)
		if damaged == nil {
			return k, nil, nil
		}
		if err := os.Rename(path, path+badSuffix); err != nil {
			return nil, damaged, fmt.Errorf("set the damaged key aside: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, err
	}
	if k, err = New(); err != nil {
		return nil, damaged, err
	}
	if text, err = k.PEM(); err == nil {
		err = durable.WriteFile(path, text)
	}
	if err != nil {
		return nil, damaged, fmt.Errorf("keep the key: %w", err)
	}
	return k, damaged, nil
}

// The time in which certificates are valid: always, because a camera may not know the
// time, and what counts is the key.
var (
	validFrom  = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	validUntil = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) // RFC 5280, 4.1.2.5
)

// Certificate is one for a camera with an id (device.ID) and these names on the
// network, signed by the key itself. It is the same each time, so that browsers in
// which the owner has accepted it do not ask again.
func (k *Key) Certificate(id string, names ...string) (tls.Certificate, error) {
	public, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		return tls.Certificate{}, err
	}
	serial := sha256.Sum256(public)
	template := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial[:16]),
		Subject:               pkix.Name{Organization: []string{"pushcam"}, CommonName: id},
		NotBefore:             validFrom,
		NotAfter:              validUntil,
		DNSNames:              names,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	// Without a source of random numbers the signature is always the same (RFC 6979).
	der, err := x509.CreateCertificate(nil, template, template, k.private.Public(), k.private)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k.private, Leaf: leaf}, nil
}

// Fingerprint is how people and pushcamctl name the certificate's key.
func Fingerprint(cert *x509.Certificate) string { return fingerprint(cert.RawSubjectPublicKeyInfo) }

// Fingerprint is that of the key.
func (k *Key) Fingerprint() string {
	public, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		panic(err) // a key that New or Load has made is one that can be written
	}
	return fingerprint(public)
}

// fingerprint is as ssh has it, but in the Base64 of URLs: one with slashes could be
// taken for a path.
func fingerprint(public []byte) string {
	sum := sha256.Sum256(public)
	return "SHA256:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

var fingerprintText = regexp.MustCompile(`^SHA256:[A-Za-z0-9_-]{43}$`)

// IsFingerprint tells whether a text is one.
func IsFingerprint(text string) bool { return fingerprintText.MatchString(text) }
