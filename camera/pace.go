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
	alarm alarm
	start time.Time
	next  int64
}

// newPacer makes a pacer for a source that runs until ctx is done. It starts with its first
// wait. The caller closes it.
func newPacer(ctx context.Context, fps float64) *pacer {
	return &pacer{fps: fps, alarm: newAlarm(ctx)}
}

func (p *pacer) close() { p.alarm.close() }

// wait waits until the next frame is due, and returns its number from 0. It leaves out
// frames whose time has passed. When the context is done that the pacer was made for, it
// fails with the cause.
func (p *pacer) wait(ctx context.Context) (int64, error) {
	if p.start.IsZero() {
		p.start = time.Now()
	}
	passed := int64(time.Since(p.start).Seconds() * p.fps)
	n := max(p.next, passed)
	p.next = n + 1
	p.alarm.wait(time.Until(p.start.Add(time.Duration(float64(n) / p.fps * float64(time.Second)))))
	return n, context.Cause(ctx)
}

// An alarm wakes one goroutine.
type alarm interface {
	// wait returns after d, or when the context is done for which the alarm was made.
	wait(d time.Duration)
	close()
}

// A timerAlarm is an alarm by a timer of Go's.
type timerAlarm struct {
	done  <-chan struct{}
	timer *time.Timer
}

func newTimerAlarm(ctx context.Context) alarm {
	timer := time.NewTimer(0)
	timer.Stop()
	return &timerAlarm{ctx.Done(), timer}
}

func (a *timerAlarm) wait(d time.Duration) {
	a.timer.Reset(d)
	select {
	case <-a.done:
	case <-a.timer.C:
	}
}

func (a *timerAlarm) close() { a.timer.Stop() }
