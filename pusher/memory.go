package pusher

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// A MemoryListener is the way on which the program asks its own Server, among the
// listeners of which it is. It has no port that others can fill, and what comes on it is
// nobody's share. So a watchdog that looks on it sees whether the program works, and not
// how many strangers want something of it.
type MemoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

var _ net.Listener = (*MemoryListener)(nil)

// NewMemoryListener returns one that its Client can reach as soon as it is served.
func NewMemoryListener() *MemoryListener {
	l := &MemoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	return l
}

// memoryConn is a connection of a MemoryListener.
type memoryConn struct{ net.Conn }

type ownKey struct{}

// withOwn marks the context of a connection's requests if they are the program's own.
func withOwn(ctx context.Context, conn net.Conn) context.Context {
	if _, own := conn.(memoryConn); own {
		return context.WithValue(ctx, ownKey{}, true)
	}
	return ctx
}

// isOwn tells whether a request is the program's own.
func isOwn(r *http.Request) bool { return r.Context().Value(ownKey{}) != nil }

// Accept returns a connection of the Client, or net.ErrClosed after Close.
func (l *MemoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept; it never fails.
func (l *MemoryListener) Close() error {
	l.close()
	return nil
}

// Addr is no address that anything can be sent to.
func (l *MemoryListener) Addr() net.Addr { return memoryAddr{} }

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "the program itself" }

// Client returns a client whose requests all come here, whatever host they are for. Each
// is on a connection of its own.
func (l *MemoryListener) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			client, server := net.Pipe()
			select {
			case l.conns <- memoryConn{server}:
				return client, nil
			case <-l.closed:
				return nil, net.ErrClosed
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	}}
}
