//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// crowds are the numbers of viewers that the cost is measured with.
var crowds = []int{1, 10, 100}

// costSettle is how long streams run before they are measured, so that connections
// have left slow start, heaps have found their size, and the program has found out that one
// processor is enough.
const costSettle = 8 * time.Second

// A cost is what one server used for one crowd, once.
type cost struct {
	server  string
	viewers int
	cpu     float64 // milliseconds per 1,000 frames delivered
	share   float64 // of the captured frames that were delivered
	memory  float64 // MB resident
	late    float64 // ms from capture to the first bytes at a viewer, p99
	objects float64 // allocated per captured frame; only measured of the server behind
}

// costs are all of them.
type costs []cost

// of returns those of one server and crowd, in the order of the repeats.
func (all costs) of(name string, viewers int) costs {
	return slices.DeleteFunc(slices.Clone(all), func(c cost) bool { return c.server != name || c.viewers != viewers })
}

// ratios are a server's CPU time divided by another's, for each repeat: both were
// measured within a minute, with much the same load beside them.
func (all costs) ratios(name, versus string, viewers int) []float64 {
	a, b := all.of(name, viewers), all.of(versus, viewers)
	ratios := make([]float64, min(len(a), len(b)))
	for i := range ratios {
		ratios[i] = a[i].cpu / b[i].cpu
	}
	return ratios
}

// objectsPerViewer is what one more viewer allocates per frame.
func (all costs) objectsPerViewer() []float64 {
	few, many := crowds[0], crowds[len(crowds)-1]
	a, b := all.of(behind.name, few), all.of(behind.name, many)
	per := make([]float64, min(len(a), len(b)))
	for i := range per {
		per[i] = (b[i].objects - a[i].objects) / float64(many-few)
	}
	return per
}

// measureCosts measures all servers with all crowds. The servers take turns, so that
// a busy minute of the machine does not meet only one of them.
func (b *bench) measureCosts(ctx context.Context) (costs, error) {
	var all costs
	servers := []server{ustreamer, behind, pushcam, floor}
	for repeat := range b.repeats {
		for _, n := range crowds {
			for i := range servers {
				s := servers[(i+repeat)%len(servers)]
				c, err := b.measureCost(ctx, s, n)
				if err != nil {
					return nil, fmt.Errorf("%s with %d viewers: %w", s.name, n, err)
				}
				all = append(all, c)
				b.say("%-12s %3d viewers: %6.1f ms CPU per 1,000 frames, %5.1f MB, %3.0f %% of the frames", s.name, n, c.cpu, c.memory, 100*c.share)
			}
		}
	}
	return all, nil
}

func (b *bench) measureCost(ctx context.Context, s server, n int) (c cost, err error) {
	where, err := newNamespace(ctx, loopbackMTU)
	if err != nil {
		return cost{}, err
	}
	defer where.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	cmd := s.command(ctx, b.tools, serveAddress, frameSize)
	in, err := cmd.StdinPipe()
	if err != nil {
		return cost{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return cost{}, err
	}
	if err := start(where, cmd); err != nil {
		return cost{}, err
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // its error is only the signal that we sent
	}()
	count := func() (heapCount, error) { return heapCount{}, nil }
	if s.name == behind.name {
		count = func() (heapCount, error) { return askHeap(in, out) }
	} else {
		go io.Copy(io.Discard, out) // ends with the process
	}

	watchers, err := startViewers(ctx, b.tools, where, watching{Address: serveAddress, Viewers: n})
	if err != nil {
		return cost{}, err
	}
	if err := sleep(ctx, costSettle); err != nil {
		return cost{}, err
	}
	heap, heapErr := count()
	used, cpuErr := cpuTime(cmd.Process.Pid)
	from := time.Now()
	if err := sleep(ctx, b.costTime); err != nil {
		return cost{}, err
	}
	usedThen, cpuErr2 := cpuTime(cmd.Process.Pid)
	to := time.Now()
	heapThen, heapErr2 := count()
	memory, rssErr := b.proc.rss(cmd.Process.Pid)
	seen, err := watchers.end()
	if err := errors.Join(err, heapErr, heapErr2, cpuErr, cpuErr2, rssErr); err != nil {
		return cost{}, err
	}

	got := slices.Concat(seen...).between(from.UnixNano(), to.UnixNano())
	if len(got) == 0 {
		return cost{}, errors.New("no frame was delivered")
	}
	return cost{
		server:  s.name,
		viewers: n,
		cpu:     (usedThen - used).Seconds() * 1e6 / float64(len(got)),
		share:   float64(len(got)) / (to.Sub(from).Seconds() * frameRate * float64(n)),
		memory:  float64(memory) / 1e6,
		late:    quantile(each(got, func(f frame) float64 { return float64(f.First-f.Captured) / 1e6 }), 0.99),
		objects: float64(heapThen.Objects-heap.Objects) / float64(max(heapThen.Frames-heap.Frames, 1)),
	}, nil
}

func askHeap(in io.Writer, out io.Reader) (heapCount, error) {
	if _, err := io.WriteString(in, "\n"); err != nil {
		return heapCount{}, err
	}
	var h heapCount
	err := json.NewDecoder(out).Decode(&h)
	return h, err
}

// sleep waits for d, or fails when ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
