package pusher

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// How memory is divided. For a viewer that reads slowly, the kernel holds one frame in
// the socket's buffer, and the program holds the frame that is being written. So half a
// megabyte is enough for frames of 250 kB.
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

// maxRequests bounds the connections that are no streams, whether they ask for the page,
// a snapshot or the state, or for nothing. Streams are bounded by Server.MaxViewers.
const maxRequests = 128

// refusal is the answer on a connection beyond maxRequests if none of the others can be
// closed, because each has a request under way.
const refusal = "HTTP/1.1 503 Service Unavailable\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\nRetry-After: 5\r\nConnection: close\r\n\r\n" +
	"The camera has too many connections; try again in a few seconds\n"

// requestLimit bounds a server's connections; it is the server's ConnState hook. When
// there is one too many, it closes the one that has been without a request for the
// longest time, so that open tabs and silent connections keep nobody out.
type requestLimit struct {
	mu    sync.Mutex
	open  int
	quiet map[net.Conn]time.Time // those without a request, and since when
}

func newRequestLimit() *requestLimit {
	return &requestLimit{quiet: make(map[net.Conn]time.Time)}
}

func (l *requestLimit) connState(c net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, own := c.(memoryConn); own {
		return
	}
	delete(l.quiet, c)
	switch state {
	case http.StateNew:
		if l.open++; l.open > maxRequests {
			l.makeRoom(c)
		}
		l.quiet[c] = time.Now()
	case http.StateIdle:
		l.quiet[c] = time.Now()
	case http.StateHijacked, http.StateClosed:
		l.open--
	}
}

// makeRoom closes the oldest quiet connection, or refuses c if there is none.
func (l *requestLimit) makeRoom(c net.Conn) {
	var oldest net.Conn
	for q, since := range l.quiet {
		if oldest == nil || since.Before(l.quiet[oldest]) {
			oldest = q
		}
	}
	if oldest != nil {
		delete(l.quiet, oldest)
		oldest.Close()
		return
	}
	// A new connection's send buffer is empty: this does not wait.
	c.SetWriteDeadline(time.Now().Add(time.Second))
	c.Write([]byte(refusal))
	c.Close()
}

// closeQuiet closes the connections without a request. Browsers open some in
// advance, and http.Server.Shutdown would wait for those.
func (l *requestLimit) closeQuiet() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.quiet {
		c.Close()
	}
}
