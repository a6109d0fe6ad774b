package pusher

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// How memory is divided. For a viewer that reads slowly, the kernel holds one frame in
// the socket's buffer, and the program holds the frame that is being written. So half a
// megabyte is enough for frames of 250 kB. If they are larger, there are fewer places.
const (
	DefaultMemory = 96 << 20 // bytes, for the whole process
	baseMemory    = 32 << 20 // the program, the camera's buffers, the newest frames
	viewerMemory  = 512 << 10
)

// ViewersFor is for how many viewers a memory budget in bytes is enough. Half as many
// sessions fit beside them.
func ViewersFor(memory int64) int {
	return int(max((memory-baseMemory)/viewerMemory, 2))
}

const (
	// maxConnections bounds the connections that are no streams, whether they ask for the
	// page, a snapshot or the state, or for nothing. Streams are bounded by
	// Limits.MaxViewers.
	maxConnections = 128
	// requestShare is how many requests of one address are answered at a time. It has
	// more connections than that, of which some ask for nothing.
	requestShare = 16

	// A connection that is refused is read before it is closed, up to these bounds. If
	// bytes were unread then, the client would see a reset instead of the answer.
	drainTime = 500 * time.Millisecond
	drainSize = 64 << 10
	// maxDrains is how many are read at a time; those beyond are closed at once.
	maxDrains = 64

	// acceptAgain is how long to wait when the system has nothing left for another
	// connection, and troubleAgain how long it must have been well until that is said
	// again.
	acceptAgain  = 100 * time.Millisecond
	troubleAgain = time.Minute
)

// refusal is the answer on a connection for which there is no room.
const refusal = "HTTP/1.1 503 Service Unavailable\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\nRetry-After: 5\r\nConnection: close\r\n\r\n" +
	"The camera has too many connections, or too many from your address; try again in a few seconds\n"

// connections are those of a server. One too many closes another that asks for nothing,
// so that open tabs and silent connections keep nobody out, or that has little use of it;
// see ledger.
type connections struct {
	log *slog.Logger

	mu       sync.Mutex
	open     *ledger
	requests *ledger // under way
	refused  uint64
	all      map[net.Conn]*connection

	draining sync.WaitGroup
	drains   chan struct{} // holds a token for each
}

// connection is one that is no stream.
type connection struct {
	conn  net.Conn
	from  netip.Addr
	busy  bool // a request is under way
	kept  bool // it is the owner's
	since time.Time
}

func newConnections(log *slog.Logger) *connections {
	requests := newLedger(maxConnections)
	requests.share = requestShare
	return &connections{
		log:      log,
		open:     newLedger(maxConnections),
		requests: requests,
		all:      make(map[net.Conn]*connection),
		drains:   make(chan struct{}, maxDrains),
	}
}

// door lets connections in.
type door struct {
	net.Listener
	connections *connections
	refusal     string    // what who is not let in is told
	troubled    time.Time // when the system last had nothing left
}

// Accept waits for a connection for which there is room.
func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		switch {
		case err == nil && d.connections.admit(conn):
			return conn, nil
		case err == nil:
			d.connections.log.Warn("a connection was refused", "from", conn.RemoteAddr())
			d.connections.refuse(conn, d.refusal)
		case !isShortage(err):
			return nil, err
		default:
			if time.Since(d.troubled) > troubleAgain {
				d.connections.log.Error("the system has nothing left for another connection", "err", err)
			}
			d.troubled = time.Now()
			d.connections.closeOneQuiet()
			time.Sleep(acceptAgain)
		}
	}
}

