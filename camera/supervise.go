package camera

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// How long a Camera waits for what.
const (
	startTimeout = 10 * time.Second // from the start of a run to Started
	stallTimeout = 3 * time.Second  // without a frame, at least
	stallFrames  = 10               // without a frame, in frame times
	// lookInterval is how often it is looked whether frames still come. A program
	// that stood still for longer (a busy machine, a paused one) cannot know what
	// the camera did meanwhile: that time counts for nothing.
	lookInterval = 500 * time.Millisecond
	// answerTimeout is how long Check, and Run after it was canceled, may take
	// before the driver counts as hanging. STREAMOFF of the Raspberry Pi's camera
	// takes more than 3 s when its firmware does not answer.
	answerTimeout = 5 * time.Second
	checkInterval = 3 * time.Second // between two looks while nobody watches

	minBackoff  = 250 * time.Millisecond
	maxBackoff  = 5 * time.Second
	steadyAfter = 10 * time.Second // of frames the trouble counts as over

	defaultIdleHold = 10 * time.Second
)

var (
	errNotAnswering = errors.New("the camera driver does not answer")
	errUnwatched    = errors.New("nobody watches")
)

// Run watches over the source until ctx is done. It leaves nothing behind, with
// one exception: a call into the source that has not returned 5 s after ctx was
// done hangs in the kernel, where nothing can end it; Run then says so and
// leaves that one goroutine to the end of the program.
func (c *Camera) Run(ctx context.Context) error {
	c.ladder = slices.Clone(c.Ladder)
	c.mu.Lock()
	c.kick = make(chan struct{}, 1)
	for _, r := range append([]Rung{{Name: RungStream}, {Name: RungReopen}}, c.ladder...) {
		c.countRungLocked(r.Name, r.Count)
	}
	c.mu.Unlock()
	c.set(Starting, nil)
	defer c.set(Stopping, nil)
	backoff := minBackoff
	for ctx.Err() == nil {
		if why := c.closed(); why != nil {
			c.set(Privacy, why)
			select {
			case <-c.kick:
			case <-ctx.Done():
			}
			continue
		}
		if !c.wanted() {
			if err := c.idle(ctx); err != nil {
				return err
			}
			backoff = minBackoff
			continue
		}
		err := c.watch(ctx)
		switch {
		case errors.Is(err, errNotAnswering):
			return err
		case ctx.Err() != nil:
		case c.closed() != nil:
		case err == nil:
			c.rest()
		default:
			if c.steady() {
				backoff = minBackoff
			}
			select {
			case <-c.kick: // by the run that has ended: no reason to hurry
			default:
			}
			c.climb(ctx)
			if c.pause(ctx, backoff, c.kick) {
				backoff = minBackoff
			} else {
				backoff = min(2*backoff, maxBackoff)
			}
		}
	}
	return nil
}

// idle looks for the camera now and then, until somebody watches. Its error is
// errNotAnswering, when ctx is done.
func (c *Camera) idle(ctx context.Context) error {
	type verdict struct {
		device Device
		err    error
	}
	for ctx.Err() == nil && !c.wanted() && c.closed() == nil {
		checked := make(chan verdict, 1)
		go func() {
			d, err := c.Source.Check()
			checked <- verdict{d, err}
		}()
		v, err := answer(ctx, c, checked)
		if err != nil {
			return err
		}
		if v.err != nil {
			c.clearFault() // another Check can tell that this is over
			c.report(v.err)
		} else {
			c.mu.Lock()
			c.state.Device = v.device
			c.mu.Unlock()
			if c.rest() {
				c.logRecovered("camera found; it starts when somebody watches", "camera", v.device.String())
				c.flush()
			}
		}
		if c.pause(ctx, checkInterval, c.kick) {
			c.clearFault() // it was plugged in again
		}
	}
	return nil
}

// watch runs the source once. It returns nil when nobody watches any more or ctx
// is done, else why the source was lost; errNotAnswering only when ctx is done.
func (c *Camera) watch(ctx context.Context) error {
	c.mu.Lock()
	c.run = run{began: time.Now()}
	if c.fault != nil {
		c.countRungLocked(RungReopen, 1)
	}
	c.mu.Unlock()
	c.follow()

	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() { ended <- c.Source.Run(run, sink{c}) }()

	timer := time.NewTimer(0)
	defer timer.Stop()
	said := false
	for looked := time.Now(); ; {
		select {
		case err := <-ended:
			if ctx.Err() != nil {
				return nil
			}
			if err == nil {
				err = errors.New("the camera ended by itself")
			}
			c.recordLoss(err)
			return err
		case <-ctx.Done():
			c.set(Stopping, nil)
			_, err := answer(ctx, c, ended)
			return err
		case <-c.kick:
		case <-timer.C:
		}
		if c.follow(); !said && c.flows() {
			said = true
			c.logStarted()
		}
		now := time.Now()
		wait, cause, wished := c.due(now, looked)
		if cause == nil {
			looked = now
			timer.Reset(min(wait, lookInterval))
			continue
		}
		if !wished && c.restartStream(cause) {
			looked, said = time.Now(), false
			timer.Reset(0)
			continue
		}
		if !wished {
			c.recordLoss(cause)
		}
		cancel(cause)
		if _, err := answer(ctx, c, ended); err != nil {
			return err
		}
		if wished {
			c.logStopped(cause)
			return nil
		}
		return cause
	}
}

