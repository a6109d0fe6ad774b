package card

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// State is what process 1 knows of the card.
type State struct {
	// Trouble says in a sentence what is wrong with it; "" is nothing.
	Trouble string `json:"trouble,omitempty"`
	// Since is when that began or ended, in seconds since the system's start.
	Since float64 `json:"since"`
	// Count is how often there was trouble.
	Count int `json:"count"`
	// Perm is how many bytes /perm has; 0 is not known.
	Perm int64 `json:"perm_bytes,omitempty"`
}

// stateFile is where process 1 keeps it for the program, in memory.
const stateFile = device.RunDir + "/card.json"

// ReadState reads what process 1 says of the card, which waits for nothing but memory.
func ReadState(root device.Root) (s State, err error) {
	text, err := os.ReadFile(root.Path(stateFile))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%s: %w", stateFile, err)
	}
	return s, nil
}

// A Watch looks at the card from process 1, past the kernel's memory, and tells the
// program. It never ends what runs, because that needs nothing from the card: only on
// a trial is the system started anew for a card that does not answer (TrialWatchdog).
type Watch struct {
	Card *Card
	// Log gets a line when the card falls silent and when it is back, as log.Printf.
	Log func(format string, args ...any)

	read func() error // instead of reading the card

	mu    sync.Mutex
	state State
}

const (
	lookInterval = 5 * time.Second
	// lookTime is how long the card has to answer. One that is busy with an update
	// takes a second or two.
	lookTime = 10 * time.Second
	silent   = "the card does not answer"
)

// Run looks until ctx is done. A look that hangs is left to itself, and no other is
// begun before it has returned.
func (w *Watch) Run(ctx context.Context) {
	read := w.read
	if read == nil {
		b, err := w.Card.open(runningRoot, false)
		if err != nil {
			w.Log("the card is not watched: %v", err)
			return
		}
		sample := make([]byte, 4096)
		read = func() error { _, err := b.ReadAt(sample, 0); return err }
	}
	w.tell("")
	answers := make(chan error, 1)
	look := func() { answers <- read() }
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	asked, waiting := time.Now(), true
	go look()
	for {
		select {
		case err := <-answers:
			waiting = false
			if err != nil {
				w.tell(fmt.Sprintf("the card fails: %v", err))
			} else {
				w.tell("")
			}
		case <-tick.C:
			if !waiting {
				asked, waiting = time.Now(), true
				go look()
			} else if time.Since(asked) >= lookTime {
				w.tell(silent)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Answers tells whether the card does, as far as that is known.
func (w *Watch) Answers() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.Trouble == ""
}

// SetPerm makes known how many bytes /perm has.
func (w *Watch) SetPerm(size int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.Perm = size
	w.keep()
}

// tell makes known what is wrong with the card.
func (w *Watch) tell(trouble string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.state.Trouble
	if trouble == was && w.state.Since != 0 {
		return
	}
	now := w.Card.Root.Uptime()
	switch {
	case trouble == was:
	case trouble == "":
		w.Log("the card answers again, after %.0f s", now-w.state.Since)
	default:
		w.Log("%s; what runs goes on without it", trouble)
	}
	if was == "" || trouble == "" {
		w.state.Since = now
	}
	if was == "" && trouble != "" {
		w.state.Count++
	}
	w.state.Trouble = trouble
	w.keep()
}

// keep writes the state for the program. w.mu is held.
func (w *Watch) keep() {
	file := w.Card.Root.Path(stateFile)
	text, err := json.Marshal(w.state)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err == nil {
		err = os.WriteFile(file+".part", text, 0o644)
	}
	if err == nil {
		err = os.Rename(file+".part", file)
	}
	if err != nil {
		w.Log("the program is not told how the card is: %v", err)
	}
}
