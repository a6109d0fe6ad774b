// Package pusher pushes camera frames to viewers over HTTP: multipart streams,
// JPGPusher sessions and snapshots. It also answers how all of them are.
//
// A frame takes the shortest way: the camera publishes it to the Hub, which
// keeps only the newest; each viewer takes the newest when its connection is
// ready for one, and writes it with one writev from memory that all share.
package pusher

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushcam/pushcam/camera"
)

const (
	boundary = "frame"
	lineEnd  = "\r\n"
	// partTail ends a part with the boundary of the next one, because Firefox shows
	// a part only when it has seen the boundary behind it.
	partTail = "\r\n--" + boundary + "\r\n"
	// headAhead is a part's header for a stream whose headers go ahead of their frames;
	// see wantsHeaderAhead. It has only what is known before the frame.
	headAhead = "Content-Type: image/jpeg\r\n\r\n"
	// streamEnd follows a partTail: an empty part, then the closing delimiter.
	streamEnd = "\r\n--" + boundary + "--\r\n"

	// resendAfter is how long a stream stays silent at most. Then the last frame is
	// sent again, for players that show a frame only when the next one comes.
	resendAfter = time.Second

	// maxPushed is to how many viewers the publishing goroutine itself writes. That
	// costs less than to wake a viewer's goroutine. But the camera waits meanwhile, and
	// only one core works, where woken goroutines use all. On a core with 500 million
	// instructions per second the camera waits 1.8 ms for 16 viewers and 100 kB, and
	// 3.1 ms at most (BenchmarkPublishHeld).
	maxPushed = 16
	// maxPushedAlone is the same while Go has one processor, so that those who are woken
	// wait for each other, too. To wake them is a twelfth of what 100 viewers cost then.
	maxPushedAlone = 128
	// staleAfter is the age from which a frame is not repeated: the camera must have
	// been off since, because even the slowest source has only 10 s between two frames.
	staleAfter = 15 * time.Second
)

// A Hub holds the newest frame and wakes those who wait for one. It queues nothing:
// a viewer that was busy when frames came finds the newest one and has skipped the
// others.
type Hub struct {
	demand func(bool)
	began  time.Time // of its clock

	newest atomic.Pointer[part]
	news   atomic.Pointer[news] // nil before the first

	mu       sync.Mutex // orders changes of newest, watchers and down
	watchers int
	parked   []*waiter // those who have seen the newest part and wait for the next
	width    int       // of the camera's last frame, in pixels; 0 before the first
	height   int
	down     error  // why there are no frames, nil while there are
	after    uint64 // the number of the last frame before down
	resend   *time.Timer
}

// A waiter is somebody who can be parked in a Hub to wait for the next part. While it is
// parked, it belongs to whoever publishes.
type waiter struct {
	last  uint64        // number of the part that it has seen or does not need
	hears bool          // it is told the news
	told  *news         // the last that it was told
	wake  chan struct{} // gets a token when the waiter is not parked any more
	write func(*part, time.Time) bool
}

// newWaiter returns a waiter that is not parked. The publisher calls write, which may be
// nil. write writes a part without waiting, and returns false if the waiter has to be
// woken because more is to be done.
func newWaiter(write func(*part, time.Time) bool) waiter {
	return waiter{wake: make(chan struct{}, 1), write: write}
}

// part is one frame as it goes over the wire, shared by all viewers.
type part struct {
	frame       *camera.Frame // nil until there is one
	head        []byte        // the part's header, after an end of line
	record      recordHead    // the same in a stream of records
	n           uint64        // its number; the difference of two numbers tells how many were skipped
	since       time.Time     // when it became the newest
	gap         time.Duration // since the part before
	placeholder bool          // a picture that says why there is no camera
	holders     int           // of its frame; belongs to the frameBudget
}

// next is when the part after this one is expected.
func (p *part) next() time.Time { return p.since.Add(p.gap) }

