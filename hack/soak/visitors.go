//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pushcam/pushcam/pusher/pushertest"
)

// A visitor does one thing after the other until it is told to end.
type visitor struct {
	address string
	random  *rand.Rand
}

func (v *visitor) run(ctx context.Context) {
	deeds := []func(context.Context, net.Conn){
		v.watch, v.watch, v.watch, v.watchSeldom, v.stall, v.abort, v.ask, v.ask, v.session, v.halfHeader, v.body, v.noise,
	}
	for rest(ctx, v.random, 0, 500*time.Millisecond) {
		conn, hangUp, err := dial(ctx, v.address)
		if err != nil {
			continue // there are too many
		}
		deeds[v.random.IntN(len(deeds))](ctx, conn)
		hangUp()
	}
}

func request(conn net.Conn, what string) {
	fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: pushcam.local\r\n\r\n", what) // if it fails, nothing comes
}

// watch reads a stream for a while, as fast as it comes.
func (v *visitor) watch(ctx context.Context, conn net.Conn) {
	request(conn, "GET /stream")
	v.readFor(ctx, conn, 8*time.Second)
}

func (v *visitor) watchSeldom(ctx context.Context, conn net.Conn) {
	request(conn, "GET /stream?fps=0.5")
	v.readFor(ctx, conn, 12*time.Second)
}

// readFor reads for at most so long.
func (v *visitor) readFor(_ context.Context, conn net.Conn, most time.Duration) {
	conn.SetReadDeadline(time.Now().Add(time.Duration(v.random.Int64N(int64(most)))))
	io.Copy(io.Discard, conn)
}

// stall asks for a stream and reads nothing.
func (v *visitor) stall(ctx context.Context, conn net.Conn) {
	request(conn, "GET /stream")
	rest(ctx, v.random, 2*time.Second, 15*time.Second)
}

// abort ends a stream by a reset.
func (v *visitor) abort(ctx context.Context, conn net.Conn) {
	request(conn, "GET /stream")
	v.readFor(ctx, conn, 3*time.Second)
	conn.(*net.TCPConn).SetLinger(0)
}

// ask reads answers on one connection.
func (v *visitor) ask(ctx context.Context, conn net.Conn) {
	answers := bufio.NewReader(conn)
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	paths := []string{"/", "/page.js", "/state", "/metrics", "/healthz", "/snapshot.jpg", "/none", "/?action=snapshot"}
	for range 1 + v.random.IntN(5) {
		request(conn, "GET "+paths[v.random.IntN(len(paths))])
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			return
		}
		io.Copy(io.Discard, resp.Body)
		if !rest(ctx, v.random, 0, 300*time.Millisecond) {
			return
		}
	}
}

// session begins a session, and shows it or does not.
func (v *visitor) session(ctx context.Context, conn net.Conn) {
	answers := bufio.NewReader(conn)
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	request(conn, "POST /sessions")
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		return
	}
	id, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || v.random.IntN(3) == 0 {
		return
	}
	request(conn, "GET /"+string(id))
	v.readFor(ctx, conn, 6*time.Second)
}

func (v *visitor) halfHeader(ctx context.Context, conn net.Conn) {
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: ")
	rest(ctx, v.random, 0, 12*time.Second)
}

// body sends a body that never comes to its end.
func (v *visitor) body(ctx context.Context, conn net.Conn) {
	io.WriteString(conn, "POST /sessions HTTP/1.1\r\nHost: pushcam.local\r\nContent-Length: 100000\r\n\r\nx")
	v.readFor(ctx, conn, 12*time.Second)
}

// noise is no HTTP.
func (v *visitor) noise(ctx context.Context, conn net.Conn) {
	b := make([]byte, 1+v.random.IntN(2000))
	for i := range b {
		b[i] = byte(v.random.Uint32())
	}
	conn.Write(b)
	v.readFor(ctx, conn, 12*time.Second)
}

// steady watches all the while, and notes how old the frames are.
type steady struct {
	frames  int
	damaged error // the first thing that no stream may have
	age     func(captured time.Time) (time.Duration, bool)

	mu   sync.Mutex
	ages []time.Duration // since they were last taken
}

func (s *steady) run(ctx context.Context, address string) {
	for ctx.Err() == nil && s.damaged == nil {
		conn, hangUp, err := dial(ctx, address)
		if err != nil {
			continue
		}
		s.damaged = s.watch(ctx, conn)
		hangUp()
	}
}

// watch returns an error for a stream that is not as it should be.
func (s *steady) watch(ctx context.Context, conn net.Conn) error {
	request(conn, "GET /stream")
	stream, err := pushertest.NewStreamReader(conn)
	if err != nil {
		return unlessOver(ctx, err)
	}
	for {
		part, err := stream.Next()
		if err != nil {
			return unlessOver(ctx, err)
		}
		s.frames++
		if age, ok := s.age(part.Capture); ok {
			s.mu.Lock()
			s.ages = append(s.ages, age)
			s.mu.Unlock()
		}
	}
}

func unlessOver(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// take returns the ages since it was last called.
func (s *steady) take() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	ages := s.ages
	s.ages = nil
	return ages
}
