package pusher

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushcam/pushcam/pusher/pushertest"
)

// besideAViewer runs a test on a server with a viewer, who must not see a gap of a second.
func besideAViewer(t *testing.T, do func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.film()
		s, conn := r.stream("/stream")
		start := time.Now()
		var last atomic.Int64 // nanoseconds since start
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				if _, err := s.Next(); err != nil {
					return
				}
				now := time.Since(start)
				if gap := now - time.Duration(last.Swap(int64(now))); gap > time.Second {
					t.Errorf("the viewer saw nothing for %v", gap)
				}
			}
		}()
		do(t, r)
		if gap := time.Since(start) - time.Duration(last.Load()); gap > time.Second {
			t.Errorf("the viewer has seen nothing for %v", gap)
		}
		conn.Close()
		<-ended
	})
}

// send opens a connection and writes to it, as far as the server takes it.
func (r *rig) send(text string) net.Conn {
	conn := r.dial()
	go io.WriteString(conn, text)
	return conn
}

// Requests that come all at once are answered in their order. What comes behind a request
// for a stream is not looked at.
func TestPipelining(t *testing.T) {
	t.Attr("fault", "network | requests that come all at once (pipelining), also behind one for a stream | each is answered in its turn; the stream is whole | –")
	const request = "GET /healthz HTTP/1.1\r\nHost: pushcam.local\r\n\r\n"
	besideAViewer(t, func(t *testing.T, r *rig) {
		const many = 50
		answers := bufio.NewReader(r.send(strings.Repeat(request, many) + strings.Replace(request, "healthz", "none", 1)))
		for i := range many + 1 {
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatalf("answer %d: %v", i, err)
			}
			io.Copy(io.Discard, resp.Body)
			if want := map[bool]int{true: 404, false: 200}[i == many]; resp.StatusCode != want {
				t.Errorf("answer %d: %s, want %d", i, resp.Status, want)
			}
		}
		s, err := pushertest.NewStreamReader(r.send(strings.Replace(request, "healthz", "stream", 1) + request))
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			r.next(s)
		}
	})
}

// A header that is too long is refused, and not kept.
func TestLongHeaders(t *testing.T) {
	t.Attr("fault", "network | headers of a megabyte: one line, many lines, the path | 431, when 20 kB of it have come | –")
	for name, request := range map[string]string{
		"one line":   "GET / HTTP/1.1\r\nHost: pushcam.local\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n",
		"many lines": "GET / HTTP/1.1\r\nHost: pushcam.local\r\n" + strings.Repeat("X: y\r\n", 1<<18) + "\r\n",
		"the path":   "GET /" + strings.Repeat("x", 1<<20) + " HTTP/1.1\r\nHost: pushcam.local\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			besideAViewer(t, func(t *testing.T, r *rig) {
				conn := r.dial()
				taken := make(chan int, 1)
				go func() {
					n, _ := io.WriteString(conn, request)
					taken <- n
				}()
				answer, _ := io.ReadAll(conn)
				if !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") {
					t.Errorf("the answer is %.60q", answer)
				}
				if n := <-taken; n > 2*maxHeader {
					t.Errorf("%d bytes of the header were read", n)
				}
			})
		})
	}
}

// Who speaks another protocol is refused, within the time for a header.
func TestOtherProtocols(t *testing.T) {
	t.Attr("fault", "network | HTTP/2 without asking for it, TLS to the plain port, SSH, RTSP, bytes without an end | refused or closed within 10 s | –")
	for name, speak := range map[string]func(conn net.Conn) (answer string){
		"HTTP/2": func(conn net.Conn) string {
			go io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
			answer, _ := io.ReadAll(conn)
			return string(answer)
		},
		"TLS": func(conn net.Conn) string {
			if err := tls.Client(conn, &tls.Config{ServerName: "pushcam.local"}).Handshake(); err == nil {
				return "a handshake"
			}
			return ""
		},
		"SSH": func(conn net.Conn) string {
			go io.WriteString(conn, "SSH-2.0-OpenSSH_9.2\r\n")
			answer, _ := io.ReadAll(conn)
			return string(answer)
		},
		"RTSP": func(conn net.Conn) string {
			go io.WriteString(conn, "DESCRIBE rtsp://pushcam.local/stream RTSP/1.0\r\nCSeq: 1\r\n\r\n")
			answer, _ := io.ReadAll(conn)
			return string(answer)
		},
		"bytes": func(conn net.Conn) string {
			go io.WriteString(conn, strings.Repeat("\x00", 100))
			answer, _ := io.ReadAll(conn)
			return string(answer)
		},
	} {
		t.Run(name, func(t *testing.T) {
			besideAViewer(t, func(t *testing.T, r *rig) {
				start := time.Now()
				answer := speak(r.dial())
				if answer != "" && !strings.HasPrefix(answer, "HTTP/1.1 4") && !strings.HasPrefix(answer, "HTTP/1.1 505 ") {
					t.Errorf("the answer is %.60q", answer)
				}
				if took := time.Since(start); took > readTimeout+time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// Connections of many addresses, and of some that want more than others.
func TestTenThousandConnections(t *testing.T) {
	t.Attr("fault", "network | 10,000 connections of 100 addresses that ask for nothing, or for half of something | 128 are held at most; who comes then is answered | at once")
	besideAViewer(t, func(t *testing.T, r *rig) {
		mine := r.remote
		for i := range 10_000 {
			r.from(fmt.Sprintf("10.0.%d.%d", i%2, i%50))
			conn := r.dial()
			go io.Copy(io.Discard, conn)
			if i%3 == 0 {
				go io.WriteString(conn, "GET / HTTP/1.1\r\nHost: pushcam.local\r\nX: ")
			}
		}
		synctest.Wait()
		r.server.connections.mu.Lock()
		held := len(r.server.connections.all)
		r.server.connections.mu.Unlock()
		if held > maxConnections {
			t.Errorf("%d connections are held", held)
		}
		r.remote = mine
		for _, path := range []string{"/healthz", "/snapshot.jpg", "/state"} {
			if a := r.do("GET", path); a.Code != 200 {
				t.Errorf("%s: status %d", path, a.Code)
			}
		}
	})
}
