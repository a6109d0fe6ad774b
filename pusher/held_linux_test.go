package pusher

import (
	"fmt"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// countedCalls counts the calls into a socket, none of which waits: to read its
// state, to set its pace, and to write.
type countedCalls struct {
	syscall.RawConn
	n int
}

func (c *countedCalls) Control(f func(fd uintptr)) error {
	c.n++
	return c.RawConn.Control(f)
}

// neverWaits is a connection on which nothing may be done that can wait.
type neverWaits struct {
	net.Conn
	t *testing.T
}

func (c neverWaits) Write([]byte) (int, error) {
	c.t.Error("whoever publishes waits for a write")
	return 0, net.ErrClosed
}

func (c neverWaits) Read([]byte) (int, error) {
	c.t.Error("whoever publishes waits for a read")
	return 0, net.ErrClosed
}

// parkedAlone parks n viewers of real connections in h, without their goroutines: all
// that is done with them is done by whoever publishes.
func parkedAlone(t *testing.T, h *Hub, n int) (viewers []*viewer, calls []*countedCalls) {
	for range n {
		server, _ := pair(t, "tcp", "127.0.0.1:0")
		v := newViewer(server, time.Hour, new(ageHistogram))
		counted := &countedCalls{RawConn: v.link.socket.conn}
		v.link.socket.conn, v.conn = counted, neverWaits{server, t}
		viewers, calls = append(viewers, v), append(calls, counted)
		h.parked = append(h.parked, &v.waiter)
	}
	return viewers, calls
}

// What is done while the hub is locked is bounded, however many watch and whatever
// their connections take: for at most maxPushed viewers three calls into a socket,
// which do not wait (its state, its pace, one write), and for each of the others one
// token, for which there is always room. Nothing is allocated for any viewer. How long
// that takes on a slow board is BenchmarkPublishHeld's.
func TestPublishHoldsTheHubFor(t *testing.T) {
	for _, tt := range []struct{ processors, pushed int }{{1, maxPushedAlone}, {2, maxPushed}} {
		t.Run(fmt.Sprint(tt.processors, " processors"), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(tt.processors))
			publishHoldsTheHubFor(t, tt.pushed)
		})
	}
}

// publishHoldsTheHubFor has more viewers than the publisher writes to, who are most.
func publishHoldsTheHubFor(t *testing.T, most int) {
	const callsEach, frameSize = 3, 20_000
	h := NewHub(nil)
	viewers, calls := parkedAlone(t, h, most+32)
	fill(t, viewers[1].conn.(neverWaits).Conn) // it takes nothing

	h.Publish(bigFrame(1, frameSize))
	pushed := 0
	for i, v := range viewers {
		woken := len(v.wake) > 0
		switch {
		case calls[i].n > callsEach:
			t.Errorf("viewer %d costs %d calls into its socket, at most %d are wanted", i, calls[i].n, callsEach)
		case calls[i].n > 0:
			pushed++
		case !woken:
			t.Errorf("viewer %d was neither written to nor woken", i)
		}
		if sent := v.sent.Load() == 1; sent == woken {
			t.Errorf("viewer %d: sent %v, woken %v", i, sent, woken)
		}
	}
	if pushed != most {
		t.Errorf("%d viewers were written to, want %d", pushed, most)
	}
	if sent := viewers[1].sent.Load(); sent != 0 {
		t.Error("a viewer who takes nothing got a frame")
	}
	if len(h.parked) != most-1 {
		t.Errorf("%d are parked, want %d: all that were written to but the one who took nothing", len(h.parked), most-1)
	}

	seq := uint64(1)
	publish := func() {
		for _, v := range viewers[:most] { // until its link is ready for the next frame
			for v.link.socket.read(&v.link.info) == nil && v.link.info.Unacked > 0 {
				runtime.Gosched()
			}
		}
		seq++
		h.Publish(testFrame(seq))
	}
	crowded := testing.AllocsPerRun(10, publish)
	if len(h.parked) != most-1 {
		t.Fatalf("%d of %d are parked still", len(h.parked), most-1)
	}
	h.parked = nil
	if alone := testing.AllocsPerRun(10, publish); crowded > alone {
		t.Errorf("a frame costs %v allocations with %d viewers, and %v without", crowded, most-1, alone)
	}
}
