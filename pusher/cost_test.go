package pusher

import (
	"context"
	"runtime"
	"sync"
	"testing"
)

// crowd is n viewers on real connections, each in its goroutine, behind one hub. They get
// records, or multipart.
func crowd(tb testing.TB, n int, records bool) (h *Hub, viewers []*viewer, done func()) {
	h = NewHub(nil)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var closers []func()
	for range n {
		v, _, hangUp := loopbackViewer(tb)
		v.records = records
		closers = append(closers, hangUp)
		viewers = append(viewers, v)
		first, leave := h.watch()
		running.Go(func() {
			defer leave()
			v.serve(ctx, h, first)
		})
	}
	return h, viewers, func() {
		cancel()
		running.Wait()
		for _, hangUp := range closers {
			hangUp()
		}
	}
}

// deliver publishes a frame and waits until all viewers have it.
func deliver(h *Hub, viewers []*viewer, jpeg []byte, seq uint64) {
	f := testFrame(seq)
	f.JPEG = jpeg
	h.Publish(f)
	for _, v := range viewers {
		for v.sent.Load() < seq {
			runtime.Gosched()
		}
	}
}

// In steady state a further viewer costs no allocation: not for the wait, the
// gate, the pacing or the write.
func TestViewersAllocateNothing(t *testing.T) {
	jpeg := make([]byte, 50_000)
	perFrame := func(n int, records bool) float64 {
		h, viewers, done := crowd(t, n, records)
		defer done()
		seq := uint64(0)
		next := func() { seq++; deliver(h, viewers, jpeg, seq) }
		for range 20 {
			next() // the kernel's and the runtime's own first times
		}
		return testing.AllocsPerRun(200, next)
	}
	for _, records := range []bool{false, true} {
		one, twenty := perFrame(1, records), perFrame(20, records)
		t.Logf("allocations per frame: %v with 1 viewer, %v with 20; records: %v", one, twenty, records)
		if twenty > one {
			t.Errorf("a frame costs %v allocations with 1 viewer and %v with 20; records: %v", one, twenty, records)
		}
	}
}
