package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/update/card"
)

// cardWatch makes known what process 1 says of the card: in the log, in /state and on
// the LEDs.
type cardWatch struct {
	root device.Root
	show func(trouble bool) // on the LEDs
	log  *slog.Logger

	mu   sync.Mutex
	last card.State
}

// cardInterval is how often process 1's word is read, from memory.
const cardInterval = time.Second

// run does so until ctx is done.
func (w *cardWatch) run(ctx context.Context) {
	tick := time.NewTicker(cardInterval)
	defer tick.Stop()
	for {
		w.look()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *cardWatch) look() {
	now, err := card.ReadState(w.root)
	if err != nil {
		return // process 1 has not said anything yet
	}
	w.mu.Lock()
	was := w.last
	w.last = now
	w.mu.Unlock()
	switch {
	case now.Trouble == was.Trouble:
		return
	case now.Trouble == "":
		w.log.Warn("the card answers again", "after", time.Duration((now.Since-was.Since)*float64(time.Second)).Round(time.Second))
	default:
		w.log.Error(now.Trouble + "; the picture goes on, and what is changed is not kept")
	}
	w.show(now.Trouble != "")
}

// answers tells whether the card does, as far as that is known.
func (w *cardWatch) answers() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last.Trouble == ""
}

// cardState is the part of /state about the card.
type cardState struct {
	Answers bool    `json:"answers"`
	Trouble string  `json:"trouble,omitempty"` // for people
	Seconds float64 `json:"seconds,omitempty"` // for which there has been trouble
	Count   int     `json:"troubles"`          // times that there was
	Perm    int64   `json:"perm_bytes,omitempty"`
}

// news is the state without what changes all the time.
func (w *cardWatch) news() cardState {
	s := w.state()
	s.Seconds = 0
	return s
}

func (w *cardWatch) state() cardState {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := cardState{Answers: w.last.Trouble == "", Count: w.last.Count, Perm: w.last.Perm}
	if !s.Answers {
		s.Seconds = max(0, w.root.Uptime()-w.last.Since)
		s.Trouble = w.last.Trouble + ": the picture goes on, but what you change is not kept; if it stays so, write another card"
	}
	return s
}
