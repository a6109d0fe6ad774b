package pusher

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/pushcam/pushcam/gokrazy/words"
)

// closeTimeout bounds the write of the closing boundary.
const closeTimeout = time.Second

// peerCheck is how often it is looked whether a viewer has left whose next frame is not
// due yet. Otherwise only a write would tell.
const peerCheck = time.Second

// errPeerClosed ends a viewer that has left while nothing was to be written.
var errPeerClosed = errors.New("closed the connection")

// errStalled ends a viewer that took no byte for the viewer timeout.
var errStalled = errors.New("took nothing for too long")

// errYielded ends a viewer that made less use of its place than others would.
var errYielded = errors.New("gave way to others")

// slowInterval is the time between two frames from which a viewer that has left most
// frames out gives way to newcomers, when it has watched for two of them.
const slowInterval = 2 * time.Second

// A viewer is one open stream, which belongs to one goroutine. While that is parked in
// the Hub, the viewer belongs to whoever publishes a part. Everybody else only reads the
// counters.
type viewer struct {
	waiter
	conn     net.Conn
	address  string
	from     netip.Addr   // whom its place counts for
	first    uint64       // number of the newest part when it came
	cancel   func()       // ends its stream
	yielded  atomic.Bool  // it gives way to somebody else
	unplaced bool         // somebody else has its place already; belongs to the Server
	frames   *frameBudget // nil: it may hold frames for as long as it likes
	hold     hold
	holds    bool            // hold is in use
	letGo    func()          // is yield
	name     string          // what it calls itself
	session  bool            // belongs to a push session
	origin   string          // whose pages may read the stream; "" is none
	records  bool            // it gets records, and not multipart
	language *words.Language // of the news
	ahead    bool            // each part's header is sent ahead, together with the part before
	since    time.Time       // when it came
	interval time.Duration   // between two of its frames at least; 0 sends all
	timeout  time.Duration   // how long it may take nothing
	closing  time.Duration   // how long the end of the stream may take
	link     *link
	patience *patience // nil without TLS
	timer    *time.Timer
	ages     *ageHistogram // of all viewers

	sent    atomic.Uint64 // frames
	skipped atomic.Uint64 // frames that it was too slow for, or that its ?fps= leaves out
	bytes   atomic.Uint64
	age     atomic.Int64 // of the camera's last frame when it was handed to the kernel, in nanoseconds
	rate    atomic.Int64 // of its link at its peak, in bytes per second; 0 is not known
	rtt     atomic.Int64 // of its link without a queue, in nanoseconds; 0 is not known

	due  time.Time // when the next frame may be sent
	open bool      // the gate has said yes to the next part already
	// begun tells that waitingLine is written, and so the next part's header begun.
	begun bool

	// part is what is being sent, and iov what is not written of it yet. Writing a
	// net.Buffers consumes it, so bufs is made anew of iov for each flush.
	part *part
	iov  [3][]byte
	bufs net.Buffers
}

var (
	tail      = []byte(partTail)
	aheadTail = []byte(partTail + headAhead)
	// waitingLine begins a part's header with a line that means nothing, and each
	// waitingMore makes that longer. They are for when something has to be sent and
	// there is no frame to send.
	waitingLine = []byte("X-Waiting: .")
	waitingMore = []byte(".")
)

// newViewer makes a viewer of conn, which the caller keeps and closes. The ages of its
// frames are also counted in ages.
func newViewer(conn net.Conn, timeout time.Duration, ages *ageHistogram) *viewer {
	v := &viewer{conn: conn, address: conn.RemoteAddr().String(), since: time.Now(), timeout: timeout, closing: closeTimeout, ages: ages}
	v.waiter = newWaiter(v.push)
	v.letGo = v.yield
	v.due = v.since
	var err error
	if v.link, err = newLink(conn, timeout); err != nil {
		v.link = new(link) // without a gate: stale pictures are better than none
	}
	if secured, ok := conn.(*tls.Conn); ok {
		v.patience = newPatience(secured, timeout, v.extend)
	}
	v.timer = time.NewTimer(0)
	v.timer.Stop()
	return v
}

