package pusher

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/pusher/pushertest"
)

// pipeListener gives a server connections that live in memory, so that the real
// net/http server runs on a synctest bubble's clock.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

type fakeCamera struct {
	err    error
	demand atomic.Bool
}

func (c *fakeCamera) Health() error            { return c.err }
func (c *fakeCamera) FrameTime() time.Duration { return time.Second / 30 }

// fixed is what never changes.
func fixed[T any](v T) func() T { return func() T { return v } }

// rig is a server in a synctest bubble, with its camera.
type rig struct {
	t      *testing.T
	server *Server
	camera *fakeCamera
	stop   func() error // ends the server and returns what Serve returned
	l      *pipeListener
	remote netip.Addr // where its connections come from; see from
}

func newRig(t *testing.T, configure ...func(*Server)) *rig {
	r := &rig{t: t, camera: &fakeCamera{}, l: &pipeListener{make(chan net.Conn), make(chan struct{})}}
	r.server = &Server{Hub: NewHub(r.camera.demand.Store), Camera: r.camera}
	for _, c := range configure {
		c(r.server)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- r.server.Serve(ctx, r.l) }()
	stopped := false
	r.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-served
	}
	t.Cleanup(func() { r.stop() })
	return r
}

// film publishes frames at 30 fps until the bubble's test is over.
func (r *rig) film() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second / 30)
		defer tick.Stop()
		for seq := uint64(1); ; seq++ {
			select {
			case <-tick.C:
				r.server.Hub.Publish(testFrame(seq))
			case <-ctx.Done():
				return
			}
		}
	}()
	stop = func() { cancel(); <-done }
	r.t.Cleanup(stop)
	return stop
}

// dial opens a connection to the server.
func (r *rig) dial() net.Conn {
	client, server := net.Pipe()
	r.t.Cleanup(func() { client.Close() })
	if r.remote.IsValid() {
		server = addressed{server, r.remote}
	}
	r.l.conns <- server
	return client
}

// request sends a request on a connection of its own, with "Name: value" header
// lines.
func (r *rig) request(method, path string, header ...string) net.Conn {
	r.t.Helper()
	client := r.dial()
	fmt.Fprintf(client, "%s %s HTTP/1.1\r\nHost: pushcam.local\r\n", method, path)
	for _, h := range header {
		fmt.Fprintf(client, "%s\r\n", h)
	}
	fmt.Fprint(client, "\r\n")
	return client
}

// answer is a whole answer that is no stream.
type answer struct {
	Code   int
	Header http.Header
	Body   string
	Close  bool // the server closes the connection
}

func (r *rig) do(method, path string, header ...string) answer {
	r.t.Helper()
	conn := r.request(method, path, header...)
	defer conn.Close()
	req := &http.Request{Method: method}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(body), resp.Close}
}

// stream opens a stream and reads its head.
func (r *rig) stream(path string, header ...string) (*pushertest.StreamReader, net.Conn) {
	r.t.Helper()
	conn := r.request("GET", path, header...)
	s, err := pushertest.NewStreamReader(conn)
	if err != nil {
		r.t.Fatalf("GET %s: %v", path, err)
	}
	return s, conn
}

func (r *rig) next(s *pushertest.StreamReader) pushertest.Part {
	r.t.Helper()
	p, err := s.Next()
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// drain reads a stream to its end and returns how it ended.
func drain(s *pushertest.StreamReader) (frames int, err error) {
	for {
		if _, err := s.Next(); err != nil {
			return frames, err
		}
		frames++
	}
}

var errUnplugged = errors.New("the webcam was unplugged")

func placeholderFrame() *camera.Frame {
	f := testFrame(0)
	f.JPEG = append([]byte{0xff, 0xd8}, "no camera\xff\xd9"...)
	return f
}
