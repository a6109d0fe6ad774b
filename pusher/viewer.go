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

// leftCheck is how often a viewer that waits for its slot is looked at: no write
// tells meanwhile that it has gone.
const leftCheck = time.Second

// errLeft ends a viewer that has gone while nothing was to be written.
var errLeft = errors.New("closed the connection")

// errStalled ends a viewer that took no byte for the viewer timeout.
var errStalled = errors.New("took nothing for too long")

// A viewer is one open stream. One goroutine runs it; only counters are read
// by others.
type viewer struct {
	conn    net.Conn
	address string
	name    string        // what it calls itself
	session bool          // belongs to a push session
	blink   bool          // is Chrome or Edge: the header of a part goes ahead of it
	since   time.Time     // when it came
	slot    time.Duration // at most one frame in each; 0 sends all
	timeout time.Duration // for a link that takes nothing
	link    *link
	timer   *time.Timer
	ages    *ageHistogram // of all viewers

	sent    atomic.Uint64 // frames
	skipped atomic.Uint64 // frames it was too slow for, or asked not to get
	bytes   atomic.Uint64
	age     atomic.Int64 // of the camera's last frame when it was handed to the kernel, in nanoseconds
	rate    atomic.Int64 // of its link at its peak, in bytes per second; 0 is not known
	rtt     atomic.Int64 // of its link without a queue, in nanoseconds; 0 is not known

	// The parts of one writev. net.Buffers eats its own slice header, so it is
	// made anew over the same array for each frame.
	iov  [3][]byte
	bufs net.Buffers
}

var (
	tail      = []byte(partTail)
	blinkTail = []byte(partTail + blinkHead)
)

// newViewer makes conn a viewer, which does not own it. It counts the ages of its
// frames in ages too.
func newViewer(conn net.Conn, timeout time.Duration, ages *ageHistogram) *viewer {
	v := &viewer{conn: conn, address: conn.RemoteAddr().String(), since: time.Now(), timeout: timeout, ages: ages}
	var err error
	if v.link, err = newLink(conn, timeout); err != nil {
		v.link = new(link) // stale pictures are better than none
	}
	v.timer = time.NewTimer(0)
	v.timer.Stop()
	return v
}

// serve sends the newest frames, beginning with first, until ctx is done, which
// ends the stream with its closing boundary, or the viewer is gone.
func (v *viewer) serve(ctx context.Context, h *Hub, first *part) error {
	sent := first.n // the last part that needs no sending
	if first.frame != nil {
		sent--
	}
	due := v.since // when the next frame may be sent
	for {
		p := h.newest.Load()
		now := time.Now()
		if p.frame == nil { // none yet, or a notice that could not be drawn
			sent = p.n
		}
		if p.n == sent {
			if !v.await(ctx, p.next, 0) {
				return v.end()
			}
			continue
		}
		if wait := due.Sub(now); v.slot > 0 && wait > 0 {
			if wait > leftCheck && v.link.left() {
				return errLeft
			}
			if !v.await(ctx, nil, min(wait, leftCheck)) {
				return v.end()
			}
			continue
		}
		if wait, open := v.link.ready(now.Sub(v.since)); !open {
			if v.link.gate.stalled(now.Sub(v.since)) > v.timeout {
				return errStalled
			}
			if !v.await(ctx, nil, wait) { // a newer frame would not open it
				return v.end()
			}
			continue
		}
		if err := v.send(ctx, p); err != nil {
			return err
		}
		v.skipped.Add(p.n - sent - 1)
		sent = p.n
		due = nextSlot(due, v.slot)
	}
}

// await waits for d, for news, or for the end of ctx, whichever comes first; it
// says false for the last. No time and no channel are waited for if they are 0
// and nil.
func (v *viewer) await(ctx context.Context, news <-chan struct{}, d time.Duration) bool {
	var late <-chan time.Time
	if d > 0 {
		v.timer.Reset(d)
		defer v.timer.Stop()
		late = v.timer.C
	}
	select {
	case <-news:
	case <-late:
	case <-ctx.Done():
		return false
	}
	return true
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

// send writes one part whole. If the gate wants to know the round trip, the part's
// first segments go ahead, and the rest when they are answered.
func (v *viewer) send(ctx context.Context, p *part) error {
	head, jpeg, tail := p.head, p.frame.JPEG, tail
	if v.blink {
		head, tail = nil, blinkTail
	}
	if !p.notice { // a notice is as old as the trouble
		age := time.Since(p.frame.Time)
		v.age.Store(int64(age))
		v.ages.add(age)
	}
	v.rate.Store(int64(v.link.gate.rate()))
	v.rtt.Store(int64(v.link.gate.baseRTT(&v.link.info)))
	if n := v.link.probe(); 0 < n && n < len(jpeg) {
		if err := v.write(head, jpeg[:n], nil); err != nil {
			return err
		}
		for v.link.gate.sampling && v.await(ctx, nil, gateSamplePoll) {
			v.link.ready(time.Since(v.since))
		}
		head, jpeg = nil, jpeg[n:]
	}
	if err := v.write(head, jpeg, tail); err != nil {
		return err
	}
	v.sent.Add(1)
	return nil
}

// write writes the three with one writev, if the connection takes them at once.
func (v *viewer) write(a, b, c []byte) error {
	v.iov = [3][]byte{a, b, c}
	v.bufs = v.iov[:]
	for {
		if err := v.conn.SetWriteDeadline(time.Now().Add(v.timeout)); err != nil {
			return err
		}
		n, err := v.bufs.WriteTo(v.conn)
		v.bytes.Add(uint64(n))
		switch {
		case err == nil:
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