// serve sends the newest frames, beginning with first, until the viewer has left or ctx
// is done. In the latter case it ends the stream with its closing boundary.
func (v *viewer) serve(ctx context.Context, h *Hub, first *part) error {
	v.last = first.n
	if first.frame != nil {
		v.last--
	}
	for {
		if n := h.untold(&v.waiter); n != nil {
			if err := v.tell(n); err != nil {
				return err
			}
		}
		p := h.newest.Load()
		now := time.Now()
		if p.frame == nil { // there is none yet, or a placeholder could not be drawn
			v.last = p.n
		}
		if p.n == v.last && v.link.listen(now.Sub(v.since)) {
			if !v.await(ctx, readerPoll) {
				return v.end()
			}
			continue
		}
		if p.n == v.last {
			if !h.park(ctx, &v.waiter) {
				return v.end()
			}
			if v.part != nil {
				if err := v.finish(); err != nil {
					return err
				}
			}
			continue
		}
		if wait := v.due.Sub(now); v.interval > 0 && wait > 0 {
			if wait > peerCheck {
				if v.gone(now.Sub(v.since)) {
					return errPeerClosed
				}
				if v.link.stalled(now.Sub(v.since)) > v.timeout {
					return errStalled
				}
			}
			if !v.await(ctx, min(wait, peerCheck)) {
				return v.end()
			}
			continue
		}
		if wait, open := v.ready(p, now); !open {
			if v.link.stalled(now.Sub(v.since)) > v.timeout {
				return errStalled
			}
			if v.link.question(now.Sub(v.since)) {
				if err := v.ask(); err != nil {
					return err
				}
			}
			if !v.await(ctx, wait) { // not in the Hub: a newer frame would not open the gate
				return v.end()
			}
			continue
		}
		if err := v.send(ctx, p, now); err != nil {
			return err
		}
	}
}

// gone tells whether a viewer that waits for its next frame has left. It looks the same
// if the viewer has only closed its sending side, as nc and some NVRs do after their
// request. They differ when something is written: whoever has left answers with a reset.
// So the next part's header is begun, with a line that means nothing.
func (v *viewer) gone(now time.Duration) bool {
	if !v.link.look(now) {
		return false
	}
	if v.link.info.Closed || v.ahead { // browsers always close both sides, and have the header already
		return true
	}
	return v.beginHeader() != nil
}

// beginHeader begins the next part's header with a line that means nothing, or makes
// that line longer. Among records it sends one that means nothing.
func (v *viewer) beginHeader() error {
	b := waitingMore
	switch {
	case v.records:
		b = emptyRecord
	case !v.begun:
		b, v.begun = waitingLine, true
	}
	return v.writeAside(b)
}

// writeAside writes what is no part.
func (v *viewer) writeAside(b []byte) error {
	if err := v.conn.SetWriteDeadline(time.Now().Add(v.timeout)); err != nil {
		return err
	}
	n, err := v.conn.Write(b)
	v.bytes.Add(uint64(n))
	return err
}

// ready tells whether the gate is open for p, and if not, how long to wait.
func (v *viewer) ready(p *part, now time.Time) (wait time.Duration, open bool) {
	if v.open {
		v.open = false
		return 0, true
	}
	return v.link.ready(now.Sub(v.since), p.next().Sub(v.since), p.gap)
}

// push sends p for the parked viewer, as far as that is possible without waiting. It
// returns false if the viewer's goroutine must do the rest: wait for the gate or for the
// time of the next frame, write what is left, or find out what is wrong.
func (v *viewer) push(p *part, now time.Time) (done bool) {
	if v.interval > 0 {
		return false
	}
	if _, open := v.link.ready(now.Sub(v.since), p.next().Sub(v.since), p.gap); !open {
		return false
	}
	if v.open = v.link.gate.sampling; v.open { // send writes a part of the frame and then waits
		return false
	}
	v.begin(p, now)
	if !v.writeNow() {
		return false
	}
	v.done()
	return true
}

// writeNow writes as much of iov as the connection takes without waiting, and tells
// whether that was all.
func (v *viewer) writeNow() bool {
	n := v.link.write(&v.iov)
	v.bytes.Add(uint64(n))
	left := 0
	for i, b := range v.iov {
		v.iov[i] = b[min(n, len(b)):]
		n -= min(n, len(b))
		left += len(v.iov[i])
	}
	return left == 0
}

