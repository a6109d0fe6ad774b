package conformance

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// passage passes connections on to a program, until it is to lose them.
type passage struct {
	to string
	// rate is how many bytes a second go to the clients, of all their connections one after
	// the other, as through a slow link; 0 is no limit.
	rate int
	line sync.Mutex // the one that uses it, or changes its rate

	mu      sync.Mutex
	clients []net.Conn
	servers map[net.Conn]bool // those that are not lost
}

// passageTo listens until the test is over, and gives the program by the address there.
func passageTo(t *testing.T, p *program, rate int) (*passage, *program) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &passage{rate: rate, to: strings.TrimPrefix(p.url, "http://"), servers: make(map[net.Conn]bool)}
	var passing sync.WaitGroup
	passing.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			passing.Go(func() { r.pass(client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.lose()
		r.mu.Lock()
		for _, client := range r.clients {
			client.Close()
		}
		r.mu.Unlock()
		passing.Wait()
	})
	through := *p
	through.url = "http://" + l.Addr().String()
	return r, &through
}

func (r *passage) pass(client net.Conn) {
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		client.Close()
		return
	}
	r.mu.Lock()
	r.clients = append(r.clients, client)
	r.servers[server] = true
	r.mu.Unlock()
	go func() {
		io.Copy(server, client)
		server.Close()
	}()
	io.CopyBuffer(onLine{client, r}, onlyReader{server}, make([]byte, segment))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.servers[server] {
		client.Close()
	}
}

// segment is how much goes over the line at a time.
const segment = 1400

// onLine is a client at the end of the passage's line.
type onLine struct {
	client net.Conn
	*passage
}

func (l onLine) Write(b []byte) (int, error) {
	l.line.Lock()
	if l.rate > 0 {
		time.Sleep(time.Duration(len(b)) * time.Second / time.Duration(l.rate))
	}
	l.line.Unlock()
	return l.client.Write(b)
}

// setRate makes the line slower or faster.
func (r *passage) setRate(rate int) {
	r.line.Lock()
	defer r.line.Unlock()
	r.rate = rate
}

// onlyReader keeps io.CopyBuffer from using another buffer than its own.
type onlyReader struct{ io.Reader }

// lose ends all connections for the program. Their clients hear nothing of that, nor of
// anything else.
func (r *passage) lose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for server := range r.servers {
		delete(r.servers, server)
		server.Close()
	}
}

// A camera that was out of its network for a while has given the connections up, and no
// packet of it has said so. The owner's page hears of what changes all the same, and what is
// being typed there stays.
func TestPanelAfterDeadConnection(t *testing.T) {
	t.Attr("fault", "network | the camera was out of its network, and has given up connections that are dead for it alone | the owner's page hears of what has changed since, and what is being typed stays | by itself")
	t.Parallel()
	covers(t, "Chromium", "the owner's panel notices that its connection is dead, hears what has changed, and keeps what is being typed")
	p := startOwned(t, "-size", "320x240")
	r, through := passageTo(t, p, 0)
	tb := newChromium(t).newTab(t)
	o := logIn(t, tb, through)
	until(t, tb, word+` == "live" && document.querySelector("#viewers tbody td") != null`)
	o.begin("For what", "recorder")
	r.lose()
	p.api("PATCH", "/api/settings", `{"idle_hold": 42}`)
	until(t, tb, input("Seconds on without viewers")+`.value == "42"`)
	until(t, tb, word+` == "live" && document.getElementById("trouble").textContent == "" && `+input("For what")+`.value == "recorder"`)
}
