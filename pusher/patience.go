package pusher

import (
	"crypto/tls"
	"sync"
	"time"
)

// patience puts off the deadline of a write under TLS for as long as the peer takes
// something. Without TLS a write that its deadline ends goes on with what is left; TLS is
// over with it (tls.Conn.SetWriteDeadline).
type patience struct {
	every  time.Duration // how often it looks
	extend func()        // puts the deadline off

	mu      sync.Mutex
	socket  *socket // nil if it cannot be looked into
	info    tcpInfo
	acked   uint64 // bytes, when it looked last
	writing bool
	timer   *time.Timer
}

// newPatience is for a connection on which a peer may take nothing for timeout.
func newPatience(conn *tls.Conn, timeout time.Duration, extend func()) *patience {
	p := &patience{every: timeout / 4, extend: extend}
	p.socket, _ = newSocket(conn.NetConn())   // without it the deadline stays as it is
	p.timer = time.AfterFunc(p.every, p.look) // which does nothing until begin
	return p
}

// begin is told that a write begins, and end that it has ended.
func (p *patience) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing = true
	p.took()
	p.timer.Reset(p.every)
}

func (p *patience) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing = false
	p.timer.Stop()
}

func (p *patience) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.writing {
		return
	}
	if p.took() {
		p.extend()
	}
	p.timer.Reset(p.every)
}

// took tells whether the peer has taken something since it was called last.
func (p *patience) took() bool {
	if p.socket == nil || p.socket.read(&p.info) != nil {
		return false
	}
	before := p.acked
	p.acked = p.info.Acked
	return p.acked != before
}

// extend puts off the deadline of a write that is under way.
func (v *viewer) extend() {
	v.conn.SetWriteDeadline(time.Now().Add(v.timeout))
	if v.yielded.Load() { // else the deadline that yield has set would be lost
		v.conn.SetWriteDeadline(time.Now())
	}
}
