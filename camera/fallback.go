package camera

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// recheck is how often a Fallback looks for a camera while its stand-in runs, if the
// Source cannot tell earlier.
const recheck = 2 * time.Second

// errAppeared ends the stand-in when there is a camera, or when there is another reason
// why there is none.
var errAppeared = errors.New("a camera appeared")

// A Fallback is a Source for computers that may have no camera. Until Source has found
// its camera for the first time, a stand-in that Otherwise makes runs in its place.
// After that only Source runs, because whoever has seen the camera wants to be told when
// it is gone.
//
// It looks for the camera itself while its stand-in runs. The Camera cannot do that for
// it, because a Camera calls nothing of a Source that runs: a driver that hangs would
// hold up the loop.
type Fallback struct {
	Source Source
	// Otherwise makes the stand-in. why is the error of Source's Check.
	Otherwise func(why error) Source

	found atomic.Bool
}

var (
	_ Source          = (*Fallback)(nil)
	_ Waiter          = (*Fallback)(nil)
	_ StreamRestarter = (*Fallback)(nil)
)

// Check never fails before Source has found its camera, if the stand-in works.
func (f *Fallback) Check() (Device, error) {
	d, err := f.Source.Check()
	if err == nil {
		f.found.Store(true)
	}
	if f.found.Load() {
		return d, err
	}
	return f.Otherwise(err).Check()
}

// Wait is Source's Wait, if it has one.
func (f *Fallback) Wait(ctx context.Context, d time.Duration) (early bool) {
	if w, ok := f.Source.(Waiter); ok {
		return w.Wait(ctx, d)
	}
	sleep(ctx, d)
	return false
}

// RestartStream is Source's, if Source is what runs.
func (f *Fallback) RestartStream() bool {
	s, ok := f.Source.(StreamRestarter)
	return ok && f.found.Load() && s.RestartStream()
}

// Run runs the stand-in or Source. When the camera takes the stand-in's place,
// sink.Started is called again.
func (f *Fallback) Run(ctx context.Context, sink Sink) error {
	for {
		_, err := f.Source.Check()
		if err == nil {
			f.found.Store(true)
		}
		if f.found.Load() {
			return f.Source.Run(ctx, sink)
		}
		if err := f.standIn(ctx, sink, err); !errors.Is(err, errAppeared) {
			return err
		}
	}
}

// standIn runs the stand-in until Source's Check returns something else than why.
func (f *Fallback) standIn(ctx context.Context, sink Sink, why error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for ctx.Err() == nil {
			f.Wait(ctx, recheck)
			if _, err := f.Source.Check(); err == nil || err.Error() != why.Error() {
				cancel(errAppeared)
			}
		}
	}()
	err := f.Otherwise(why).Run(ctx, sink)
	cancel(err)
	<-watched
	if errors.Is(context.Cause(ctx), errAppeared) {
		return errAppeared
	}
	return err
}