// recordLoss makes it known that the present run has failed and ends.
func (c *Camera) recordLoss(err error) {
	c.mu.Lock()
	c.lost = c.lost || !c.run.started.IsZero()
	c.mu.Unlock()
	c.recordFailure(err)
}

// recordFailure makes it known that the present run gives no frames any more.
func (c *Camera) recordFailure(err error) {
	steady := c.steady()
	if steady {
		c.flush()
		c.climbed = false
	}
	c.mu.Lock()
	if errors.Is(err, ErrStalled) {
		c.state.Stalls++
	}
	if steady {
		c.failing = time.Time{}
	}
	c.fault = err
	c.mu.Unlock()
	c.report(err)
}

// due says why the present run must end now, and whether that is wished, or how
// long it has until then. looked is when it was called before.
//
// A run that must end is over: its driver may take seconds to stop, and what it
// still gives until then would hide the reason why there is no picture.
func (c *Camera) due(now, looked time.Time) (wait time.Duration, cause error, wished bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.private != nil {
		c.run.over = true
		return 0, c.private, true
	}
	since := looked
	if c.run.last.After(looked) {
		since = c.run.last
	}
	c.run.unseen += max(0, now.Sub(since)-lookInterval)
	r := c.run
	limit := max(stallTimeout, stallFrames*c.state.Format.FrameTime())
	var end time.Time
	switch {
	case r.started.IsZero():
		end = r.began.Add(startTimeout)
		cause = fmt.Errorf("%w: it did not start within %v", ErrStalled, startTimeout)
	case r.last.IsZero():
		end = r.started.Add(limit)
	default:
		end = r.last.Add(limit)
	}
	end = end.Add(r.unseen)
	if cause == nil {
		cause = fmt.Errorf("%w: it gave no frame for %v", ErrStalled, limit)
		if r.damage != "" {
			cause = fmt.Errorf("%w: it gave only damaged frames for %v (%s)", ErrStalled, limit, r.damage)
		}
	}
	if !c.watched && !c.AlwaysOn {
		if idle := c.leftAt.Add(c.idleHold()); idle.Before(end) {
			end, cause, wished = idle, errUnwatched, true
		}
	}
	if wait = end.Sub(now); wait > 0 {
		return wait, nil, false
	}
	c.run.over = true
	return 0, cause, wished
}

func (c *Camera) idleHold() time.Duration { return cmp.Or(c.IdleHold, defaultIdleHold) }

// answer waits for a call into the source that should return now. When it does
// not, the state says so and answer waits on, climbing the ladder, since a source
// is never called twice at a time; it gives up only when ctx is done, with errNotAnswering.
func answer[T any](ctx context.Context, c *Camera, done <-chan T) (v T, err error) {
	patience := time.NewTimer(answerTimeout)
	defer patience.Stop()
	for said := false; ctx.Err() == nil; {
		select {
		case v := <-done:
			return v, nil
		case <-patience.C:
			if !said {
				said = true
				c.report(errNotAnswering)
			}
			c.climb(ctx)
			patience.Reset(answerTimeout)
		case <-ctx.Done():
		}
	}
	patience.Reset(answerTimeout)
	select {
	case v := <-done:
		return v, nil
	case <-patience.C:
		return v, errNotAnswering
	}
}

// pause waits for d, until ctx is done, until wake says something, or until the
// source knows that it is worth trying again; it says true in that last case.
func (c *Camera) pause(ctx context.Context, d time.Duration, wake <-chan struct{}) (early bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan bool, 1)
	go func() {
		if w, ok := c.Source.(Waiter); ok {
			over <- w.Wait(ctx, d)
		} else {
			sleep(ctx, d)
			over <- false
		}
	}()
	select {
	case early := <-over:
		return early
	case <-wake:
		cancel()
		<-over
		return false
	}
}

// flows says whether the present run gave a frame.
func (c *Camera) flows() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.run.first.IsZero()
}

// steady says whether the last run gave frames for long enough to forget what
// went wrong before it.
func (c *Camera) steady() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.run.last.Sub(c.run.first) >= steadyAfter
}
