package pusher

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/pusher/pushertest"
)

// serving has a server serve until the test is over. What belongs to that is begun by the
// group, and ends with the context.
func serving(t *testing.T, server *Server, listeners ...net.Listener) (context.Context, *sync.WaitGroup) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	all := new(sync.WaitGroup)
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	all.Go(func() {
		if err := server.Serve(ctx, listeners...); err != nil {
			t.Error(err)
		}
	})
	return ctx, all
}

// inNetwork runs the test again in a network namespace of its own, in which this computer
// has the addresses, and returns true there. So connections come from addresses that are
// not loopback's.
func inNetwork(t *testing.T, addresses ...string) bool {
	t.Helper()
	const inside = "PUSHCAM_TEST_NETWORK"
	if os.Getenv(inside) == "" {
		_, err := exec.LookPath("ip")
		if os.Getuid() != 0 {
			err = errors.New("only root makes a network namespace")
		}
		switch {
		case err != nil && os.Getenv("CI") != "":
			t.Fatal(err)
		case err != nil:
			t.Skipf("skipped: %v", err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		out, err := cmd.CombinedOutput()
		t.Logf("in a network of its own:\n%s", out)
		if err != nil {
			t.Errorf("there: %v", err)
		}
		return false
	}
	commands := []string{"link set lo up"}
	for _, a := range addresses {
		commands = append(commands, "addr add "+a+"/16 dev lo")
	}
	for _, c := range commands {
		if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", c, err, out)
		}
	}
	return true
}

// dialFrom connects from an address to a server.
func dialFrom(from, to string) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: time.Minute, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", to)
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// get and post are one request each, on a connection of its own, and its whole answer.
func get(from, to, path string) error { return exchange(from, to, "GET "+path) }

func post(from, to string) error { return exchange(from, to, "POST /sessions") }

func exchange(from, to, what string) error {
	conn, err := dialFrom(from, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", what, to)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %v", resp.Status, err)
	}
	return nil
}

// hungUp tells whether the other end has closed or reset a connection, without reading
// from it.
func hungUp(conn *net.TCPConn) (gone bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(p, 0)
		gone = err == nil && n > 0
	})
	return gone || err != nil
}

// Who is refused hears why, although nobody has read its request.
func TestRefusalIsHeard(t *testing.T) {
	t.Attr("fault", "abuse | more connections than there is room for | each hears why it is refused | when others leave")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &Server{Hub: NewHub(nil), Camera: new(fakeCamera)}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()
	defer func() { cancel(); <-served }()
	request := func(path string) net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n", path, strings.Repeat("x", 8<<10))
		return conn
	}
	for range maxConnections {
		request("/snapshot") // there is no frame yet
	}
	for busy := 0; busy < maxConnections; time.Sleep(time.Millisecond) {
		server.connections.mu.Lock()
		busy = server.connections.requests.total
		server.connections.mu.Unlock()
	}
	for i := range 40 {
		if text, err := io.ReadAll(request("/healthz")); err != nil || string(text) != refusal {
			t.Errorf("%d got %q, %v", i, text, err)
		}
	}
}

// Whatever one address does, another one is answered, and can watch.
func TestOneAddressKeepsNobodyOut(t *testing.T) {
	t.Attr("fault", "abuse | bodies that never come, all places, all connections, of one address | another address is answered and can watch | –")
	const camera, attacker, canary = "10.99.0.1", "10.99.1.10", "10.99.0.2"
	if !inNetwork(t, camera, attacker, canary) {
		return
	}
	attacks := []struct {
		name    string
		request string
		hold    bool // keep the connection and read nothing; else read until the server closes it
	}{
		{"silence", "", true},
		{"half a header", "GET / HTTP/1.1\r\nHost: 10.99.0.1\r\nX: ", true},
		{"a body that never comes", "POST /sessions HTTP/1.1\r\nHost: 10.99.0.1\r\nContent-Length: 100000\r\n\r\nx", false},
		{"a body for a path that takes none", "POST / HTTP/1.1\r\nHost: 10.99.0.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", false},
		{"a slow reader of snapshots", "GET /snapshot.jpg HTTP/1.1\r\nHost: 10.99.0.1\r\n\r\n", true},
		{"all places", "GET /stream?fps=0.01 HTTP/1.1\r\nHost: 10.99.0.1\r\n\r\n", true},
		{"viewers that stall", "GET /stream HTTP/1.1\r\nHost: 10.99.0.1\r\n\r\n", true},
		{"all sessions", "POST /sessions HTTP/1.1\r\nHost: 10.99.0.1\r\nContent-Length: 0\r\n\r\n", false},
		{"connections that come and go", "GET /healthz HTTP/1.1\r\nHost: 10.99.0.1\r\nConnection: close\r\n\r\n", false},
	}
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			l, err := net.Listen("tcp", camera+":0")
			if err != nil {
				t.Fatal(err)
			}
			server := &Server{Hub: NewHub(nil), Camera: new(fakeCamera), Log: slog.New(slog.DiscardHandler), Memory: 1 << 30, Limits: fixed(Limits{MaxViewers: 128, MaxSessions: 64})} // else the budget of memory drops those who are slow
			ctx, all := serving(t, server, l)
			all.Go(func() { // the camera
				picture := testFrame(1)
				picture.JPEG = append(bytes.Repeat(picture.JPEG[:2], 1<<20), picture.JPEG...)
				for seq := uint64(1); ctx.Err() == nil; seq++ {
					f := *picture
					f.Seq, f.Time = seq, time.Now()
					server.Hub.Publish(&f)
					time.Sleep(100 * time.Millisecond)
				}
			})
			to := l.Addr().String()
			var begun sync.WaitGroup
			for range 160 { // more than there are connections, and places
				begun.Add(1)
				all.Go(func() {
					started := sync.OnceFunc(begun.Done)
					defer started()
					for ctx.Err() == nil {
						conn, err := dialFrom(attacker, to)
						if err != nil {
							continue
						}
						gone := context.AfterFunc(ctx, func() { conn.Close() })
						if attack.hold {
							conn.SetReadBuffer(4096)
						}
						io.WriteString(conn, attack.request)
						started()
						for ctx.Err() == nil && (!attack.hold || !hungUp(conn)) {
							if attack.hold {
								time.Sleep(100 * time.Millisecond)
							} else if _, err := conn.Read(make([]byte, 4096)); err != nil {
								break
							}
						}
						gone()
						conn.Close()
						time.Sleep(20 * time.Millisecond) // leave some of the processor to the others
					}
				})
			}
			begun.Wait()
			const asked = 24
			refused := 0
			for i := range asked {
				path := "/healthz"
				if i%3 == 0 {
					path = "/snapshot.jpg"
				}
				if err := get(canary, to, path); err != nil {
					refused++
					t.Logf("%s: %v", path, err)
				}
			}
			if refused*100 > asked {
				t.Errorf("%d of %d requests of another address were not answered", refused, asked)
			}
			conn, err := dialFrom(canary, to)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(time.Minute))
			io.WriteString(conn, "GET /stream HTTP/1.1\r\nHost: 10.99.0.1\r\n\r\n")
			s, err := pushertest.NewStreamReader(conn)
			if err != nil {
				t.Fatalf("another address cannot watch: %v", err)
			}
			for range 5 {
				if _, err := s.Next(); err != nil {
					t.Fatalf("another address cannot watch: %v", err)
				}
			}
			if err := post(canary, to); err != nil {
				t.Errorf("another address gets no session: %v", err)
			}
		})
	}
}
