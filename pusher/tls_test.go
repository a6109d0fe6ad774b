package pusher

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pushcam/pushcam/pusher/pushertest"
)

// testCertificate is one that its own key has signed.
func testCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// secured serves without TLS and with it. What the server logs is in said.
type secured struct {
	*Server
	plain, secure string // addresses
	said          *syncBuffer
}

// syncBuffer is written and read by several goroutines.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func serveSecured(t *testing.T, cert tls.Certificate, change func(*Server)) *secured {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	said := new(syncBuffer)
	s := &Server{Hub: NewHub(nil), Camera: new(fakeCamera), Log: slog.New(slog.NewTextHandler(said, nil))}
	if change != nil {
		change(s)
	}
	var listeners [2]net.Listener
	for i := range listeners {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i] = l
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		served <- s.Serve(ctx, &begins{listeners[0], sync.OnceFunc(func() { close(begun) })}, &TLSListener{Listener: listeners[1], Config: &tls.Config{Certificates: []tls.Certificate{cert}}})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	<-begun
	return &secured{s, listeners[0].Addr().String(), listeners[1].Addr().String(), said}
}

// begins tells when its server has begun.
type begins struct {
	net.Listener
	tell func()
}

func (b *begins) Accept() (net.Conn, error) {
	b.tell()
	return b.Listener.Accept()
}

// dialTLS connects with TLS, as anybody who does not look at the certificate.
func dialTLS(t *testing.T, address string) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

// A viewer has the same stream with TLS, on a connection that is counted as any other.
func TestTLS(t *testing.T) {
	s := serveSecured(t, testCertificate(t), nil)
	conn := dialTLS(t, s.secure)
	if p := conn.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
		t.Errorf("the protocol is %q", p)
	}
	s.Hub.Publish(testFrame(1))
	fmt.Fprintf(conn, "GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
	r, err := pushertest.NewStreamReader(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Error(err)
	}
	idle := dialTLS(t, s.secure)
	fmt.Fprintf(idle, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(idle), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	s.connections.mu.Lock()
	open := len(s.connections.all)
	s.connections.mu.Unlock()
	if open != 1 {
		t.Errorf("%d connections are counted beside the stream, want 1", open)
	}
}

// Who takes one port for the other hears so.
func TestTLSMistaken(t *testing.T) {
	t.Attr("fault", "network | HTTP to the port of TLS, and TLS to that of HTTP | an answer that says so, no line in the log | at once")
	s := serveSecured(t, testCertificate(t), nil)
	conn, err := net.Dial("tcp", s.secure)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if text, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(text), "HTTP/1.0 400 ") || !strings.Contains(string(text), "Client sent an HTTP request to an HTTPS server") {
		t.Errorf("without TLS to TLS: %q, %v", text, err)
	}
	_, err = tls.Dial("tcp", s.plain, &tls.Config{InsecureSkipVerify: true})
	if wrong := new(tls.RecordHeaderError); !errors.As(err, wrong) {
		t.Errorf("TLS to what speaks none: %v", err)
	}
	// Any browser that has not accepted the certificate yet does this.
	_, err = tls.Dial("tcp", s.secure, new(tls.Config))
	if unknown := new(tls.CertificateVerificationError); !errors.As(err, &unknown) {
		t.Errorf("a certificate that nobody knows: %v", err)
	}
	if said := s.said.String(); strings.Contains(said, "handshake") {
		t.Errorf("the owner's log is full of handshakes: %s", said)
	}
}

