//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pushcam/pushcam/hack/bottleneck"
)

const (
	cellSettle = 3 * time.Second // connections leave slow start
	cellLength = 7 * time.Second // the measurement, or its part before the link changes
	cellChange = 3 * time.Second // the part right after a change, which has a line of its own
	cellLater  = 5 * time.Second // the part after that
	// cellLate is how late the emulator may run: a run in which it was later does not
	// count.
	cellLate = 15 * time.Millisecond
	// cellRuns is how often a cell is run until a run counts.
	cellRuns = 5
	// cellParallel is how many cells run at once. They need little processor time.
	cellParallel = 8
	// cellPort is the server's port.
	cellPort = "80"
)

// A cellJob is one cell of the matrix: a condition and a sender.
type cellJob struct {
	Condition condition
	Plain     bool // the bare writev, not pushcam
	Dir       string
	Reader    *watching // how the viewer reads; nil is as fast as it can
}

// A phase is a cell's measurement, or a part of it: before, right after or later than a
// change of the link.
type phase struct {
	Name     string
	FPS      float64
	P50, P99 float64 // age in ms
	IdealFPS float64
	IdealAge float64 // ms
}

func (p phase) excess() float64 { return p.P50 - p.IdealAge }

// A cellResult is one run.
type cellResult struct {
	Late   time.Duration // how late the emulator ran at worst
	Phases []phase
}

// A cell is a condition and what was measured of both senders. A sender has no phases
// if the machine was too busy in all its runs.
type cell struct {
	condition    condition
	gated, plain []phase
	thrown       int // how many runs of both did not count
}

// measureMatrix runs all cells, several at a time, each in a process of its own.
func (b *bench) measureMatrix(ctx context.Context) ([]cell, error) {
	cells := make([]cell, len(b.conditions))
	var mu sync.Mutex // for thrown
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(cellParallel)
	for i, c := range b.conditions {
		cells[i].condition = c
		for _, plain := range []bool{false, true} {
			work.Go(func() error {
				phases, thrown, err := b.measureCell(ctx, cellJob{Condition: c, Plain: plain, Dir: b.tools.dir})
				if err != nil {
					return fmt.Errorf("%v: %w", c, err)
				}
				mu.Lock()
				defer mu.Unlock()
				cells[i].thrown += thrown
				if plain {
					cells[i].plain = phases
				} else {
					cells[i].gated = phases
				}
				for _, p := range phases {
					b.say("%-44s %-9s plain %-5v %5.1f fps (%.1f), age p50 %4.0f p99 %4.0f (%.0f)", c, p.Name, plain, p.FPS, p.IdealFPS, p.P50, p.P99, p.IdealAge)
				}
				return nil
			})
		}
	}
	return cells, work.Wait()
}

// measureCell runs a cell until the emulator was not too late.
func (b *bench) measureCell(ctx context.Context, job cellJob) (phases []phase, thrown int, err error) {
	for range cellRuns {
		var r cellResult
		if r, err = b.runCell(ctx, job); err != nil {
			return nil, thrown, err
		}
		if r.Late <= cellLate {
			return r.Phases, thrown, nil
		}
		thrown++
	}
	return nil, thrown, nil
}

func (b *bench) runCell(ctx context.Context, job cellJob) (r cellResult, err error) {
	cmd := exec.CommandContext(ctx, b.tools.self, "cell")
	cmd.Stderr = b.tools.log
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return r, err
	}
	if err := start(b.home, cmd); err != nil {
		return r, err
	}
	err = errors.Join(json.NewEncoder(in).Encode(job), json.NewDecoder(out).Decode(&r))
	return r, errors.Join(err, cmd.Wait())
}

// serveCell is a cell's process. It reads its job from in and writes the result to out.
func serveCell(ctx context.Context, in io.Reader, out, log io.Writer) error {
	// When the emulator's thread wakes, it must not wait for Go's scheduler to have a
	// processor free.
	runtime.GOMAXPROCS(4)
	var job cellJob
	if err := json.NewDecoder(in).Decode(&job); err != nil {
		return err
	}
	r, err := job.run(ctx, log)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

func (job cellJob) run(ctx context.Context, log io.Writer) (r cellResult, err error) {
	c := job.Condition
	bottleneck.RealTime()
	link, err := bottleneck.New(c.path())
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, link.Close()) }()
	for _, end := range []*bottleneck.End{link.Server, link.Client} {
		if err := plainTCP(ctx, end, linkRoute+end.Addr); err != nil {
			return r, err
		}
	}
	t, err := reuseTools(job.Dir, log)
	if err != nil {
		return r, err
	}
	sender := pushcam
	if job.Plain {
		sender = floor
	}
	address := link.Server.Addr + ":" + cellPort
	serving, err := sender.begin(ctx, t, link.Server, address, c.Frame)
	if err != nil {
		return r, err
	}
	defer serving.end()
	var reader watching
	if job.Reader != nil {
		reader = *job.Reader
	}
	reader.Address, reader.Viewers = address, 1
	watcher, err := startViewers(ctx, t, link.Client, reader)
	if err != nil {
		return r, err
	}
	if err := sleep(ctx, cellSettle); err != nil {
		return r, err
	}
	link.Reset()
	type part struct {
		name     string
		from, to int64
		rate     float64
		rtt      int
	}
	var parts []part
	measure := func(name string, length time.Duration, rate float64, rtt int) error {
		from := time.Now().UnixNano()
		err := sleep(ctx, length)
		parts = append(parts, part{name, from, time.Now().UnixNano(), rate, rtt})
		return err
	}
	if err := measure("", cellLength, c.Rate, c.RTT); err != nil {
		return r, err
	}
	if c.Then != nil {
		parts[0].name = "before"
		link.Set(c.changed())
		if err := measure("first 3 s", cellChange, c.Then.Rate, c.Then.RTT); err != nil {
			return r, err
		}
		if err := measure("later", cellLater, c.Then.Rate, c.Then.RTT); err != nil {
			return r, err
		}
	}
	r.Late = link.Stats().Late
	seen, err := watcher.end()
	if err != nil {
		return r, err
	}
	for _, p := range parts {
		got := seen[0].between(p.from, p.to)
		if len(got) == 0 {
			return r, fmt.Errorf("%v: not one frame %s", c, p.name)
		}
		fps, age := ideal(p.rate, p.rtt, c.Frame)
		r.Phases = append(r.Phases, phase{
			Name: p.name,
			FPS:  float64(len(got)) / (float64(p.to-p.from) / 1e9),
			P50:  quantile(got.ages(), 0.5), P99: quantile(got.ages(), 0.99),
			IdealFPS: fps, IdealAge: age,
		})
	}
	return r, nil
}

// excesses are the excess ages of all gated phases.
func excesses(cells []cell) []float64 {
	var all []float64
	for _, c := range cells {
		all = append(all, each(c.gated, phase.excess)...)
	}
	return all
}

// spareShares are the gated frame rates as shares of a plain sender's where
// there is bandwidth to spare.
func spareShares(cells []cell) []float64 {
	var all []float64
	for _, c := range cells {
		if c.condition.spare() && len(c.gated) > 0 && len(c.plain) > 0 {
			all = append(all, c.gated[0].FPS/c.plain[0].FPS)
		}
	}
	slices.Sort(all)
	return all
}