// await waits for d. It returns false if ctx is done before.
func (v *viewer) await(ctx context.Context, d time.Duration) bool {
	v.timer.Reset(d)
	defer v.timer.Stop()
	select {
	case <-v.timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// nextDue is one interval after due, so that the rate is exact on average. If the viewer
// is behind by more than one interval, it is now, so that there is no burst.
func nextDue(due time.Time, interval time.Duration) time.Time {
	next := due.Add(interval)
	if now := time.Now(); next.Before(now.Add(-interval)) {
		return now
	}
	return next
}

// send writes one whole part. If the gate measures the round trip, it writes the part's
// first segments, and the rest when these are acknowledged.
func (v *viewer) send(ctx context.Context, p *part, now time.Time) error {
	v.begin(p, now)
	if n := v.link.probe(); 0 < n && n < len(v.iov[1]) {
		v.holdFrame()
		rest, tail := v.iov[1][n:], v.iov[2]
		v.iov[1], v.iov[2] = v.iov[1][:n], nil
		if err := v.flush(); err != nil {
			return err
		}
		for v.link.gate.sampling && v.await(ctx, gateSamplePoll) {
			v.link.ready(time.Since(v.since), p.next().Sub(v.since), p.gap)
		}
		v.iov[1], v.iov[2] = rest, tail
	}
	return v.finish()
}

// ask sends a byte of the next part's header, or an empty record. When that is acknowledged
// tells whether everything before it was read.
func (v *viewer) ask() error {
	err := v.beginHeader()
	v.link.asked(time.Since(v.since))
	return err
}

// begin makes p the part that is being sent.
func (v *viewer) begin(p *part, now time.Time) {
	v.part = p
	v.iov = [3][]byte{p.head[len(lineEnd):], p.frame.JPEG, tail}
	switch {
	case v.records:
		v.iov[0], v.iov[2] = p.record[:], nil
	case v.ahead:
		v.iov[0], v.iov[2] = nil, aheadTail
	case v.begun:
		v.iov[0], v.begun = p.head, false
	}
	v.link.sent(now.Sub(v.since), len(p.frame.JPEG), max(p.gap, v.interval))
	if !p.placeholder { // its age is that of the trouble, and not of the link
		age := now.Sub(p.frame.Time)
		v.age.Store(int64(age))
		v.ages.add(age)
	}
	v.rate.Store(int64(v.link.gate.rate()))
	v.rtt.Store(int64(v.link.gate.baseRTT(&v.link.info)))
}

// finish writes the rest of the part.
func (v *viewer) finish() error {
	if err := v.flush(); err != nil {
		return err
	}
	v.done()
	return nil
}

// flush writes what is in iov. A frame for which the viewer needs longer than a moment is
// held.
func (v *viewer) flush() error {
	if v.writeNow() {
		return nil
	}
	v.holdFrame()
	v.bufs = v.iov[:]
	if v.patience != nil {
		v.patience.begin()
		defer v.patience.end()
	}
	for {
		if err := v.conn.SetWriteDeadline(time.Now().Add(v.timeout)); err != nil {
			return err
		}
		if v.yielded.Load() { // else the deadline that yield has set would be lost
			return errYielded
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

// yield ends the stream, as its goroutine finds out, without waiting for what the viewer
// has not taken.
func (v *viewer) yield() {
	v.yielded.Store(true)
	v.conn.SetWriteDeadline(time.Now())
	v.cancel()
}

// holdFrame notes that the viewer holds the frame of the part that is being sent, until
// giveFrame.
func (v *viewer) holdFrame() {
	if v.frames != nil && !v.holds {
		v.holds = true
		v.frames.take(&v.hold, v.part, v.letGo)
	}
}

func (v *viewer) giveFrame() {
	if v.holds {
		v.holds = false
		v.frames.give(&v.hold)
	}
}

// isSlow tells whether a viewer gets only few of the frames that there are, because it
// asks for few or takes few. newest is the number of the newest part.
func (v *viewer) isSlow(newest uint64) bool {
	if v.interval >= slowInterval {
		return true
	}
	watched, sent := time.Since(v.since), v.sent.Load()
	return watched >= 2*slowInterval && time.Duration(sent)*slowInterval < watched && 4*sent < newest-v.first
}

// done counts the part, which is written.
func (v *viewer) done() {
	v.sent.Add(1)
	v.skipped.Add(v.part.n - v.last - 1)
	v.last, v.part = v.part.n, nil
	v.iov = [3][]byte{} // an empty slice of the frame would keep it in memory until the next one
	v.giveFrame()
	if v.interval > 0 {
		v.due = nextDue(v.due, v.interval)
	}
}

// end writes what is left, and the closing boundary, so that players see that the stream is over
// and not broken.
func (v *viewer) end() error {
	if err := v.conn.SetWriteDeadline(time.Now().Add(v.closing)); err != nil {
		return err
	}
	if v.part != nil {
		v.bufs = v.iov[:]
		if _, err := v.bufs.WriteTo(v.conn); err != nil {
			return err
		}
	}
	if v.records { // its end is the connection's
		return nil
	}
	end := streamEnd
	if v.begun {
		end = lineEnd + end
	}
	_, err := v.conn.Write([]byte(end))
	return err
}
