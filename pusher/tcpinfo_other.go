//go:build !linux

package pusher

import (
	"net"
	"time"
)

// socket knows nothing of its connection here: the gate stands open, and
// stale frames can queue in the socket buffer. The appliance runs Linux; this
// is for development.
type socket struct{}

func newSocket(net.Conn, time.Duration) (*socket, error) { return &socket{}, nil }

func (*socket) read(ti *tcpInfo) error {
	*ti = tcpInfo{}
	return nil
}

func (*socket) pace(uint32) {}

func (*socket) write(*[3][]byte) int { return 0 }

func (*socket) useBBR() {}

func (*socket) resetOnClose() {}
