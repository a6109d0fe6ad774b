package camera

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// Camera watches over a Source: starts it when somebody watches, stops it when
// nobody does any more, notices when its frames stop and brings it back.
//
// The exported fields are set before Run and do not change.
type Camera struct {
	Source Source
	// Deliver takes each frame, in order, from one goroutine at a time. It must
	// not block: nothing is captured meanwhile. May be nil.
	Deliver func(*Frame)
	// OnState is told every change of phase, reason, device or format, in order,
	// from one goroutine. It must not block. May be nil.
	OnState func(State)
	// IdleHold is how long the source runs on after the last viewer has left, so
	// that one who comes back need not wait for the camera. Zero means 10 s.
	IdleHold time.Duration
	// AlwaysOn runs the source also while nobody watches.
	AlwaysOn bool
	// Ladder is what to do, in order, when to start the source again does not bring
	// back its frames; see Rung. Nothing is done for a camera that is not there, or
	// is blocked (ErrBlocked).
	Ladder []Rung
	// Log may be nil.
	Log *slog.Logger

	// These are the loop's alone.
	failures failureLog
	ladder   []Rung
	climbed  bool // a rung was, since frames came last

	mu        sync.Mutex    // guards what follows
	kick      chan struct{} // wakes the loop; nil before Run
	watched   bool
	private   error     // why the owner wants it closed; nil is open
	leftAt    time.Time // when the last viewer left
	state     State
	published face
	err       error     // why there are no frames, in NoCamera and Fault
	known     bool      // it was found out once whether there are frames
	lost      bool      // the last run failed, and none was started since
	fault     error     // why the last run failed, as long as only another run can show that it works again
	failing   time.Time // since when there have been no frames; see noteFailing
	run       run
}

// run is what a Camera knows of the present run of its source.
type run struct {
	began   time.Time     // when it was called
	started time.Time     // when it said Started; zero until then
	first   time.Time     // when its first frame came; zero until then
	last    time.Time     // when its last frame came
	unseen  time.Duration // of the time since then, in which nobody looked
	frames  uint64
	damage  DropKind // of frames that were thrown away since the last good one
	over    bool     // it is being ended: its frames are not wanted any more
}

// face is the part of a State whose changes are published.
type face struct {
	Phase  Phase
	Reason string
	Device Device
	Format Format
}

// SetDemand says whether anybody watches. Demand that comes back within IdleHold
// finds the source still running.
func (c *Camera) SetDemand(watched bool) {
	c.mu.Lock()
	changed, now := c.watched != watched, time.Now()
	if changed && watched && !c.failing.IsZero() && now.Sub(c.leftAt) > c.idleHold() {
		c.failing = now // nobody has waited for it before
	}
	if changed {
		c.watched, c.leftAt = watched, now
	}
	c.mu.Unlock()
	if changed {
		c.wake()
	}
}

// ErrPrivate is why a camera is closed that its owner has closed.
var ErrPrivate = errors.New("the camera is closed until its owner opens it again")

// SetPrivacy closes the camera, whoever watches, and says why; nil allows it to be
// opened again.
func (c *Camera) SetPrivacy(why error) {
	c.mu.Lock()
	c.private = why
	if !c.failing.IsZero() {
		c.failing = time.Now()
	}
	c.mu.Unlock()
	c.wake()
}

// State says how the camera is.
func (c *Camera) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshot()
}

// Health is nil when frames flow or, as far as is known, would flow if somebody
// watched; else it says why not.
func (c *Camera) Health() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.state.Phase {
	case Idle, Live:
		return nil
	case Starting:
		if c.known {
			return nil
		}
		return errors.New("it is not yet known whether there is a camera")
	case Privacy, NoCamera, Fault:
		return c.err
	default:
		return errors.New("the camera is not being watched over")
	}
}

// snapshot is called with mu held.
func (c *Camera) snapshot() State {
	s := c.state
	s.Watched = c.watched
	s.Dropped = map[DropKind]uint64{}
	maps.Copy(s.Dropped, c.state.Dropped)
	s.Recovery = map[string]uint64{}
	maps.Copy(s.Recovery, c.state.Recovery)
	return s
}

