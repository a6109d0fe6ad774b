//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"time"
)

// A crowdRun is what many viewers cost pushcam.
type crowdRun struct {
	viewers int
	pages   bool    // open pages, and not streams
	cores   float64 // of processor time
	memory  float64 // MB resident
	share   float64 // of the captured frames that were delivered
	ages    []float64
}

// cost is the processor time for what was delivered, in cores for all frames.
func (r crowdRun) cost() float64 { return r.cores / r.share }

func (r crowdRun) kind() string {
	if r.pages {
		return "pages"
	}
	return "streams"
}

const (
	crowdPages   = 100
	crowdMany    = 1000
	crowdLength  = 15 * time.Second
	crowdPicture = frameSize / 5 // bytes, for crowdMany
)

// measurePages measures open pages and plain streams in turns, a pair for each repeat.
func (b *bench) measurePages(ctx context.Context) (all []crowdRun, err error) {
	for repeat := range b.repeats {
		for i := range 2 {
			r, err := b.measureCrowd(ctx, crowdPages, (i+repeat)%2 == 1, frameSize)
			if err != nil {
				return nil, err
			}
			all = append(all, r)
		}
	}
	return all, nil
}

func (b *bench) measureCrowd(ctx context.Context, viewers int, pages bool, size int) (r crowdRun, err error) {
	r.viewers, r.pages = viewers, pages
	where, err := newNamespace(ctx, loopbackMTU)
	if err != nil {
		return r, err
	}
	defer where.close()
	serving, err := (server{command: func(ctx context.Context, t *tools, address string, size int) *exec.Cmd {
		cmd := pushcam.command(ctx, t, address, size)
		cmd.Args = append(cmd.Args, "-max-viewers", strconv.Itoa(2*viewers)) // one address may have half of them
		return cmd
	}}).begin(ctx, b.tools, where, serveAddress, size)
	if err != nil {
		return r, err
	}
	defer serving.end()
	crowd, err := startViewers(ctx, b.tools, where, watching{Address: serveAddress, Viewers: viewers, Pages: pages})
	if err != nil {
		return r, err
	}
	if err := sleep(ctx, linkSettle); err != nil {
		return r, err
	}
	used, err1 := cpuTime(serving.pid())
	begin := time.Now()
	if err := sleep(ctx, crowdLength); err != nil {
		return r, err
	}
	usedThen, err2 := cpuTime(serving.pid())
	end := time.Now()
	memory, err3 := b.proc.rss(serving.pid())
	seen, err := crowd.end()
	if err := errors.Join(err, err1, err2, err3); err != nil {
		return r, err
	}
	took := end.Sub(begin).Seconds()
	got := slices.Concat(seen...).between(begin.UnixNano(), end.UnixNano())
	r.cores, r.memory = (usedThen-used).Seconds()/took, float64(memory)/1e6
	r.share = float64(len(got)) / (took * frameRate * float64(viewers))
	r.ages = got.ages()
	b.say("%4d %-8s %5.2f cores, %5.1f MB, %3.0f %% of the frames, age p50 %.1f p99 %.1f ms", viewers, r.kind(), r.cores, r.memory, 100*r.share, quantile(r.ages, 0.5), quantile(r.ages, 0.99))
	if len(got) == 0 {
		return r, fmt.Errorf("%d viewers got no frame", viewers)
	}
	return r, nil
}
