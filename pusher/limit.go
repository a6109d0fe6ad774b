package pusher

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// What memory is planned for. A viewer that reads slowly holds one frame in its
// socket buffer and one in its hands; half a megabyte is both at 250 kB.
const (
	DefaultMemory = 96 << 20 // bytes, for the whole process
	baseMemory    = 32 << 20 // the program, the camera's buffers, the newest frames
	viewerMemory  = 512 << 10
)

// ViewersFor is how many viewers a memory budget in bytes is enough for. Half as
// many sessions fit beside them.
func ViewersFor(memory int64) int {
	return int(max((memory-baseMemory)/viewerMemory, 2))
}

// maxRequests is how many connections there may be beside the viewers', who are
// counted by their places: those that ask for a page, a snapshot or the state,
// and those that ask for nothing.
const maxRequests = 128

// refusal is all that a connection beyond maxRequests gets to hear when requests
// are under way on all the others.
const refusal = "HTTP/1.1 503 Service Unavailable\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\nRetry-After: 5\r\nConnection: close\r\n\r\n" +
	"The camera has too many connections; try again in a few seconds\n"

// requestLimit bounds a server's connections, as its ConnState hook. One too
// many takes the place of the one that has been quiet for the longest time, so
// that open tabs and silent connections keep nobody out.
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

// closeQuiet ends the connections without a request. Browsers open some ahead,
// and http.Server.Shutdown would wait for them.
func (l *requestLimit) closeQuiet() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.quiet {
		c.Close()
	}
}