// NewHub returns a Hub without a frame. It calls demand, which may be nil, with
// true when the first watcher comes and with false when the last one goes; the
// calls are in order and must not block.
func NewHub(demand func(bool)) *Hub {
	if demand == nil {
		demand = func(bool) {}
	}
	h := &Hub{demand: demand, began: time.Now()}
	h.newest.Store(new(part))
	h.resend = time.AfterFunc(resendAfter, h.repeat)
	h.resend.Stop()
	return h
}

// Publish makes f the newest frame. The Hub and its viewers only read f. If a placeholder
// is shown, a frame that was captured before it comes too late and is dropped.
func (h *Hub) Publish(f *camera.Frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down != nil && f.Seq <= h.after {
		return
	}
	h.down = nil
	h.width, h.height = f.Width, f.Height
	h.replace(&part{frame: f, head: partHead(f)})
}

// Size is the size of the camera's last frame in pixels, 0 × 0 before the first one. A
// placeholder should have the same: when the size changes, OpenCV and recorders go on
// with the last picture.
func (h *Hub) Size() (width, height int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.width, h.height
}

// ShowPlaceholder shows viewers f, a picture that says why there is no camera, until the
// next Publish. nil shows them nothing new. after is the number (Seq) of the last frame
// before the camera was lost. It takes a while to draw f: if there is a newer frame by
// now, the camera is back, and f is dropped.
func (h *Hub) ShowPlaceholder(f *camera.Frame, why error, after uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.newest.Load(); !p.placeholder && p.frame != nil && p.frame.Seq > after {
		return
	}
	h.down, h.after = why, after
	p := &part{frame: f, placeholder: true}
	if f != nil {
		p.head = partHead(f)
	}
	h.replace(p)
}

// Forget has nobody see the camera's last frame from now on, because of why: the picture
// that says so is still to be drawn.
func (h *Hub) Forget(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.newest.Load(); p.frame != nil && !p.placeholder {
		h.down, h.after = why, p.frame.Seq
		h.replace(&part{placeholder: true})
	}
}

// Up says that there is a camera again, so that new viewers do not see the last
// placeholder. The camera may give no frames until somebody watches.
func (h *Hub) Up() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = nil
}

// replace makes p the newest part and wakes the watchers. h.mu is held.
func (h *Hub) replace(p *part) {
	old := h.newest.Load()
	p.n = old.n + 1
	p.since = time.Now()
	p.gap = p.since.Sub(old.since)
	if p.frame != nil {
		p.record = h.recordHead(p)
	}
	h.newest.Store(p)
	if h.watchers > 0 {
		h.resend.Reset(resendAfter)
	}
	h.push(p)
}

// push gives p to those who are parked. It writes p to the first of them, and wakes the
// others and those who have not taken all of p. h.mu is held.
func (h *Hub) push(p *part) {
	most := maxPushed
	switch {
	case p.frame == nil:
		most = 0
	case runtime.GOMAXPROCS(0) == 1:
		most = maxPushedAlone
	}
	served := h.parked[:min(len(h.parked), most)]
	for _, w := range h.parked[len(served):] {
		w.wake <- struct{}{}
	}
	still := h.parked[:0]
	for _, w := range served {
		if w.write != nil && h.untold(w) == nil && w.write(p, time.Now()) {
			still = append(still, w)
		} else {
			w.wake <- struct{}{}
		}
	}
	clear(h.parked[len(still):])
	h.parked = still
}

// park waits until there is a part that w has not seen, or news, or until w is woken because
// something is left to do with a part. It returns false if ctx is done before. Then w must
// not be parked again, because its token may have come at the same time.
func (h *Hub) park(ctx context.Context, w *waiter) bool {
	h.mu.Lock()
	if h.newest.Load().n != w.last || h.untold(w) != nil {
		h.mu.Unlock()
		return true
	}
	h.parked = append(h.parked, w)
	h.mu.Unlock()
	select {
	case <-w.wake:
		return true
	case <-ctx.Done():
		h.mu.Lock()
		defer h.mu.Unlock()
		h.parked = slices.DeleteFunc(h.parked, func(other *waiter) bool { return other == w })
		return false
	}
}

