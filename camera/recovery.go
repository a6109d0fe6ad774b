package camera

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The first two rungs of the ladder that a Camera climbs when frames stop are its
// own: the source starts its stream again, and the source is run again, which opens
// the device anew. Those of Camera.Ladder follow.
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
	// Do climbs it; why is what is wrong with the camera. It has until ctx is done,
	// which is after 30 s. One that hangs even then is left to itself, and is not
	// called again before it has returned. It runs beside a call into the source
	// only if that hangs.
	Do func(ctx context.Context, why error) error

	// Last and Count are of earlier programs: the last attempt, zero for none, and
	// how many there were.
	Last  time.Time
	Count uint64

	ended chan error // of an attempt that has not returned yet; else nil
}

// rungTimeout bounds the wait for a Rung. A USB reset takes 10 s if the device
// does not answer (hub_port_init: several tries of 5 s at most).
const rungTimeout = 30 * time.Second

// dueRung is the lowest rung that is to be climbed now, when there were no frames
// for the time failing; nil if none is.
func dueRung(ladder []Rung, failing time.Duration, now time.Time) *Rung {
	for i := range ladder {
		r := &ladder[i]
		if failing >= r.After && r.ended == nil && (r.Last.IsZero() || now.Sub(r.Last) >= r.Every) {
			return r
		}
	}
	return nil
}

// climb does what is due for a camera that gives no frames, and waits for it.
// The loop calls it whenever the source has failed, or hangs.
func (c *Camera) climb(ctx context.Context) {
	for i := range c.ladder { // what has returned late may be tried again
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
	ctx, cancel := context.WithTimeout(ctx, rungTimeout)
	defer cancel()
	go func(do func(context.Context, error) error, ended chan<- error) { ended <- do(ctx, why) }(r.Do, r.ended)
	var err error
	select {
	case err = <-r.ended:
		r.ended = nil
	case <-ctx.Done():
		err = fmt.Errorf("it did not end: %w", ctx.Err())
	}
	if err != nil {
		log.Error("that did not work", "err", err)
	}
}

// restartStream has the running source start its stream again, if that gave frames
// before. It says false when the run must end, and the device be opened anew.
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

// noteFailing is told every failure, with mu held, and keeps since when there have
// been no frames. What only a person can mend does not count, and neither does a
// camera that is not there, unless it vanished after a rung was climbed for it.
func (c *Camera) noteFailing(err error) {
	switch {
	case errors.Is(err, ErrBlocked), errors.Is(err, ErrNoCamera) && !c.climbed:
		c.failing = time.Time{}
	case c.failing.IsZero():
		c.failing = time.Now()
	}
}