// set makes phase and reason the state, and publishes it when anything changed
// since the last time. Only the loop calls it, so that states come in order.
func (c *Camera) set(phase Phase, err error) {
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	c.mu.Lock()
	c.err = err
	c.known = c.known || phase != Starting
	if s := &c.state; s.Phase != phase || s.Reason != reason {
		s.Phase, s.Reason, s.Since = phase, reason, time.Now()
	}
	now := face{phase, reason, c.state.Device, c.state.Format}
	changed := now != c.published
	c.published = now
	s := c.snapshot()
	c.mu.Unlock()
	if changed && c.OnState != nil {
		c.OnState(s)
	}
}

// fail says what keeps frames from flowing.
func (c *Camera) fail(err error) {
	c.mu.Lock()
	c.noteFailing(err)
	c.mu.Unlock()
	if !errors.Is(err, ErrNoCamera) {
		c.set(Fault, err)
		return
	}
	c.mu.Lock()
	c.state.Device, c.fault = Device{}, nil
	c.mu.Unlock()
	c.set(NoCamera, err)
}

// rest sets the phase of a source that is there and does not run. One whose last
// run failed is not well before another one gives a frame.
func (c *Camera) rest() (well bool) {
	c.mu.Lock()
	fault := c.fault
	c.mu.Unlock()
	if fault != nil {
		c.set(Fault, fault)
		return false
	}
	c.set(Idle, nil)
	return true
}

// clearFault forgets that the last run failed.
func (c *Camera) clearFault() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = nil
}

// follow sets the phase of a source that runs. Until its first frame a state of
// NoCamera or Fault stays: each new try would otherwise hide the reason.
func (c *Camera) follow() {
	c.mu.Lock()
	phase, flows, watched, err := c.state.Phase, !c.run.first.IsZero(), c.watched, c.err
	c.mu.Unlock()
	switch {
	case flows && watched:
		c.set(Live, nil)
	case flows:
		c.set(Idle, nil)
	case phase == NoCamera || phase == Fault:
		c.set(phase, err)
	default:
		c.set(Starting, nil)
	}
}

// wanted says whether the source should be started.
func (c *Camera) wanted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.private == nil && (c.AlwaysOn || c.watched)
}

// closed says why the owner wants the camera closed; nil if it may be open.
func (c *Camera) closed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.private
}

// sink takes what the source of a Camera produces.
type sink struct{ *Camera }

func (c sink) Started(d Device, f Format) {
	c.mu.Lock()
	c.state.Device, c.state.Format = d, f
	c.run.started, c.run.last, c.run.unseen = time.Now(), time.Time{}, 0 // what came before was a stand-in's
	if c.lost {
		c.state.Restarts++
		c.lost = false
	}
	c.mu.Unlock()
	c.wake()
}

func (c sink) Frame(f *Frame) {
	now := time.Now()
	c.mu.Lock()
	if c.run.over {
		c.mu.Unlock()
		return
	}
	c.state.Frames++
	f.Seq = c.state.Frames
	c.run.frames++
	c.run.last, c.run.unseen = now, 0
	c.run.damage = ""
	first := c.run.first.IsZero()
	if first {
		c.run.first, c.fault = now, nil
	}
	c.mu.Unlock()
	if c.Deliver != nil {
		c.Deliver(f)
	}
	if first {
		c.wake()
	}
}

func (c sink) Drop(kind DropKind, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Dropped == nil {
		c.state.Dropped = map[DropKind]uint64{}
	}
	c.state.Dropped[kind] += uint64(n)
	if kind != DropLost && kind != DropStale {
		c.run.damage = kind
	}
}

func (c sink) Restarted() { c.countRung(RungStream) }

// wake has the loop look at what was changed.
func (c *Camera) wake() {
	c.mu.Lock()
	kick := c.kick
	c.mu.Unlock()
	select {
	case kick <- struct{}{}:
	default: // it will look anyway
	}
}

// logger is l, or one that discards.
func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// sleep waits for d; it says false when ctx was done first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (d Device) String() string {
	switch {
	case d.Name == "":
		return d.Path
	case d.Path == "":
		return d.Name
	}
	return fmt.Sprintf("%s (%s)", d.Path, d.Name)
}