// repeat sends the newest part once more, unless that has come while the timer was
// firing. While a camera starts, it repeats neither a frame from before nor a
// placeholder that is not true any more.
func (h *Hub) repeat() {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.newest.Load()
	if h.watchers == 0 || p.frame == nil || time.Since(p.since) < resendAfter {
		return
	}
	over := !p.placeholder && time.Since(p.frame.Time) >= staleAfter || p.placeholder && h.down == nil
	if !over {
		h.replace(&part{frame: p.frame, head: p.headNow(), placeholder: p.placeholder})
	}
}

// watch counts one more watcher, who must call the returned function when it leaves. The
// returned part is the newest. It has no frame if that is too old to be shown; then the
// watcher waits for the next part.
func (h *Hub) watch() (*part, func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watchers++
	p := h.newest.Load()
	if h.watchers == 1 {
		h.resend.Reset(resendAfter)
		h.demand(true)
	}
	fresh := p.frame != nil && (p.placeholder && h.down != nil || !p.placeholder && time.Since(p.frame.Time) < resendAfter)
	switch {
	case !fresh:
		p = &part{n: p.n}
	case p.placeholder:
		p = &part{frame: p.frame, head: p.headNow(), record: p.record, n: p.n, since: p.since, gap: p.gap, placeholder: true}
	}
	return p, sync.OnceFunc(h.leave)
}

func (h *Hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watchers--
	if h.watchers == 0 {
		h.resend.Stop()
		h.demand(false)
	}
}

// currentPlaceholder returns the part with the picture that says why there are no frames,
// if it could be drawn, and the reason; nil while there are frames.
func (h *Hub) currentPlaceholder() (*part, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.newest.Load(); h.down != nil && p.placeholder {
		return p, h.down
	}
	return nil, nil
}

// LastSize is how many pixels and bytes the newest frame of the camera has; zero if there
// is none.
func (h *Hub) LastSize() (pixels, bytes int) {
	f := h.lastFrame()
	if f == nil {
		return 0, 0
	}
	return f.Width * f.Height, len(f.JPEG)
}

// lastFrame returns the newest frame of the camera, nil if there is none.
func (h *Hub) lastFrame() *camera.Frame {
	if p := h.newest.Load(); !p.placeholder {
		return p.frame
	}
	return nil
}

// headNow is the part's header as of now. A placeholder is shown for as long as there is
// no camera, and the clock may have been set since it was drawn.
func (p *part) headNow() []byte {
	if !p.placeholder {
		return p.head
	}
	f := *p.frame
	f.Time = time.Now().Add(-time.Since(f.Time)) // by the monotonic clock
	return partHead(&f)
}

// partHead is what precedes a frame's bytes in a multipart stream. X-Timestamp
// is the capture time in Unix seconds, as ustreamer and mjpg-streamer write it.
func partHead(f *camera.Frame) []byte {
	b := make([]byte, 0, 128)
	b = append(b, lineEnd+"Content-Type: image/jpeg\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(f.JPEG)), 10)
	b = append(b, "\r\nX-Timestamp: "...)
	b = appendUnixMicro(b, f.Time)
	b = append(b, "\r\nX-Frame: "...)
	b = strconv.AppendUint(b, f.Seq, 10)
	return append(b, "\r\n\r\n"...)
}

// appendUnixMicro appends t as seconds with six digits behind the point.
func appendUnixMicro(b []byte, t time.Time) []byte {
	us := max(t.UnixMicro(), 0)
	b = strconv.AppendInt(b, us/1e6, 10)
	frac := strconv.AppendInt(nil, us%1e6+1e6, 10)
	frac[0] = '.'
	return append(b, frac...)
}
