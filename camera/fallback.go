package camera

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// recheck is how often a Fallback looks for a camera while it stands in for
// one, if the Source cannot tell earlier.
const recheck = 2 * time.Second

// errAppeared ends what stands in for a camera when there is one, or when the
// reason why there is none is another one now.
var errAppeared = errors.New("a camera appeared")

// A Fallback is a Source for computers that may have no camera: until Source has
// found its camera for the first time, what Otherwise makes runs in its place.
// After that it is Source alone: who has seen the camera wants to know that it
// is gone.
type Fallback struct {
	Source Source
	// Otherwise makes the stand-in; why is what Source's Check said.
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

// Wait is Source's, if it has one.
func (f *Fallback) Wait(ctx context.Context, d time.Duration) (early bool) {
	if w, ok := f.Source.(Waiter); ok {
		return w.Wait(ctx, d)
	}
	sleep(ctx, d)
	return false
}

// RestartStream is Source's, when that is what runs.
func (f *Fallback) RestartStream() bool {
	s, ok := f.Source.(StreamRestarter)
	return ok && f.found.Load() && s.RestartStream()
}

// Run calls sink.Started once more when the camera takes the stand-in's place.
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

// standIn runs the stand-in until Check says something other than why.
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
