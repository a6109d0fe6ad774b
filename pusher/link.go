package pusher

import (
	"fmt"
	"net"
	"time"
)

// link is the connection to a viewer as its sender sees it. It tells when the next frame
// may be written, and sets how fast the kernel sends it. Its methods do not allocate.
// They are for one goroutine at a time.
type link struct {
	gate   gate
	info   tcpInfo // as of the last ready
	socket *socket // nil if it cannot be looked into; then the link is always ready
	paced  uint32  // the pacing rate that is set, in bytes per second
	lossy  bool    // the socket uses the congestion control for lossy links
	direct bool    // bytes go to the socket as they are: without TLS
	asks   bool    // the reader may be asked; else the rule for readers is off
	reader reader
	silent time.Duration // how long the reader may take nothing
}

// newLink prepares c for frames, and has the kernel end it when its peer
// acknowledges nothing, or takes nothing, for timeout. The caller keeps c.
// Small segments are not delayed: that is net's default.
func newLink(c net.Conn, timeout time.Duration) (*link, error) {
	inner, tls := c.(interface{ NetConn() net.Conn })
	if tls {
		c = inner.NetConn()
	}
	if tc, ok := c.(*net.TCPConn); ok {
		// Keep-alives find out that the peer is gone while nothing is outstanding.
		err := tc.SetKeepAliveConfig(net.KeepAliveConfig{
			Enable:   true,
			Idle:     timeout / 2,
			Interval: timeout / 4,
			Count:    2,
		})
		if err != nil {
			return nil, fmt.Errorf("prepare connection: %w", err)
		}
	}
	s, err := newSocket(c)
	if err != nil {
		return nil, fmt.Errorf("prepare connection: %w", err)
	}
	return &link{socket: s, paced: unpaced, direct: !tls, silent: timeout}, nil
}

// ready tells whether the next frame may be written at now, the time since any fixed
// moment, and if not, how long to wait before asking again. The camera's next frame is
// expected at next, and interval is the time between two. After a yes the caller writes one
// frame at once. If probe is not 0 then, it writes only as many bytes of the frame, and the
// rest when the gate, asked every gateSamplePoll, is not sampling any more.
func (l *link) ready(now, next, interval time.Duration) (wait time.Duration, ok bool) {
	if l.socket == nil {
		return 0, true
	}
	if err := l.socket.read(&l.info); err != nil {
		return 0, true // the connection is gone: the write will say why
	}
	if l.asks && l.info.Peer && !l.info.Closed && !l.gate.sampling {
		l.reader.note(now, &l.info)
		if wait, ok := l.reader.check(now, next, l.silent, &l.info); !ok {
			l.gate.idle(now, &l.info)
			return wait, false
		}
	}
	v := l.gate.check(now, next, interval, &l.info)
	if l.gate.lossy && !l.lossy {
		l.socket.useBBR()
		l.lossy = true
	}
	if v.open && v.pace != l.paced {
		l.socket.pace(v.pace)
		l.paced = v.pace
	}
	return v.wait, v.open
}

// stalled is how long the peer has taken nothing although something was to be sent. For a
// new reader that is counted half while its system answers; see readerFirst.
func (l *link) stalled(now time.Duration) time.Duration {
	if l.socket == nil {
		return 0
	}
	d := l.gate.stalled(now)
	if l.asks && l.info.Peer {
		d = max(d, l.reader.stalled(now, &l.info))
		if l.reader.isNew() && l.info.LastAck < l.silent {
			d /= 2
		}
	}
	return d
}

// listen looks for a reader's answer while there is no new frame. It returns false if
// that is not needed.
func (l *link) listen(now time.Duration) bool {
	if !l.asks || !l.reader.listens(&l.info) || l.socket.read(&l.info) != nil {
		return false
	}
	l.reader.note(now, &l.info)
	l.gate.idle(now, &l.info)
	return true
}

// question tells whether to ask the reader now. It is for a link that is not ready.
func (l *link) question(now time.Duration) bool {
	return l.asks && l.info.Peer && l.reader.wants(now, &l.info)
}

// asked is told that a question was written.
func (l *link) asked(now time.Duration) {
	if l.socket.read(&l.info) == nil && l.info.Peer {
		l.reader.ask(now, &l.info)
	}
}

// sent is told that a frame of size bytes is written, and the time between two of them.
func (l *link) sent(now time.Duration, size int, interval time.Duration) {
	if l.asks {
		l.reader.sent(now, size, interval, &l.info)
	}
}

// write writes as much of bufs as the connection takes without waiting, and returns how
// many bytes that was. Nobody else may write at the same time. It returns no error: the
// next write to the connection does.
func (l *link) write(bufs *[3][]byte) int {
	if l.socket == nil || !l.direct {
		return 0
	}
	return l.socket.write(bufs)
}

// closing prepares for the close of the connection. What the peer has not taken yet, the
// kernel throws away if forget is set, and else keeps for the link's timeout at most.
func (l *link) closing(forget bool) {
	switch {
	case l.socket == nil:
	case forget:
		l.socket.resetOnClose()
	default:
		l.socket.giveUpAfter(l.silent)
	}
}

// look is for a link on which no frame may go for a while. It tells whether the peer has
// closed its sending side, or the whole connection, and notes whether it takes what is
// unsent.
func (l *link) look(now time.Duration) (peerClosed bool) {
	if l.socket == nil || l.socket.read(&l.info) != nil {
		return false
	}
	l.gate.idle(now, &l.info)
	return l.info.PeerClosed
}

// probe is how many bytes of the frame may be written while the gate is sampling;
// 0 means all.
func (l *link) probe() int {
	if !l.gate.sampling {
		return 0
	}
	return gateFloorSegments * int(l.info.MSS)
}