// Half handshakes take a place only until somebody else wants it, and end with the
// server.
func TestTLSHalfHandshakes(t *testing.T) {
	t.Attr("fault", "abuse | handshakes of TLS that are never finished | others connect with TLS | as many connections as without")
	s := serveSecured(t, testCertificate(t), nil)
	for i := range 2 * maxConnections {
		conn, err := net.Dial("tcp", s.secure)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Write([]byte("\x16\x03\x01\x02\x00\x01")[:i%7]) // a part of a ClientHello, or nothing
	}
	s.connections.mu.Lock()
	open := len(s.connections.all)
	s.connections.mu.Unlock()
	if open > maxConnections {
		t.Errorf("%d connections are open", open)
	}
	conn := dialTLS(t, s.secure)
	fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("nobody else gets an answer: %v", err)
	}
	resp.Body.Close()
}

// The end of the server does not wait for viewers with TLS that take nothing.
func TestTLSCloseViewers(t *testing.T) {
	cert := testCertificate(t)
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		client := tls.Client(theirs, &tls.Config{InsecureSkipVerify: true})
		ready := make(chan error, 1)
		go func() { ready <- client.Handshake() }()
		conn := tls.Server(ours, &tls.Config{Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true})
		if err := errors.Join(conn.Handshake(), <-ready); err != nil {
			t.Fatal(err)
		}
		s := &Server{viewers: map[*viewer]struct{}{{conn: conn}: {}}}
		began := time.Now()
		s.closeViewers()
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// Everybody is sent to TLS if that is wanted, but for the program itself.
func TestTLSRedirect(t *testing.T) {
	for port, want := range map[int]string{443: "https://pushcam.local/stream?fps=3", 8443: "https://pushcam.local:8443/stream?fps=3"} {
		t.Run(want, func(t *testing.T) {
			s := serveSecured(t, testCertificate(t), func(s *Server) { s.TLSPort = port })
			conn, err := net.Dial("tcp", s.plain)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET /stream?fps=3 HTTP/1.1\r\nHost: pushcam.local:80\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusTemporaryRedirect || got != want {
				t.Errorf("status %d to %q, want %q", resp.StatusCode, got, want)
			}
			secure := dialTLS(t, s.secure)
			fmt.Fprintf(secure, "GET /healthz HTTP/1.1\r\nHost: pushcam.local\r\n\r\n")
			if resp, err = http.ReadResponse(bufio.NewReader(secure), nil); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("with TLS: %v, %v", resp, err)
			}
		})
	}
	itself := NewMemoryListener()
	s := &Server{Hub: NewHub(nil), Camera: new(fakeCamera), TLSPort: 443}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, itself) }()
	resp, err := itself.Client().Get("http://itself/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the program itself: status %d", resp.StatusCode)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// A login by https has another cookie than one by http, because browsers do not let the
// latter replace the former. A logout ends both.
func TestTLSLogin(t *testing.T) {
	s := serveSecured(t, testCertificate(t), withOwner(map[string]http.Handler{"/own": says("own")}))
	web := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ask := func(site, method, path, form string, cookies ...*http.Cookie) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, site+path, strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, c := range cookies {
			r.AddCookie(c)
		}
		resp, err := web.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	plain, secure := "http://"+s.plain, "https://"+s.secure
	var cookies []*http.Cookie
	for _, site := range []string{plain, secure} {
		cookies = append(cookies, ask(site, "POST", "/login", url.Values{"password": {ownersPassword}}.Encode()).Cookies()...)
	}
	if len(cookies) != 2 || cookies[0].Name == cookies[1].Name || cookies[0].Secure || !cookies[1].Secure {
		t.Fatalf("the cookies are %v", cookies)
	}
	for i, site := range []string{plain, secure} {
		if resp := ask(site, "GET", "/own", "", cookies[i]); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", site, resp.StatusCode)
		}
	}
	if gone := ask(secure, "POST", "/logout", "", cookies...).Cookies(); len(gone) != 2 || gone[0].MaxAge >= 0 || gone[1].MaxAge >= 0 {
		t.Errorf("the logout leaves %v", gone)
	}
	for i, site := range []string{plain, secure} {
		if resp := ask(site, "GET", "/own", "", cookies[i]); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: status %d after the logout", site, resp.StatusCode)
		}
	}
}
