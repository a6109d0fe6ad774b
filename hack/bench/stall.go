//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	stallCrowd = 100
	// stallAfter is how long the bad viewer reads after its first frame.
	stallAfter = time.Second
	// stallPoll is how often it is looked whether the server has ended the bad viewer.
	stallPoll = 50 * time.Millisecond
	// stallQuestions is what a server may send in stallPoll to find out whether the viewer
	// reads, in bytes; more is of a frame.
	stallQuestions = 1 << 10
	// stallFills is how long the viewer's system may take nothing until it counts as full. What
	// comes later is a question, too: pushcam sends one more frame before it gives a viewer up.
	stallFills = time.Second
	// stallGiveUp is when a server counts as one that keeps a bad viewer for ever.
	stallGiveUp = 30 * time.Second
)

// A stallRun is what one viewer that stops reading does to a server with
// stallCrowd healthy ones.
type stallRun struct {
	server string
	// Both count from the last of a frame that the viewer's system took. left is when the
	// server had dropped the viewer; only pushcam tells that. gone is when the kernel
	// had dropped the bytes for it too.
	left, gone time.Duration
	ended      bool
	kept       float64 // MB that the kernel held for it, at most
	// ages are those of the healthy viewers: before, while it was there, after.
	ages [3][]float64
	// memory is what the server and the kernel hold, in MB.
	memory [3]float64
}

func (b *bench) measureStalls(ctx context.Context) ([]stallRun, error) {
	var all []stallRun
	for _, s := range []server{ustreamer, pushcam} {
		r, err := b.measureStall(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("stalled viewer of %s: %w", s.name, err)
		}
		b.say("%-12s a stalled viewer: ended %v, left after %v, gone after %v, kernel kept %.1f MB; memory %.1f MB; age p99 %.1f, %.1f, %.1f ms", r.server, r.ended, r.left.Round(stallPoll), r.gone.Round(stallPoll), r.kept, r.memory,
			quantile(r.ages[0], 0.99), quantile(r.ages[1], 0.99), quantile(r.ages[2], 0.99))
		all = append(all, r)
	}
	return all, nil
}

func (b *bench) measureStall(ctx context.Context, s server) (r stallRun, err error) {
	r.server = s.name
	where, err := newNamespace(ctx, loopbackMTU)
	if err != nil {
		return r, err
	}
	defer where.close()
	serving, err := s.begin(ctx, b.tools, where, serveAddress, frameSize)
	if err != nil {
		return r, err
	}
	defer serving.end()
	crowd, err := startViewers(ctx, b.tools, where, watching{Address: serveAddress, Viewers: stallCrowd})
	if err != nil {
		return r, err
	}
	if err := sleep(ctx, costSettle); err != nil {
		return r, err
	}

	var windows [3][2]int64
	// during notes when f begins and ends, and the memory after it.
	during := func(i int, f func() error) error {
		windows[i][0] = time.Now().UnixNano()
		if err := f(); err != nil {
			return err
		}
		windows[i][1] = time.Now().UnixNano()
		r.memory[i], err = b.memory(ctx, serving.pid())
		return err
	}
	rest := func() error { return sleep(ctx, b.costTime) }
	if err := during(0, rest); err != nil {
		return r, err
	}
	err = during(1, func() error {
		bad, err := startViewers(ctx, b.tools, where, watching{Address: serveAddress, Viewers: 1, Stall: stallAfter})
		if err != nil {
			return err
		}
		if err := r.follow(ctx, b.proc, where, serving.pid(), bad.port); err != nil {
			return err
		}
		_, err = bad.end()
		return err
	})
	if err != nil {
		return r, err
	}
	if err := during(2, rest); err != nil {
		return r, err
	}
	seen, err := crowd.end()
	if err != nil {
		return r, err
	}
	all := slices.Concat(seen...)
	for i, w := range windows {
		r.ages[i] = all.between(w[0], w[1]).ages()
	}
	return r, nil
}

// follow watches the connection from port until the server has ended it.
func (r *stallRun) follow(ctx context.Context, p proc, where *namespace, pid, port int) error {
	if err := sleep(ctx, stallAfter); err != nil {
		return err
	}
	web := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			err = where.Do(func() error {
				var d net.Dialer
				conn, err = d.DialContext(ctx, network, address)
				return err
			})
			return conn, err
		},
	}}
	took, unread := time.Now(), 0
	for begin := time.Now(); time.Since(begin) < stallGiveUp; {
		queues, err := p.queues(pid)
		if err != nil {
			return err
		}
		held := 0
		for _, q := range queues {
			switch port {
			case q.remote:
				held = q.sending
			case q.local:
				if q.receiving > unread+stallQuestions && time.Since(took) < stallFills {
					took = time.Now()
				}
				unread = q.receiving
			}
		}
		r.kept = max(r.kept, float64(held)/1e6)
		listed := false
		if r.server == pushcam.name && r.left == 0 {
			if listed, err = isListed(ctx, &web, port); err != nil {
				return err
			}
			if !listed {
				r.left = time.Since(took)
			}
		}
		if !listed && held == 0 && time.Since(took) > time.Second {
			r.gone, r.ended = time.Since(took), true
			return nil
		}
		if err := sleep(ctx, stallPoll); err != nil {
			return err
		}
	}
	r.gone = time.Since(took)
	return nil
}

// isListed says whether pushcam's /state has a viewer whose connection comes
// from port.
func isListed(ctx context.Context, web *http.Client, port int) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+serveAddress+"/state", nil)
	if err != nil {
		return false, err
	}
	answer, err := web.Do(request)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	var state struct {
		Viewers []struct{ Name string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&state); err != nil {
		return false, fmt.Errorf("/state: %w", err)
	}
	return slices.Contains(state.Viewers, struct{ Name string }{strconv.Itoa(port)}), nil
}

// memory is the server's resident memory and what the kernel holds of its streams, in
// MB. It is the median of many looks, because frames come and go.
func (b *bench) memory(ctx context.Context, pid int) (float64, error) {
	var looks []float64
	for range 20 {
		resident, err1 := b.proc.rss(pid)
		queues, err2 := b.proc.queues(pid)
		if err := errors.Join(err1, err2, sleep(ctx, stallPoll)); err != nil {
			return 0, err
		}
		sum := resident
		for _, q := range queues {
			sum += q.sending
		}
		looks = append(looks, float64(sum)/1e6)
	}
	return median(looks), nil
}
