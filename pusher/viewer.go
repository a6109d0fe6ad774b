package pusher

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// finalWrite bounds the write of the closing boundary.
const finalWrite = time.Second

// errStalled ends a viewer that took no byte for the viewer timeout.
var errStalled = errors.New("took nothing for too long")

// A viewer is one open stream. One goroutine runs it; only counters are read
// by others.
type viewer struct {
	conn    net.Conn
	name    string        // its address
	session bool          // belongs to a push session
	since   time.Time     // when it came
	slot    time.Duration // at most one frame in each; 0 sends all
	timeout time.Duration // for a write without progress

	sent    atomic.Uint64 // frames
	skipped atomic.Uint64 // frames it was too slow for, or asked not to get
	bytes   atomic.Uint64
	age     atomic.Int64 // of the last frame when it was handed to the kernel, in nanoseconds

	// The parts of one writev. net.Buffers eats its own slice header, so it is
	// made anew over the same array for each frame.
	iov  [3][]byte
	bufs net.Buffers
}

var tail = []byte(partTail)

// serve sends the newest frames, beginning with p, until ctx is done, which
// ends the stream with its closing boundary, or the viewer is gone.
func (v *viewer) serve(ctx context.Context, h *Hub, p *part) error {
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	due := time.Now() // when the next frame may be sent
	for {
		if p.frame == nil {
			select {
			case <-p.next:
			case <-ctx.Done():
				return v.end()
			}
			p = h.newest.Load()
			continue
		}
		if v.slot > 0 {
			if wait := time.Until(due); wait > 0 {
				timer.Reset(wait)
				select {
				case <-timer.C:
				case <-ctx.Done():
					return v.end()
				}
				newest := h.newest.Load()
				v.skipped.Add(newest.n - p.n)
				p = newest
			}
			due = nextSlot(due, v.slot)
		}
		if err := v.send(p); err != nil {
			return err
		}
		sent := p
		select {
		case <-p.next:
		case <-ctx.Done():
			return v.end()
		}
		p = h.newest.Load()
		v.skipped.Add(p.n - sent.n - 1)
	}
}

// nextSlot is the slot after due, or now if the viewer has fallen behind by
// more than one: on average the rate is exact, and there are no bursts.
func nextSlot(due time.Time, slot time.Duration) time.Time {
	next := due.Add(slot)
	if now := time.Now(); next.Before(now.Add(-slot)) {
		return now
	}
	return next
}

// send writes one part whole.
func (v *viewer) send(p *part) error {
	v.iov = [3][]byte{p.head, p.frame.JPEG, tail}
	v.bufs = v.iov[:]
	v.age.Store(int64(time.Since(p.frame.Time)))
	for {
		if err := v.conn.SetWriteDeadline(time.Now().Add(v.timeout)); err != nil {
			return err
		}
		n, err := v.bufs.WriteTo(v.conn)
		v.bytes.Add(uint64(n))
		switch {
		case err == nil:
			v.sent.Add(1)
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case n == 0:
			return errStalled
		}
	}
}

// end writes the closing boundary, so that players see that the stream is over
// and not broken.
func (v *viewer) end() error {
	if err := v.conn.SetWriteDeadline(time.Now().Add(finalWrite)); err != nil {
		return err
	}
	_, err := v.conn.Write([]byte(streamEnd))
	return err
}
