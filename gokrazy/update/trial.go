package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Health is what a trial is judged by: the appliance as its owner meets it, looked
// at from outside as far as that is possible.
type Health interface {
	// Answers returns nil if the program's own HTTP server answers anything.
	Answers(context.Context) error
	// Picture returns nil if the camera gives a picture that was taken after the
	// call.
	Picture(context.Context) error
	// Board says what the board suffers from.
	Board() error
	// Private tells whether the owner has closed the camera, so that there can be
	// no picture.
	Private() bool
}

const (
	healthInterval = 2 * time.Second
	pictureTime    = 15 * time.Second // for one picture; more than the server allows itself
	wellTime       = 30 * time.Second // for which all is well, without a break
	firstWellTime  = 60 * time.Second // until it is for the first time: a USB camera may take its time
	// decideTime is shorter than card.TrialTime, so that the program itself ends a
	// failed trial and can record the reason.
	decideTime = 2 * time.Minute
)

// tryIt decides about the update if this boot is its trial.
func (s *Server) tryIt(ctx context.Context) {
	now := s.now()
	if now.Phase != OnTrial {
		return
	}
	s.ShowTrial(true)
	err := watch(ctx, s.Health, now.Last.Camera, s.wait)
	if ctx.Err() != nil {
		return // the next boot decides what became of it
	}
	if err == nil {
		err = s.commit()
	}
	if err == nil {
		s.ShowTrial(false)
		return
	}
	s.rollBack(ctx, err)
}

// wait makes known what a trial is waiting for.
func (s *Server) wait(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = what
}

// watch returns nil when all was well for wellTime, or why it was not in time. It
// tells wait what it is waiting for. camera tells whether a picture is asked for.
func watch(ctx context.Context, h Health, camera bool, wait func(string)) error {
	began := time.Now()
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	var since time.Time // that it is well; zero if it is not
	ever := false
	for {
		err := look(ctx, h, camera)
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			since = time.Time{}
			wait(err.Error())
			if !ever && now.Sub(began) >= firstWellTime {
				return fmt.Errorf("it was not well within %v: %w", firstWellTime, err)
			}
		case since.IsZero():
			since, ever = now, true
			fallthrough
		default:
			well := now.Sub(since)
			if well >= wellTime {
				return nil
			}
			wait(fmt.Sprintf("well for %.0f of %.0f s", well.Seconds(), wellTime.Seconds()))
		}
		if now.Sub(began) >= decideTime {
			return fmt.Errorf("it was not well for %v on end within %v: %w", wellTime, decideTime, cmp.Or(err, errors.New("it is well only now and then")))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func look(ctx context.Context, h Health, camera bool) error {
	if err := h.Board(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pictureTime)
	defer cancel()
	if camera && !h.Private() {
		if err := h.Picture(ctx); err != nil {
			return fmt.Errorf("%s: %w", PictureGone, err)
		}
		return nil
	}
	if err := h.Answers(ctx); err != nil {
		return fmt.Errorf("the HTTP server does not answer: %w", err)
	}
	return nil
}
