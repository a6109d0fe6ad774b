//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/pusher"
)

// capture gives frames of the picture to deliver, each in memory of its own,
// stamped: one copy a frame, as fakecam.c makes. It returns when ctx is done.
func capture(ctx context.Context, picture []byte, deliver func(jpeg []byte, at time.Time, seq uint64)) {
	ticks := time.NewTicker(time.Second / frameRate)
	defer ticks.Stop()
	for seq := uint64(1); ; seq++ {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		jpeg, now := slices.Clone(picture), time.Now()
		putStamp(jpeg, now, seq)
		deliver(jpeg, now, seq)
	}
}

// A newest is the newest frame, for the bare sender.
type newest struct {
	p atomic.Pointer[shot]
}

type shot struct {
	parts [3][]byte     // what goes over the wire
	next  chan struct{} // closed when there is a newer one
}

const (
	writevHead = "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n--frame\r\n"
	writevTail = "\r\n--frame\r\n"
)

// serveWritev writes the newest frame to each viewer with one writev as soon as
// TCP takes it: the bytes of a stream and nothing else. It is both the floor of
// what a stream costs, and what becomes of frames without a gate.
func serveWritev(ctx context.Context, l net.Listener, picture []byte) error {
	var n newest
	n.p.Store(&shot{next: make(chan struct{})})
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		capture(ctx, picture, func(jpeg []byte, at time.Time, seq uint64) {
			head := fmt.Sprintf("Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", len(jpeg))
			s := &shot{[3][]byte{[]byte(head), jpeg, []byte(writevTail)}, make(chan struct{})}
			close(n.p.Swap(s).next)
		})
		return nil
	})
	all.Go(func() error {
		<-ctx.Done()
		return l.Close()
	})
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return all.Wait()
		}
		if err != nil {
			return err
		}
		all.Go(func() error {
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			n.stream(ctx, conn)
			return nil
		})
	}
}

// stream ends when the viewer goes, or ctx is done.
func (n *newest) stream(ctx context.Context, conn net.Conn) {
	request := bufio.NewReaderSize(conn, 1024)
	for {
		line, err := request.ReadSlice('\n')
		if err != nil {
			return
		}
		if len(line) == 2 {
			break
		}
	}
	if _, err := io.WriteString(conn, writevHead); err != nil {
		return
	}
	for s := n.p.Load(); ; s = n.p.Load() {
		if s.parts[0] != nil {
			parts := s.parts
			bufs := net.Buffers(parts[:])
			if _, err := bufs.WriteTo(conn); err != nil {
				return
			}
		}
		select {
		case <-s.next:
		case <-ctx.Done():
			return
		}
	}
}

// serveHub serves with package pusher. For each line on in it tells its
// heapCount on out.
func serveHub(ctx context.Context, l net.Listener, picture []byte, in io.Reader, out io.Writer) error {
	h := pusher.NewHub(nil)
	var published atomic.Uint64
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		capture(ctx, picture, func(jpeg []byte, at time.Time, seq uint64) {
			h.Publish(&camera.Frame{JPEG: jpeg, Seq: seq, Time: at, Width: pictureWidth, Height: pictureHeight})
			published.Store(seq)
		})
		return nil
	})
	all.Go(func() error {
		s := &pusher.Server{Hub: h, Camera: steady{}}
		return s.Serve(ctx, l)
	})
	go func() { // ends with the process: a read cannot be interrupted
		for lines := bufio.NewScanner(in); lines.Scan(); {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			_ = json.NewEncoder(out).Encode(heapCount{m.Mallocs, published.Load()}) // who asks, reads
		}
	}()
	return all.Wait()
}

// heapCount is what a process has allocated so far.
type heapCount struct {
	Objects, Frames uint64
}

// steady is a camera that always works.
type steady struct{}

func (steady) Health() error            { return nil }
func (steady) FrameTime() time.Duration { return time.Second / frameRate }

// listenAndRead does what both servers begin with.
func listenAndRead(ctx context.Context, address, file string) (net.Listener, []byte, error) {
	picture, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp4", address)
	return l, picture, err
}
