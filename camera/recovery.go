package camera

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// When frames stop, a Camera climbs a ladder. The first two rungs are its own: it has
// the source start its stream again, and it runs the source again, which opens the
// device anew. The rungs of Camera.Ladder follow.
const (
	RungStream = "stream"
	RungReopen = "reopen"
)

// A Rung is a way to bring a camera back that gives no frames although somebody
// waits for them. Each is harder on the machine than the one before it.
type Rung struct {
	// Name is for the log, State.Recovery and metrics: "reset".
	Name string
	// After is how long there must have been no frames, with viewers waiting.
	After time.Duration
	// Every is the least time between two attempts, whether they help or not.
	Every time.Duration
	// Do climbs the rung. why is what is wrong with the camera. ctx is done after 30 s.
	// If Do does not return then, it is left behind, and not called again before it has
	// returned. If a call into the source hangs, Do runs at the same time.
	Do func(ctx context.Context, why error) error

	// Last is when an earlier run of the program has climbed the rung last, zero for
	// never. Count is how often earlier runs did.
	Last  time.Time
	Count uint64

	ended chan error // of an attempt that has not returned yet; else nil
}

// rungTimeout bounds the wait for a Rung. A USB reset takes 10 s if the device
// does not answer (hub_port_init: several tries of 5 s at most).
const rungTimeout = 30 * time.Second

// dueRung is the lowest rung that has to be climbed now, after the time failing without
// frames; nil if there is none.
func dueRung(ladder []Rung, failing time.Duration, now time.Time) *Rung {
	for i := range ladder {
		r := &ladder[i]
		if failing >= r.After && r.ended == nil && (r.Last.IsZero() || now.Sub(r.Last) >= r.Every) {
			return r
		}
	}
	return nil
}

// climb climbs the rung that is due, and waits for it. The loop calls it whenever the
// source has failed or hangs.
func (c *Camera) climb(ctx context.Context) {
	for i := range c.ladder { // rungs that have returned late can be climbed again
		select {
		case <-c.ladder[i].ended:
			c.ladder[i].ended = nil
		default:
		}
	}
	c.mu.Lock()
	waiting := c.watched && c.private == nil && !c.failing.IsZero()
	failing, why := time.Since(c.failing), c.err
	c.mu.Unlock()
	r := dueRung(c.ladder, failing, time.Now())
	if !waiting || r == nil {
		return
	}
	log := logger(c.Log).With("rung", r.Name)
	log.Warn("the camera gives no frames, and stronger means are tried", "for", failing.Round(time.Second), "reason", why)
	c.countRung(r.Name)
	r.Last, r.ended = time.Now(), make(chan error, 1)
	c.climbed = true
	rungCtx, cancel := context.WithTimeout(ctx, rungTimeout)
	defer cancel()
	go func(do func(context.Context, error) error, ended chan<- error) { ended <- do(rungCtx, why) }(r.Do, r.ended)
	var err error
	woken := false
	for waits := true; waits; {
		select {
		case err = <-r.ended:
			r.ended, waits = nil, false
		case <-rungCtx.Done():
			err, waits = fmt.Errorf("it did not end: %w", rungCtx.Err()), false
		case <-c.kick:
			woken = true
			c.showPrivacy()
		}
	}
	if woken {
		c.wake() // the loop is to look at what has changed, too
	}
	if err != nil && ctx.Err() == nil { // else the rung has ended the program
		log.Error("that did not work", "err", err)
	}
}

// restartStream has the running source start its stream again, if the run has given
// frames before. If it returns false, the run must end, so that the device is opened
// anew.
func (c *Camera) restartStream(cause error) bool {
	s, ok := c.Source.(StreamRestarter)
	if !ok || !c.flows() || !s.RestartStream() {
		return false
	}
	c.recordFailure(cause)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run.over, c.run.unseen = false, 0
	c.run.started, c.run.first, c.run.last = time.Now(), time.Time{}, time.Time{}
	return true
}

func (c *Camera) countRung(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.countRungLocked(name, 1)
}

func (c *Camera) countRungLocked(name string, n uint64) {
	if c.state.Recovery == nil {
		c.state.Recovery = map[string]uint64{}
	}
	c.state.Recovery[name] += n
}

// noteFailing is told each failure, with mu held. It keeps since when there have been no
// frames. What only a person can mend does not count, nor does a camera that is not
// there, unless a rung was climbed before, which may have made it vanish.
func (c *Camera) noteFailing(err error) {
	switch {
	case errors.Is(err, ErrBlocked), errors.Is(err, ErrNoCamera) && !c.climbed:
		c.failing = time.Time{}
	case c.failing.IsZero():
		c.failing = time.Now()
	}
}
