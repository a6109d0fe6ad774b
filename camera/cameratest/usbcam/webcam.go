// Package usbcam gives tests a USB webcam that is not there: Webcam is a USB
// Video Class device in Go which the kernel's own drivers take for real. It
// becomes a /dev/videoN that can be unplugged while it streams, send damaged
// frames, stall, and come back elsewhere.
//
// Plug plugs it into the kernel that the test runs on, which takes root,
// vhci-hcd and uvcvideo: hack/rig's virtual machine has them. PlugRedir plugs it
// into a virtual machine of QEMU's from outside, which takes nothing.
package usbcam

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrNotStreaming is returned by Send when the host does not ask for video, or
// ends the stream before it has all of the frame.
var ErrNotStreaming = errors.New("the host does not stream")

// ErrUnplugged is returned when the webcam is not plugged in, or no longer.
var ErrUnplugged = errors.New("the webcam is not plugged in")

// A Webcam is a simulated USB webcam. Its exported fields are read when it is
// plugged in. Its methods may be called from several goroutines.
type Webcam struct {
	Name    string        // of the product; "Simulated Webcam" when empty
	Serial  string        // a webcam without one, as cheap ones are, when empty
	Formats []PixelFormat // in the order offered; MJPEG alone when empty
	Modes   []Mode        // offered in each format; 640×480 and 1280×720 when empty

	// Port is the port of the virtual hub that Plug uses, counted from 1; 0 means
	// the first that is free.
	Port int

	// Adjust, when not nil, is the webcam's will: it gets what the host
	// proposes and returns what the webcam makes of it, which must be among its
	// formats and modes. It must not call the Webcam.
	Adjust func(Negotiated) Negotiated
	// Controls are those of its picture; none by themselves.
	Controls Controls

	sending sync.Mutex // held by the one Send at work

	mu       sync.Mutex
	bus      bus           // nil when unplugged
	dev      *uvcDevice    // not nil while bus is
	changed  chan struct{} // closed, and replaced, when anything below changes
	stalled  bool
	healable bool // a reset of its port ends that
	frozen   bool
	stream   int       // counts streams; starts at 1
	active   bool      // the host streams
	ready    bool      // it has committed and may begin
	pending  []request // bulk requests of the host that wait for video
	ignored  []uint64  // requests made while stalled: never answered
	frameBit byte      // toggles with each frame

	transport transport // what it is plugged into
}

// A bus is how a webcam's answers reach its host. It is called with the
// webcam's lock held, so that an answer and a cancellation cannot cross.
type bus interface {
	// Complete answers a bulk request; data belongs to the caller again after
	// the return.
	Complete(id uint64, data []byte) error
}

// A request is a bulk transfer that the host asked for.
type request struct {
	id     uint64
	length int // bytes at most
}

// maxPending bounds the requests that a host may have open; uvcvideo has 5.
const maxPending = 64

// A Picture is one video frame as it is sent, with its faults. For half a frame
// or one without tables see [Half] and [WithoutDHT].
type Picture struct {
	// Data is sent as it is, at most 2 bytes for each pixel. A frame of no bytes is a header without video;
	// uvcvideo delivers nothing for it.
	Data []byte
	// Error sets the error bit. uvcvideo drops such a frame, unless
	// [KeepDamaged] made it deliver them with V4L2_BUF_FLAG_ERROR.
	Error bool
	// NoEnd leaves out the end-of-frame bit: the driver notices the end when
	// the next frame begins.
	NoEnd bool
}

// Payload header bits (UVC 1.0, 2.4.3.3).
const (
	headerLen      = 2
	bitFrameID     = 0x01
	bitEndOfFrame  = 0x02
	bitError       = 0x40
	bitEndOfHeader = 0x80
)

// Send gives one frame to the host, at the pace at which the host asks for it.
// It returns when the host has all of it, ctx is done, the stream ends
// (ErrNotStreaming) or the webcam is unplugged (ErrUnplugged). One frame is sent
// at a time; p.Data is not kept.
func (w *Webcam) Send(ctx context.Context, p Picture) error {
	w.sending.Lock()
	defer w.sending.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bus == nil {
		return ErrUnplugged
	}
	if most := w.dev.FrameSize(); len(p.Data) > most {
		return fmt.Errorf("a frame of %d bytes: this webcam has told its host that none is over %d", len(p.Data), most)
	}
	stream := w.stream
	w.frameBit ^= bitFrameID
	flags := bitEndOfHeader | w.frameBit
	if p.Error {
		flags |= bitError
	}
	for rest, first := p.Data, true; first || len(rest) > 0; first = false {
		if err := w.waitLocked(ctx, func() bool {
			return w.bus == nil || !w.active || w.stream != stream || (!w.stalled && len(w.pending) > 0)
		}); err != nil {
			return err
		}
		if w.bus == nil {
			return ErrUnplugged
		}
		if !w.active || w.stream != stream {
			return ErrNotStreaming
		}
		req := w.pending[0]
		w.pending = w.pending[1:]
		var payload []byte
		payload, rest = nextPayload(rest, min(req.length, payloadMax), flags, !p.NoEnd)
		if err := w.bus.Complete(req.id, payload); err != nil {
			return ErrUnplugged
		}
	}
	return nil
}

// nextPayload packs as much of data as fits into room bytes, and returns what is
// left of it. The end-of-frame bit is set in the last payload when end is.
func nextPayload(data []byte, room int, flags byte, end bool) (payload, rest []byte) {
	n := min(len(data), room-headerLen)
	if end && n == len(data) {
		flags |= bitEndOfFrame
	}
	return append([]byte{headerLen, flags}, data[:n]...), data[n:]
}

