package pusher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/pusher/pushertest"
)

// An audience is viewers of one hub on real connections.
type audience struct {
	hub     *Hub
	viewers []*viewer
	clients []net.Conn
	ctx     context.Context
	leave   context.CancelFunc // ends their streams
	ended   sync.WaitGroup
}

func newAudience(t testing.TB, n int) *audience {
	ctx, cancel := context.WithCancel(context.Background())
	a := &audience{hub: NewHub(nil), ctx: ctx, leave: cancel}
	for range n {
		server, client := pair(t, "tcp", "127.0.0.1:0")
		// A busy machine takes its time: nobody is dropped for that.
		v := newViewer(server, time.Hour, new(ageHistogram))
		v.closing = time.Hour
		a.viewers, a.clients = append(a.viewers, v), append(a.clients, client)
		a.start(v, server)
	}
	t.Cleanup(func() {
		cancel()
		for _, c := range a.clients {
			c.Close()
		}
		a.ended.Wait()
	})
	return a
}

// start serves a viewer on its connection.
func (a *audience) start(v *viewer, server net.Conn) {
	a.ended.Go(func() {
		v.run(a.ctx, a.hub)
		server.Close()
	})
}

// awaitWatchers waits until the hub has n watchers.
func (a *audience) awaitWatchers(n int) {
	for watchers := -1; watchers != n; runtime.Gosched() {
		a.hub.mu.Lock()
		watchers = a.hub.watchers
		a.hub.mu.Unlock()
	}
}

// awaitParked waits until n viewers have the newest part.
func (a *audience) awaitParked(n int) {
	for parked := -1; parked != n; runtime.Gosched() {
		a.hub.mu.Lock()
		parked = len(a.hub.parked)
		a.hub.mu.Unlock()
	}
}

func bigFrame(seq uint64, size int) *camera.Frame {
	f := testFrame(seq)
	f.JPEG = bytes.Repeat([]byte{byte(seq)}, size)
	copy(f.JPEG, "\xff\xd8")
	copy(f.JPEG[size-2:], "\xff\xd9")
	return f
}

// expect reads frames from a stream until its closing boundary, in order and whole.
// It says how many there were, without those that the hub repeated because the
// machine was slow.
func expect(client net.Conn, size int) (n int, err error) {
	s, err := pushertest.NewStreamReader(client)
	if err != nil {
		return 0, err
	}
	for last := uint64(0); ; {
		p, err := s.Next()
		if errors.Is(err, pushertest.ErrClosed) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("after frame %d: %w", last, err)
		}
		if p.Seq < last || !bytes.Equal(p.JPEG, bigFrame(p.Seq, size).JPEG) {
			return n, fmt.Errorf("frame %d after frame %d is not whole", p.Seq, last)
		}
		if p.Seq > last {
			n++
		}
		last = p.Seq
	}
}

// Who publishes a frame has written it to the first viewers when that returns; the
// others are woken.
func TestPublisherWrites(t *testing.T) {
	const n = maxPushed + 4
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // with one all are written to
	a := newAudience(t, n)
	for seq := uint64(1); seq <= 3; seq++ {
		a.awaitParked(n)
		first := slices.Clone(a.hub.parked[:maxPushed]) // nobody else publishes
		a.hub.Publish(testFrame(seq))
		for i, v := range a.viewers {
			if got := v.sent.Load(); got != seq && slices.Contains(first, &v.waiter) {
				t.Errorf("viewer %d has %d frames when frame %d is published", i, got, seq)
			}
		}
		for _, v := range a.viewers {
			for v.sent.Load() < seq {
				runtime.Gosched()
			}
		}
	}
}

