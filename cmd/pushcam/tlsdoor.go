package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"

	"github.com/pushcam/pushcam/gokrazy/identity"
	"github.com/pushcam/pushcam/pusher"
)

// tlsDoor is where the program speaks TLS. It proves who it is by a key of its own,
// which is on the card, or by files that the owner gives. Those are read aside: a card
// that does not answer keeps nobody waiting.
type tlsDoor struct {
	inner     net.Listener
	file, key string   // of the owner's certificate; or ""
	own       string   // where the key of its own is
	id        string   // for the certificate of that
	names     []string // the same
	log       *slog.Logger
	ready     chan struct{} // closed when what follows is set
	cert      *tls.Certificate
	keyPrint  string
	trouble   error // why there is no certificate
}

// openTLSDoor listens on the address of -listen-tls. It returns nil if there is none.
func openTLSDoor(ctx context.Context, c *config, log *slog.Logger) (*tlsDoor, error) {
	if c.listenTLS == "" {
		return nil, nil
	}
	l, err := listenOn(ctx, "-listen-tls", c.listenTLS, false)
	if err != nil {
		return nil, err
	}
	return &tlsDoor{inner: l, file: c.tlsCert, key: c.tlsKey, own: filepath.Join(c.stateDir, identity.File), log: log, ready: make(chan struct{})}, nil
}

// listener is for a pusher.Server. Who comes before run has found a certificate gets
// none.
func (d *tlsDoor) listener() net.Listener {
	return &pusher.TLSListener{Listener: d.inner, Config: &tls.Config{GetCertificate: d.certificate}}
}

// port is 0 on a unix socket.
func (d *tlsDoor) port() int {
	if a, ok := d.inner.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// certificate does not wait for run: nothing would end that when the server ends.
func (d *tlsDoor) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	select {
	case <-d.ready:
		return d.cert, d.trouble
	default:
		return nil, errors.New("there is no certificate yet")
	}
}

// run finds the certificate.
func (d *tlsDoor) run(context.Context) error {
	defer close(d.ready)
	cert, err := d.find()
	if err != nil {
		d.trouble = fmt.Errorf("there is no certificate: %w", err)
		d.log.Error("nobody can connect with TLS", "err", err)
		return nil
	}
	d.cert, d.keyPrint = &cert, identity.Fingerprint(cert.Leaf)
	d.log.Info("TLS is spoken", "address", d.inner.Addr(), "key", d.keyPrint)
	return nil
}

func (d *tlsDoor) find() (tls.Certificate, error) {
	if d.file != "" {
		cert, err := tls.LoadX509KeyPair(d.file, d.key)
		if err == nil && cert.Leaf == nil {
			cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0])
		}
		return cert, err
	}
	k, damaged, err := identity.Load(d.own)
	if damaged != nil {
		d.log.Error("the key for TLS was damaged and set aside; pushcamctl must be told the new one", "why", damaged)
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	return k.Certificate(d.id, d.names...)
}

// fingerprint is that of the key, or "" if there is none, or not yet.
func (d *tlsDoor) fingerprint() string {
	if d == nil {
		return ""
	}
	select {
	case <-d.ready:
		return d.keyPrint
	default:
		return ""
	}
}

// state is the part of /state on it.
func (d *tlsDoor) state() any {
	s := struct {
		Port        int    `json:"port,omitempty"`
		Fingerprint string `json:"fingerprint,omitempty"`
		Trouble     string `json:"trouble,omitempty"`
	}{Port: d.port()}
	select {
	case <-d.ready:
		s.Fingerprint = d.keyPrint
		if d.trouble != nil {
			s.Trouble = d.trouble.Error()
		}
	default:
		s.Trouble = "its certificate is not there yet"
	}
	return s
}
