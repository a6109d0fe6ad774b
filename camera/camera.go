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

// Camera watches over a Source. It starts the source when somebody watches and stops it
// when nobody does any more. It notices when frames stop and brings them back.
//
// The exported fields are set before Run and do not change, but by the methods that say so.
type Camera struct {
	Source Source
	// Deliver takes each frame, in order, from one goroutine at a time. It must
	// not block: nothing is captured meanwhile. May be nil.
	Deliver func(*Frame)
	// OnState is told every change of phase, reason, device or format, in order,
	// from one goroutine. It must not block. May be nil.
	OnState func(State)
	// IdleHold is how long the source runs on after the last viewer has left, so
	// that one who comes back need not wait for the camera. Zero means 10 s. See SetIdle.
	IdleHold time.Duration
	// AlwaysOn runs the source also while nobody watches. See SetIdle.
	AlwaysOn bool
	// Ladder is what to do, in order, if starting the source again does not bring its
	// frames back; see Rung. Nothing is done for a camera that is not there or that is
	// blocked (ErrBlocked).
	Ladder []Rung
	// Log may be nil.
	Log *slog.Logger

	// These are the loop's alone.
	failures failureLog
	ladder   []Rung
	climbed  bool // a rung was climbed since the last frame

	delivering sync.Mutex // held while a frame is, and taken before mu

	mu        sync.Mutex    // guards what follows
	kick      chan struct{} // wakes the loop; nil before Run
	watched   bool
	private   error     // why the owner wants it closed; nil is open
	reopen    bool      // the present run is to end, and another one to begin
	leftAt    time.Time // when the last viewer left
	state     State
	published face
	err       error     // why there are no frames, in NoCamera and Fault
	known     bool      // it is known, or was once, whether there are frames
	lost      bool      // the last run failed, and no source has started since
	fault     error     // why the last run failed, if only another run can show that the camera works again
	failing   time.Time // since when there have been no frames; see noteFailing
	run       run
}

// run is what a Camera knows of the present run of its source.
type run struct {
	began   time.Time     // when it was called
	started time.Time     // when it called Started; zero until then
	first   time.Time     // when its first frame came; zero until then
	last    time.Time     // when its last frame came
	unseen  time.Duration // the part of the time since then in which the loop did not run
	frames  uint64
	damage  DropKind // of the frames that were thrown away since the last good one
	over    bool     // it is being ended, and its frames are not wanted any more
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
		c.failing = now // until now nobody has waited for frames
	}
	if changed {
		c.watched, c.leftAt = watched, now
	}
	c.mu.Unlock()
	if changed {
		c.wake()
	}
}

// ErrPrivate is the reason why a camera is closed if its owner has closed it.
var ErrPrivate = errors.New("the camera is closed until its owner opens it again")

// SetPrivacy closes the camera for the reason why, whoever watches: when it returns, no
// frame is delivered any more. nil allows it to be opened again. Deliver must not call it.
func (c *Camera) SetPrivacy(why error) {
	c.delivering.Lock()
	c.mu.Lock()
	c.private = why
	if !c.failing.IsZero() {
		c.failing = time.Now()
	}
	c.mu.Unlock()
	c.delivering.Unlock()
	c.wake()
}

// Reopen ends the present run of the source, and begins another one if it is wanted: with
// other settings, or because its owner says so. It does not wait for that.
func (c *Camera) Reopen() {
	c.mu.Lock()
	c.reopen = true
	c.mu.Unlock()
	c.wake()
}

// SetIdle changes IdleHold and AlwaysOn.
func (c *Camera) SetIdle(hold time.Duration, alwaysOn bool) {
	c.mu.Lock()
	c.IdleHold, c.AlwaysOn = hold, alwaysOn
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

// fail makes err, which keeps frames from flowing, the state, unless the camera is closed.
func (c *Camera) fail(err error) {
	c.mu.Lock()
	c.noteFailing(err)
	c.mu.Unlock()
	if why := c.closed(); why != nil {
		c.set(Privacy, why)
		return
	}
	if !errors.Is(err, ErrNoCamera) {
		c.set(Fault, err)
		return
	}
	c.mu.Lock()
	c.state.Device, c.fault = Device{}, nil
	c.mu.Unlock()
	c.set(NoCamera, err)
}

// rest sets the phase of a source that is there and does not run. If its last run
// failed, it is not well until another run gives a frame.
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

// follow sets the phase of a source that runs. The phases NoCamera and Fault stay until
// its first frame, because each new try would hide the reason otherwise.
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
	c.run.started, c.run.last, c.run.unseen = time.Now(), time.Time{}, 0 // frames before were those of a Fallback's stand-in
	if c.lost {
		c.state.Restarts++
		c.lost = false
	}
	c.mu.Unlock()
	c.wake()
}

func (c sink) Frame(f *Frame) {
	now := time.Now()
	c.delivering.Lock()
	defer c.delivering.Unlock()
	c.mu.Lock()
	if c.run.over || c.private != nil {
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

// wake makes the loop look at what has changed.
func (c *Camera) wake() {
	c.mu.Lock()
	kick := c.kick
	c.mu.Unlock()
	select {
	case kick <- struct{}{}:
	default: // the loop is to look already, or does not run
	}
}

// logger is l, or one that discards.
func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// sleep waits for d. It returns false if ctx is done before.
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