// A frame that the connection does not take at once is begun by who publishes it,
// who does not wait, and finished by the viewer, also at the end of the stream.
func TestPublisherDoesNotWait(t *testing.T) {
	t.Attr("fault", "network | a connection that takes half a frame | nobody waits for it | it gets the rest, whole")
	const size = 32 << 20 // more than a socket holds
	for _, name := range []string{"then it reads", "then the stream ends"} {
		t.Run(name, func(t *testing.T) {
			a := newAudience(t, 1)
			a.awaitParked(1)
			a.hub.Publish(bigFrame(1, size))
			if n := a.viewers[0].sent.Load(); n != 0 {
				t.Fatalf("%d frames were sent to a viewer that reads nothing", n)
			}
			if name == "then the stream ends" {
				a.leave()
			}
			if name == "then it reads" {
				go func() {
					for a.viewers[0].sent.Load() == 0 {
						runtime.Gosched()
					}
					a.leave()
				}()
			}
			if n, err := expect(a.clients[0], size); n != 1 || err != nil {
				t.Errorf("%d frames, %v", n, err)
			}
		})
	}
}

// Whenever streams end, each is whole to its closing boundary.
func TestPublishWhileViewersLeave(t *testing.T) {
	t.Attr("fault", "network | viewers that leave at any moment | every stream is whole to its end | –")
	const n, size = 2 * maxPushed, 100_000
	for range 3 {
		a := newAudience(t, n)
		var reading sync.WaitGroup
		for _, c := range a.clients {
			reading.Go(func() {
				if _, err := expect(c, size); err != nil {
					t.Error(err)
				}
			})
		}
		for seq := uint64(1); seq <= 20; seq++ {
			if seq == 15 {
				go a.leave()
			}
			a.hub.Publish(bigFrame(seq, size))
		}
		reading.Wait()
		a.ended.Wait()
		if len(a.hub.parked) != 0 {
			t.Fatalf("%d viewers are parked that have left", len(a.hub.parked))
		}
	}
}

// A viewer whose round trip is to be measured sends the first segments of a frame,
// and the rest when they are answered.
func TestProbeBeforeTheRest(t *testing.T) {
	const size = 1 << 20 // more than the probe, on loopback too
	a := newAudience(t, 1)
	a.awaitParked(1)
	v := a.viewers[0]
	a.hub.Publish(bigFrame(1, size))
	read := make(chan error, 1)
	go func() {
		n, err := expect(a.clients[0], size)
		if n != 2 {
			err = fmt.Errorf("%d frames, %w", n, err)
		}
		read <- err
	}()
	a.awaitParked(1)
	v.link.gate.starved, v.link.gate.probed = true, -2*gateProbe // it is parked: ours
	a.hub.Publish(bigFrame(2, size))
	for v.sent.Load() < 2 {
		runtime.Gosched()
	}
	a.leave()
	if err := <-read; err != nil {
		t.Error(err)
	}
	a.ended.Wait()
	if base := v.link.gate.base; base <= 0 || base > time.Second {
		t.Errorf("the round trip is %v", base)
	}
}

// BenchmarkPublishHeld is how long the hub is locked, and with it the camera held
// up, by one frame for maxPushed viewers, of whom one has stopped reading. It is
// what bounds maxPushed. A slow board with one core, whatever this machine is and
// does, is our kernel and this test (GOARCH=arm64 go test -c) as the only program in
// qemu-system-aarch64 -M virt -cpu cortex-a53 -smp 1 -accel tcg,thread=single
// -icount shift=1,sleep=off, which counts 500 million instructions as a second.
func BenchmarkPublishHeld(b *testing.B) {
	const size = 100_000
	a := newAudience(b, maxPushed)
	for _, c := range a.clients[1:] {
		go io.Copy(io.Discard, c) // until the audience leaves
	}
	a.awaitParked(maxPushed)
	runtime.LockOSThread() // for its CPU time
	defer runtime.UnlockOSThread()
	var wall, cpu []time.Duration
	pushed := 0
	for seq := uint64(1); b.Loop(); seq++ {
		f := bigFrame(seq, size)
		a.hub.mu.Lock()
		pushed += min(len(a.hub.parked), maxPushed)
		a.hub.mu.Unlock()
		startCPU, start := threadCPU(), time.Now()
		a.hub.Publish(f)
		wall, cpu = append(wall, time.Since(start)), append(cpu, threadCPU()-startCPU)
		time.Sleep(time.Second / 30)
	}
	for name, all := range map[string][]time.Duration{"wall": wall, "cpu": cpu} {
		slices.Sort(all)
		for _, percent := range []int{50, 99, 100} {
			d := all[(len(all)-1)*percent/100]
			b.ReportMetric(float64(d.Microseconds())/1000, fmt.Sprintf("ms-%s-p%d", name, percent))
		}
	}
	b.ReportMetric(float64(pushed)/float64(len(wall)), "pushed/frame")
}

