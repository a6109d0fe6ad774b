package pusher

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"strconv"
)

// A TLSListener is one on which a Server speaks TLS.
type TLSListener struct {
	net.Listener
	// Config has the certificates. The rest of it is the Server's.
	Config *tls.Config
}

// config is that of a server of HTTP/1.1: a stream takes its connection over, which a
// stream of HTTP/2 cannot.
func (l *TLSListener) config() *tls.Config {
	c := l.Config.Clone()
	c.MinVersion = tls.VersionTLS12 // for browsers
	c.NextProtos = []string{"http/1.1"}
	return c
}

// socketOf is what a connection with TLS or without runs on. To close that does not wait
// for a peer that takes nothing: TLS would say goodbye to it for 5 s.
func socketOf(conn net.Conn) net.Conn {
	if outer, ok := conn.(*tls.Conn); ok {
		return outer.NetConn()
	}
	return conn
}

// redirectToTLS answers who asks without TLS where to ask, if that is wanted. The
// program's own requests are none of that.
func (s *Server) redirectToTLS(w http.ResponseWriter, r *http.Request) bool {
	if s.TLSPort == 0 || r.TLS != nil || connectionOf(r) == nil {
		return false
	}
	u := *r.URL
	u.Scheme, u.Host = "https", net.JoinHostPort(hostName(r.Host), strconv.Itoa(s.TLSPort))
	if s.TLSPort == 443 {
		u.Host = u.Host[:len(u.Host)-len(":443")]
	}
	// The same method, and not for good: it is a setting of today.
	http.Redirect(w, r, u.String(), http.StatusTemporaryRedirect)
	return true
}

// errorLog takes what http.Server has to say. Handshakes that fail are everybody's to
// cause, and what every browser does that is not asked for the certificate yet.
type errorLog struct{ log *slog.Logger }

func (l errorLog) Write(line []byte) (int, error) {
	write := l.log.Warn
	if bytes.HasPrefix(line, []byte("http: TLS handshake error")) {
		write = l.log.Debug
	}
	write(string(bytes.TrimSpace(line)))
	return len(line), nil
}
