//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	slowRate   = 12.0 // Mbit/s
	dropFrom   = 20.0
	dropTo     = 4.0
	linkSettle = 5 * time.Second // by then a server without a gate has filled all queues
)

// A linkCase is a slow link, or a slow reader, for one viewer.
type linkCase struct {
	name string
	rate float64 // Mbit/s; 0 for no limit
	then float64 // the rate from the beginning of the measurement, 0 for the same
	fps  float64 // how many frames a second the viewer reads, 0 for all
}

var linkCases = []linkCase{
	{name: "12mbit", rate: slowRate},
	{name: "drop", rate: dropFrom, then: dropTo},
	{name: "half", fps: frameRate / 2},
}

// linkServers are the servers that are compared. All run at once, each in a network of
// its own.
var linkServers = []server{ustreamer, floor, pushcam}

// A linkRun is what one viewer saw behind one link.
type linkRun struct {
	server string
	begin  int64 // of the measurement, in Unix nanoseconds; the rate drops then
	length time.Duration
	all    frames
}

func (r linkRun) counted() frames {
	return r.all.between(r.begin, r.begin+int64(r.length))
}

func (r linkRun) fps() float64 { return float64(len(r.counted())) / r.length.Seconds() }

func (r linkRun) age(q float64) float64 { return quantile(r.counted().ages(), q) }

// links are the runs of each case.
type links map[string][]linkRun

func (all links) of(name string, s server) []linkRun {
	return slices.DeleteFunc(slices.Clone(all[name]), func(r linkRun) bool { return r.server != s.name })
}

func (b *bench) measureLinks(ctx context.Context) (links, error) {
	all := make(links)
	for range b.repeats {
		for _, c := range linkCases {
			runs := make([]linkRun, len(linkServers))
			together, ctx := errgroup.WithContext(ctx)
			for i, s := range linkServers {
				together.Go(func() (err error) {
					runs[i], err = b.measureLink(ctx, c, s)
					return err
				})
			}
			if err := together.Wait(); err != nil {
				return nil, fmt.Errorf("link %s: %w", c.name, err)
			}
			for _, r := range runs {
				b.say("%-7s %-12s %5.1f fps, age p50 %4.0f p99 %4.0f max %4.0f ms", c.name, r.server, r.fps(), r.age(0.5), r.age(0.99), r.age(1))
			}
			all[c.name] = append(all[c.name], runs...)
		}
	}
	return all, nil
}

func (b *bench) measureLink(ctx context.Context, c linkCase, s server) (r linkRun, err error) {
	near, far, err := newCable(ctx)
	if err != nil {
		return linkRun{}, err
	}
	defer near.close()
	defer far.close()
	if c.rate > 0 {
		if err := near.limit(ctx, "add", c.rate); err != nil {
			return linkRun{}, err
		}
	}
	const address = cableServer + ":8080"
	serving, err := s.begin(ctx, b.tools, near, address, frameSize)
	if err != nil {
		return linkRun{}, err
	}
	defer serving.end()
	watcher, err := startViewers(ctx, b.tools, far, watching{Address: address, Viewers: 1, FPS: c.fps})
	if err != nil {
		return linkRun{}, fmt.Errorf("%s: %w", s.name, err)
	}
	if err := sleep(ctx, linkSettle); err != nil {
		return linkRun{}, err
	}
	r = linkRun{server: s.name, begin: time.Now().UnixNano(), length: b.linkTime}
	if c.then > 0 {
		if err := near.limit(ctx, "change", c.then); err != nil {
			return linkRun{}, err
		}
	}
	if err := sleep(ctx, b.linkTime); err != nil {
		return linkRun{}, err
	}
	seen, err := watcher.end()
	if err != nil {
		return linkRun{}, fmt.Errorf("%s: %w", s.name, err)
	}
	r.all = seen[0]
	return r, nil
}

// frameTime is how long a link of rate Mbit/s needs for one frame of size
// bytes with its headers, in milliseconds.
func frameTime(size int, rate float64) float64 {
	const (
		payload = 1448         // of a full segment, with time stamps
		headers = 14 + 20 + 32 // Ethernet, IP, TCP
	)
	segments := (size + payload - 1) / payload
	return float64(size+segments*headers) * 8 / (rate * 1e3)
}
