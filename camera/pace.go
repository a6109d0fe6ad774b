package camera

import (
	"context"
	"time"
)

const (
	defaultFPS = 30
	// minFPS and maxFPS bound the rate of the sources that set their own.
	minFPS = 0.1
	maxFPS = 120
)

// pacedFPS is the rate of a source without a clock of its own for which fps is asked.
func pacedFPS(fps float64) float64 {
	if !(fps > 0) { // NaN too
		return defaultFPS
	}
	return min(max(fps, minFPS), maxFPS)
}

// A pacer keeps a source on a schedule: frame n is due n frame times after the first
// one, however late the frames between them were.
type pacer struct {
	fps   float64
	start time.Time
	next  int64
	timer *time.Timer
}

// wait waits until the next frame is due, and returns its number from 0. It leaves out
// frames whose time has passed. When ctx is done, it fails with the cause.
func (p *pacer) wait(ctx context.Context) (int64, error) {
	if p.start.IsZero() {
		p.start = time.Now()
	}
	passed := int64(time.Since(p.start).Seconds() * p.fps)
	n := max(p.next, passed)
	p.next = n + 1
	due := p.start.Add(time.Duration(float64(n) / p.fps * float64(time.Second)))
	if p.timer == nil {
		p.timer = time.NewTimer(time.Until(due))
	} else {
		p.timer.Reset(time.Until(due))
	}
	select {
	case <-ctx.Done():
		p.timer.Stop()
		return 0, context.Cause(ctx)
	case <-p.timer.C:
		return n, nil
	}
}
