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
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/pusher"
)

// capture fills a buffer with the stamped picture for each frame, as fakecam.c does.
// The buffer is deliver's until that returns. capture waits for each frame in the
// kernel, as one waits for a V4L2 device, and returns when ctx is done.
func capture(ctx context.Context, picture []byte, deliver func(buffer []byte, at time.Time)) error {
	var clock unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &clock); err != nil {
		return err
	}
	buffer := slices.Clone(picture)
	for seq := uint64(1); ctx.Err() == nil; seq++ {
		due := unix.NsecToTimespec(clock.Nano() + int64(seq)*int64(time.Second/frameRate))
		for {
			err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &due, nil)
			if err == nil {
				break
			}
			if err != unix.EINTR {
				return err
			}
		}
		copy(buffer, picture)
		now := time.Now()
		putStamp(buffer, now, seq)
		deliver(buffer, now)
	}
	return nil
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

// serveWritev writes the newest frame to each viewer, with one writev, as soon as TCP
// takes it. It does nothing else, so it is the least that a stream can cost. And it has
// no gate, so it shows what the gate is worth.
func serveWritev(ctx context.Context, l net.Listener, picture []byte) error {
	var n newest
	n.p.Store(&shot{next: make(chan struct{})})
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		return capture(ctx, picture, func(buffer []byte, _ time.Time) {
			head := fmt.Sprintf("Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", len(buffer))
			s := &shot{[3][]byte{[]byte(head), slices.Clone(buffer), []byte(writevTail)}, make(chan struct{})}
			close(n.p.Swap(s).next)
		})
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

// stream returns when the viewer leaves or ctx is done.
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

// fakeCamera gives the picture as a V4L2 device gives its frames.
type fakeCamera struct{ picture []byte }

func (fakeCamera) Check() (camera.Device, error) { return camera.Device{Name: "fake"}, nil }

func (f fakeCamera) Run(ctx context.Context, sink camera.Sink) error {
	d, err := f.Check()
	if err != nil {
		return err
	}
	sink.Started(d, camera.Format{PixelFormat: "MJPG", Width: pictureWidth, Height: pictureHeight, FPS: frameRate})
	return capture(ctx, f.picture, func(buffer []byte, at time.Time) {
		if frame, kind := camera.NewFrame(buffer, at); frame != nil {
			sink.Frame(frame)
		} else {
			sink.Drop(kind, 1)
		}
	})
}

// serveCamera is pushcam with a fake camera: it does all that pushcam does with a frame
// except the V4L2 calls. For each line on in it writes its heapCount to out.
func serveCamera(ctx context.Context, l net.Listener, picture []byte, in io.Reader, out io.Writer) error {
	c := &camera.Camera{Source: fakeCamera{picture}}
	h := pusher.NewHub(c.SetDemand)
	c.Deliver = h.Publish
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return c.Run(ctx) })
	all.Go(func() error {
		s := &pusher.Server{Hub: h, Camera: steady{}}
		return s.Serve(ctx, l)
	})
	go func() { // ends with the process: a read cannot be interrupted
		for lines := bufio.NewScanner(in); lines.Scan(); {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			_ = json.NewEncoder(out).Encode(heapCount{m.Mallocs, c.State().Frames}) // who asks, reads
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

// listenAndRead is the common beginning of both servers.
func listenAndRead(ctx context.Context, address, file string) (net.Listener, []byte, error) {
	picture, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp4", address)
	return l, picture, err
}