// Stream sends frames whenever the host streams: next(0), next(1) and so on, fps
// a second, or as many as were negotiated when fps is 0. A frame that the host
// does not take in time delays those after it. It returns when ctx is done or
// the webcam is unplugged, and says which.
func (w *Webcam) Stream(ctx context.Context, fps float64, next func(n int) Picture) error {
	for n := 0; ; {
		got, err := w.Started(ctx)
		if err != nil {
			return err
		}
		rate := fps
		if rate == 0 {
			rate = got.FPS
		}
		tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
		for err == nil {
			if err = w.Send(ctx, next(n)); err == nil {
				n++
				select {
				case <-tick.C:
				case <-ctx.Done():
					err = ctx.Err()
				}
			}
		}
		tick.Stop()
		if !errors.Is(err, ErrNotStreaming) {
			return err
		}
	}
}

// Started returns when the host streams, which it may do already, with what was
// negotiated. It fails when ctx is done or the webcam is unplugged.
func (w *Webcam) Started(ctx context.Context) (Negotiated, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.waitLocked(ctx, func() bool { return w.bus == nil || w.active }); err != nil {
		return Negotiated{}, err
	}
	if w.bus == nil {
		return Negotiated{}, ErrUnplugged
	}
	return w.dev.Committed(), nil
}

// Stopped returns when the host does not stream, as when the webcam is
// unplugged. It fails when ctx is done.
func (w *Webcam) Stopped(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waitLocked(ctx, func() bool { return !w.active })
}

// Negotiated is what was agreed on last; zero before the webcam was plugged in.
func (w *Webcam) Negotiated() Negotiated {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dev == nil {
		return Negotiated{}
	}
	return w.dev.Committed()
}

// Streams says how many streams the host has begun since the webcam was made.
func (w *Webcam) Streams() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stream
}

// Stall makes the webcam hang, as crashed firmware does, or ends that: while it
// hangs it answers nothing, neither video nor control requests, and what it was
// asked meanwhile stays unanswered for ever. A host gives up after 5 s. (A
// camera that sends no frames but is well otherwise is one whose test does not
// call Send.)
func (w *Webcam) Stall(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stalled, w.healable = on, false
	w.notify()
}

// StallUntilReset is Stall, which ends when the host resets the webcam's port.
func (w *Webcam) StallUntilReset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stalled, w.healable = true, true
	w.notify()
}

// Freeze holds up the cable of a webcam in this machine's kernel, or lets it go on.
// The kernel waits for it without an end, also when it takes requests back: calls
// into the driver hang, as they do in one that is broken.
func (w *Webcam) Freeze(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen = on
	w.notify()
}

// thawed returns when the cable is not frozen.
func (w *Webcam) thawed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.waitLocked(context.Background(), func() bool { return !w.frozen }) // that context never ends
}

// waitLocked waits, with w.mu held on entry and return, until ok says so.
func (w *Webcam) waitLocked(ctx context.Context, ok func() bool) error {
	for !ok() {
		if w.changed == nil {
			w.changed = make(chan struct{})
		}
		changed := w.changed
		w.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		}
		w.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *Webcam) notify() {
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// The methods below are what a transport calls.

// attach makes the webcam ready for its host.
func (w *Webcam) attach(b bus) error {
	dev, err := newUVCDevice(w)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bus != nil {
		return errors.New("the webcam is plugged in already")
	}
	w.bus, w.dev = b, dev
	w.notify()
	return nil
}

// detach forgets the host.
func (w *Webcam) detach() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bus = nil
	w.active, w.ready, w.stalled, w.healable = false, false, false, false
	w.pending, w.ignored = nil, nil
	w.notify()
}

// reset ends the stream, as the host does when it resets the bus. What it still
// waits for, it cancels.
func (w *Webcam) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active, w.ready = false, false
	w.notify()
}

// control answers a control request by calling reply, with the lock held; it
// does not when the webcam hangs.
func (w *Webcam) control(id uint64, s setup, data []byte, reply func(data []byte, ok bool) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dev == nil {
		return ErrUnplugged
	}
	if w.healable && s.isFirst() {
		w.stalled, w.healable = false, false
	}
	if w.stalled {
		return w.ignore(id)
	}
	answer, ev, ok := w.dev.Control(s, data)
	switch ev {
	case eventCommit:
		w.active, w.ready = false, true
	case eventStop:
		w.active, w.ready = false, false
	}
	w.notify()
	return reply(answer, ok)
}

var errTooMany = errors.New("the host has too many requests open")

func (w *Webcam) ignore(id uint64) error {
	if len(w.ignored) == maxPending {
		return errTooMany
	}
	w.ignored = append(w.ignored, id)
	return nil
}

// submit takes a bulk request, which the next frames will answer.
func (w *Webcam) submit(id uint64, length int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if length <= headerLen {
		return w.ignore(id) // no room for any video
	}
	if len(w.pending) == maxPending {
		return errTooMany
	}
	w.pending = append(w.pending, request{id, length})
	if w.ready && !w.active {
		w.active = true
		w.stream++
	}
	w.notify()
	return nil
}

// cancel takes a request back and says by reply, with the lock held, whether it
// was still open.
func (w *Webcam) cancel(id uint64, reply func(open bool) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, req := range w.pending {
		if req.id == id {
			w.pending = append(w.pending[:i:i], w.pending[i+1:]...)
			return reply(true)
		}
	}
	for i, ignored := range w.ignored {
		if ignored == id {
			w.ignored = append(w.ignored[:i:i], w.ignored[i+1:]...)
			return reply(true)
		}
	}
	return reply(false)
}
