package main

import (
	"context"
	"os"
	"runtime"
	"time"
)

// processors has Go use one processor while that is enough. With more a goroutine that waits
// for the camera in a system call keeps its own for 10 ms, in which the runtime's monitor
// looks for it 56 times (sysmon and retake, runtime/proc.go), and what becomes ready wakes a
// second thread to look for more: a sixth of what a stream with one viewer costs.
type processors struct {
	used func() time.Duration // processor time of the program until now
	use  func(all bool)       // Go's processors: all, or one

	all  bool
	calm int // looks in which one would have been enough
}

// Go gets all processors when the program was busy for more than busy of one of them between
// two looks: with one alone a password that is being verified makes a frame wait for up to
// 10 ms (forcePreemptNS, runtime/proc.go). It gets one again after calmLooks with less than
// quiet; with all it needs a little more for the same.
const (
	processorsLook = time.Second
	calmLooks      = 5
	busy, quiet    = 0.25, 0.2
)

// newProcessors is nil where it can do nothing: with one processor, with a number that
// somebody has chosen, and where the program cannot tell what it uses.
func newProcessors() *processors {
	if processorTime() == 0 || runtime.NumCPU() == 1 || os.Getenv("GOMAXPROCS") != "" {
		return nil
	}
	return &processors{used: processorTime, all: true, use: func(all bool) {
		if all {
			runtime.SetDefaultGOMAXPROCS()
		} else {
			runtime.GOMAXPROCS(1)
		}
	}}
}

// run looks until ctx is done.
func (p *processors) run(ctx context.Context) error {
	if p == nil {
		return nil
	}
	defer p.use(true)
	ticker := time.NewTicker(processorsLook)
	defer ticker.Stop()
	for used, at := p.used(), time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		u, now := p.used(), time.Now()
		p.look(float64(u-used) / float64(now.Sub(at)))
		used, at = u, now
	}
}

// look is told how busy the program was, 1 for all of one processor.
func (p *processors) look(share float64) {
	if share < quiet {
		p.calm = min(p.calm+1, calmLooks)
	} else if share > busy || p.all {
		p.calm = 0
	}
	if all := p.calm < calmLooks; all != p.all {
		p.all = all
		p.use(all)
	}
}
