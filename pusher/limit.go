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

// refusal is all that a connection beyond maxRequests gets to hear.
const refusal = "HTTP/1.1 503 Service Unavailable\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\nRetry-After: 5\r\nConnection: close\r\n\r\n" +
	"The camera has too many connections; try again in a few seconds\n"

// requestLimit bounds a server's connections, as its ConnState hook. One too
// many is told so and closed, instead of waiting unheard.
type requestLimit struct {
	mu     sync.Mutex
	open   int
	silent map[net.Conn]struct{} // those on which no request has come yet
}

func newRequestLimit() *requestLimit {
	return &requestLimit{silent: make(map[net.Conn]struct{})}
}

func (l *requestLimit) connState(c net.Conn, state http.ConnState) {
	if l.count(c, state) > maxRequests && state == http.StateNew {
		// A new connection's send buffer is empty: this does not wait.
		c.SetWriteDeadline(time.Now().Add(time.Second))
		c.Write([]byte(refusal))
		c.Close()
	}
}

// count returns how many connections are open.
func (l *requestLimit) count(c net.Conn, state http.ConnState) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.silent, c)
	switch state {
	case http.StateNew:
		l.silent[c] = struct{}{}
		l.open++
	case http.StateHijacked, http.StateClosed:
		l.open--
	}
	return l.open
}

// closeSilent ends the connections on which no request has come yet. Browsers
// open some ahead, and http.Server.Shutdown would wait for them.
func (l *requestLimit) closeSilent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.silent {
		c.Close()
	}
}
