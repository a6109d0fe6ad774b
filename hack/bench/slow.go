//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// A slowCase is a reader that takes less than it could get, behind a link without a limit.
type slowCase struct {
	RTT    int     // ms
	Share  float64 // of the stream's rate
	Bursts bool    // it takes a frame as fast as it comes, and then works
	Buffer int     // its receive buffer in bytes; 0 is the system's own, which grows
}

// slowRTTs are the round trips of slowCases, in ms. The emulator has none below 1.
var slowRTTs = []int{1, 20, 100}

func slowCases() (all []slowCase) {
	for _, rtt := range slowRTTs {
		for _, share := range []float64{0.25, 0.5, 0.8} {
			for _, bursts := range []bool{false, true} {
				for _, buffer := range []int{0, 1 << 20} {
					all = append(all, slowCase{rtt, share, bursts, buffer})
				}
			}
		}
	}
	return all
}

func (c slowCase) String() string {
	s := fmt.Sprintf("RTT %d, %g ×", c.RTT, c.Share)
	if c.Bursts {
		s += " in bursts"
	}
	if c.Buffer > 0 {
		s += fmt.Sprintf(", %d MB", c.Buffer>>20)
	}
	return s
}

// fps is how many frames a second it can take.
func (c slowCase) fps() float64 { return c.Share * frameRate }

// ideal is the age in ms of a frame of the moment when the reader wants one, when it is read.
// In bursts that takes no time.
func (c slowCase) ideal() float64 {
	way := float64(c.RTT) / 2
	if c.Bursts {
		return way
	}
	return 1000/c.fps() + way
}

func (c slowCase) watching() watching {
	w := watching{Buffer: c.Buffer}
	if c.Bursts {
		w.Pause = time.Duration(float64(time.Second) / c.fps())
	} else {
		w.Rate = c.fps() * frameSize
	}
	return w
}

// A slowRun is what a reader got of pushcam and of a plain sender: a phase of each, or none
// if the machine was too busy.
type slowRun struct {
	of           slowCase
	gated, plain []phase
}

// known tells whether both were measured.
func (r slowRun) known() bool { return len(r.gated) > 0 && len(r.plain) > 0 }

func (r slowRun) excess() float64 { return r.gated[0].P50 - r.of.ideal() }

// rate is the rate as a share of the plain sender's, who never waits.
func (r slowRun) rate() float64 { return r.gated[0].FPS / r.plain[0].FPS }

// measureSlow runs slow readers, several at a time, each in a process of its own.
func (b *bench) measureSlow(ctx context.Context) ([]slowRun, error) {
	cases := slowCases()
	runs := make([]slowRun, len(cases))
	var mu sync.Mutex
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(cellParallel)
	for i, c := range cases {
		runs[i].of = c
		for _, plain := range []bool{false, true} {
			work.Go(func() error {
				w := c.watching()
				phases, _, err := b.measureCell(ctx, cellJob{Condition: condition{RTT: c.RTT, Frame: frameSize, Buffer: 200}, Plain: plain, Dir: b.tools.dir, Reader: &w})
				if err != nil {
					return fmt.Errorf("%v: %w", c, err)
				}
				mu.Lock()
				defer mu.Unlock()
				if plain {
					runs[i].plain = phases
				} else {
					runs[i].gated = phases
				}
				b.say("%-34s plain %-5v %s (ideal %.1f %.0f)", c, plain, show(phases, 0), c.fps(), c.ideal())
				return nil
			})
		}
	}
	return runs, work.Wait()
}
