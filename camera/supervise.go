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
	// lookInterval is how often it is looked whether frames still come. If the program
	// stood still for longer, on a busy or a paused machine, it does not know what the
	// camera did meanwhile, and that time does not count.
	lookInterval = 500 * time.Millisecond
	// answerTimeout is how long Check may take, and Run after it was canceled, until the
	// driver counts as hanging. STREAMOFF of the Raspberry Pi's camera takes more than
	// 3 s when its firmware does not answer.
	answerTimeout = 5 * time.Second
	checkInterval = 3 * time.Second // between two looks while nobody watches

	minBackoff  = 250 * time.Millisecond
	maxBackoff  = 5 * time.Second
	steadyAfter = 10 * time.Second // after so long with frames the trouble counts as over

	defaultIdleHold = 10 * time.Second
)

var (
	errNotAnswering = errors.New("the camera driver does not answer")
	errUnwatched    = errors.New("nobody watches")
	errReopened     = errors.New("it is opened anew, as its owner wants")
)

// Run watches over the source until ctx is done. It leaves nothing behind, with one
// exception: if a call into the source has not returned 5 s after ctx was done, it hangs
// in the kernel, where nothing can end it. Then Run says so, and that goroutine stays
// until the end of the program.
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
			case <-c.kick: // it came from the run that has ended, and must not shorten the pause
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
		switch {
		case err != nil:
			return err
		case c.closed() != nil:
			return nil
		case v.err != nil:
			c.clearFault() // the next Check can find out that the camera works again
			c.report(v.err)
		default:
			c.mu.Lock()
			c.state.Device = v.device
			c.mu.Unlock()
			if c.rest() {
				c.logRecovered("camera found; it starts when somebody watches", "camera", v.device.String())
				c.flush()
			}
		}
		if c.pause(ctx, checkInterval, c.kick) {
			c.clearFault() // the camera may have been plugged in again
		}
	}
	return nil
}

// watch runs the source once. It returns nil when nobody watches any more or ctx
// is done, else why the source was lost; errNotAnswering only when ctx is done.
func (c *Camera) watch(ctx context.Context) error {
	c.mu.Lock()
	c.run = run{began: time.Now()}
	c.reopen = false
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

// recordLoss records that the present run has failed and ends.
func (c *Camera) recordLoss(err error) {
	c.mu.Lock()
	c.lost = c.lost || !c.run.started.IsZero()
	c.mu.Unlock()
	c.recordFailure(err)
}

// recordFailure records that the present run gives no frames any more.
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

// due returns how long the present run may go on. If it must end now, due returns why,
// and whether that is wished and no failure. looked is when due was called before.
//
// A run that must end is marked as over. Its driver may take seconds to stop, and frames
// that it gives until then would hide the reason why there is no picture.
func (c *Camera) due(now, looked time.Time) (wait time.Duration, cause error, wished bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.private != nil {
		c.run.over = true
		return 0, c.private, true
	}
	if c.reopen {
		c.run.over = true
		return 0, errReopened, true
	}
	since := looked
	if c.run.last.After(looked) {
		since = c.run.last
	}
	c.run.unseen += max(0, now.Sub(since)-lookInterval)
	r := c.run
	limit := c.state.Format.StallTime()
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

// answer waits for a call into the source that should return now. If it does not, the
// state says so, and answer climbs the ladder and waits on, because a source is never
// called twice at a time. Only when ctx is done it gives up, with errNotAnswering.
func answer[T any](ctx context.Context, c *Camera, done <-chan T) (v T, err error) {
	patience := time.NewTimer(answerTimeout)
	defer patience.Stop()
	woken := false
	defer func() {
		if woken {
			c.wake() // the loop is to look at what has changed, too
		}
	}()
	if why := c.closed(); why != nil && ctx.Err() == nil { // else the program ends, and says that
		c.set(Privacy, why)
	}
	for said := false; ctx.Err() == nil; {
		select {
		case v := <-done:
			return v, nil
		case <-c.kick:
			woken = true
			if c.showPrivacy(); said {
				c.fail(errNotAnswering) // unless it is closed
			}
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

// showPrivacy makes it the state that the owner has closed the camera, or not any more, while
// the loop waits for what may never end.
func (c *Camera) showPrivacy() {
	c.mu.Lock()
	why, shown := c.private, c.state.Phase == Privacy
	c.mu.Unlock()
	switch {
	case why != nil:
		c.set(Privacy, why)
	case shown:
		c.set(Starting, nil)
	}
}

// pause waits for d, or until ctx is done, wake is sent to, or the source knows that it
// is worth trying again. It returns true in that last case.
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

// flows tells whether the present run has given a frame.
func (c *Camera) flows() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.run.first.IsZero()
}

// steady tells whether the last run gave frames for so long that the trouble before it
// counts as over.
func (c *Camera) steady() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.run.last.Sub(c.run.first) >= steadyAfter
}