// threadCPU is the CPU time that the calling thread has used.
func threadCPU() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// A slow reader is asked in the next part's header, and finds each frame whole and in
// order for all that, also the closing boundary.
func TestQuestionsGoAhead(t *testing.T) {
	const size = 20_000 // no buffer on its way is full
	for _, name := range []string{"then a frame comes", "then the stream ends"} {
		t.Run(name, func(t *testing.T) {
			a := newAudience(t, 1)
			v := a.viewers[0]
			a.awaitParked(1) // it is ours
			v.link.asks = true
			a.hub.Publish(bigFrame(1, size))
			a.awaitParked(1)
			for v.link.socket.read(&v.link.info) != nil || v.link.info.Unsent > 0 || v.link.info.Acked != v.link.info.Sent {
				runtime.Gosched()
			}
			v.link.reader.slow = true
			for range 3 {
				if err := v.ask(); err != nil {
					t.Fatal(err)
				}
			}
			want := 1
			if name == "then a frame comes" {
				want = 2
				v.link.reader.drained = true
				a.hub.Publish(bigFrame(2, size))
			}
			read := make(chan error, 1)
			go func() {
				n, err := expect(a.clients[0], size)
				if err == nil && n != want {
					err = fmt.Errorf("%d frames, want %d", n, want)
				}
				read <- err
			}()
			for v.sent.Load() < uint64(want) {
				runtime.Gosched()
			}
			a.leave()
			if err := <-read; err != nil {
				t.Error(err)
			}
		})
	}
}

// A record is a connection that remembers what was read from it.
type record struct {
	net.Conn
	read bytes.Buffer
}

func (r *record) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.read.Write(p[:n])
	return n, err
}

// A reader that takes every third frame only is asked, in the header of the next
// part, whether it has read all that came; its frames stay whole and in order.
func TestSlowReaderIsAsked(t *testing.T) {
	const size = 100_000
	server, client := pair(t, "tcp", "127.0.0.1:0")
	v := newViewer(server, time.Hour, new(ageHistogram))
	v.link.asks, v.closing = true, time.Hour
	hub := NewHub(nil)
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() {
		v.run(ctx, hub)
		server.Close()
	})
	t.Cleanup(func() {
		cancel()
		client.Close()
		ended.Wait()
	})
	wire := &record{Conn: client}
	s, err := pushertest.NewStreamReader(wire)
	if err != nil {
		t.Fatal(err)
	}
	seq, last := uint64(0), uint64(0)
	for frames := 0; !bytes.Contains(wire.read.Bytes(), []byte("X-Waiting: ")); frames++ {
		if frames == 1000 {
			t.Fatal("it was not asked while it took a thousand frames")
		}
		wire.read.Reset()
		for range 3 {
			seq++
			hub.Publish(bigFrame(seq, size))
		}
		p, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if p.Seq < last || !bytes.Equal(p.JPEG, bigFrame(p.Seq, size).JPEG) {
			t.Fatalf("frame %d after frame %d is not whole", p.Seq, last)
		}
		last = p.Seq
	}
	t.Logf("asked behind frame %d of %d", last, seq)
}