// isShortage tells errors that pass: no more descriptors or memory.
func isShortage(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit counts a new connection, or returns false if there is no room for it.
func (cs *connections) admit(conn net.Conn) bool {
	from := guestOf(conn.RemoteAddr())
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if !cs.open.room(from) && !cs.makeRoom(from) {
		cs.refused++
		return false
	}
	cs.open.add(from, 1)
	cs.all[conn] = &connection{conn: conn, from: from, since: time.Now()}
	return true
}

// makeRoom closes a connection for one from an address, or returns false. cs.mu is held.
func (cs *connections) makeRoom(from netip.Addr) bool {
	claims, conns := make([]claim, 0, len(cs.all)), make([]*connection, 0, len(cs.all))
	for _, c := range cs.all {
		claims = append(claims, claim{c.from, c.kept, !c.busy, c.since})
		conns = append(conns, c)
	}
	i := cs.open.yields(from, claims)
	if i >= 0 {
		cs.close(conns[i])
	}
	return i >= 0
}

// closeOneQuiet closes the connection that has asked for nothing for the longest time.
func (cs *connections) closeOneQuiet() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	var oldest *connection
	for _, c := range cs.all {
		if !c.busy && (oldest == nil || c.since.Before(oldest.since)) {
			oldest = c
		}
	}
	if oldest != nil {
		cs.close(oldest)
	}
}

// close closes a connection. What its client has not taken yet is thrown away if a
// request is under way: the client is slow, and the kernel's memory is wanted too. cs.mu
// is held.
func (cs *connections) close(c *connection) {
	if tcp, ok := c.conn.(*net.TCPConn); ok && c.busy {
		tcp.SetLinger(0) // if it fails, the memory comes back later
	}
	c.conn.Close()
	cs.forget(c)
}

// forget stops counting a connection. cs.mu is held.
func (cs *connections) forget(c *connection) {
	if cs.all[c.conn] != c {
		return
	}
	delete(cs.all, c.conn)
	cs.open.add(c.from, -1)
	cs.setBusy(c, false)
}

func (cs *connections) setBusy(c *connection, busy bool) {
	switch {
	case busy && !c.busy:
		cs.requests.add(c.from, 1)
	case !busy && c.busy:
		cs.requests.add(c.from, -1)
	}
	c.busy, c.since = busy, time.Now()
}

// state is the server's ConnState hook.
func (cs *connections) state(conn net.Conn, state http.ConnState) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c := cs.all[socketOf(conn)]; c != nil && (state == http.StateHijacked || state == http.StateClosed) {
		cs.forget(c)
	}
}

type connectionKey struct{}

// context is the server's ConnContext hook: requests know their connection.
func (cs *connections) context(ctx context.Context, conn net.Conn) context.Context {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return context.WithValue(ctx, connectionKey{}, cs.all[socketOf(conn)])
}

// connectionOf is a request's connection; nil if it is the program's own.
func connectionOf(r *http.Request) *connection {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	return c
}

// guest is the address that a request counts for.
func guest(r *http.Request) netip.Addr {
	if c := connectionOf(r); c != nil {
		return c.from
	}
	return netip.Addr{}
}

// begin counts a request on c, or returns false if there are too many of its address. It
// is under way until end is called.
func (cs *connections) begin(c *connection) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c == nil || cs.all[c.conn] != c {
		return true
	}
	if cs.requests.spent(c.from) {
		cs.refused++
		return false
	}
	cs.setBusy(c, true)
	return true
}

func (cs *connections) end(c *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c != nil {
		c.kept = false
		cs.setBusy(c, false)
	}
}

// keep protects a connection from giving way to others until its request is over.
func (cs *connections) keep(c *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c != nil {
		c.kept = true
	}
}

// refuse answers why there is no room, and closes conn.
func (cs *connections) refuse(conn net.Conn, why string) {
	conn.SetDeadline(time.Now().Add(drainTime))
	// A new connection's send buffer is empty: this does not wait.
	io.WriteString(conn, why) // a client that is gone has nobody to tell
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		conn.Close()
		return
	}
	select {
	case cs.drains <- struct{}{}:
	default:
		conn.Close()
		return
	}
	cs.draining.Go(func() {
		io.CopyN(io.Discard, conn, drainSize) // until the client closes, or a bound is reached
		conn.Close()
		<-cs.drains
	})
}

// closeQuiet closes the connections without a request. Browsers open some in advance, and
// http.Server.Shutdown would wait for those.
func (cs *connections) closeQuiet() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, c := range cs.all {
		if !c.busy {
			cs.close(c)
		}
	}
}
