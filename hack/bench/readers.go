//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// A readerCase is one viewer that takes less than it could get, on loopback.
type readerCase struct {
	share  float64       // of the stream, read at a constant rate
	pause  time.Duration // instead of share: takes a frame as fast as it comes, then works for so long
	length time.Duration // of the measurement
}

var readerCases = []readerCase{
	{share: 0.25}, {share: 0.5}, {share: 0.8},
	{pause: 100 * time.Millisecond},
	{pause: 2 * time.Second, length: 40 * time.Second},
}

var readerServers = []server{ustreamer, pushcam}

func (c readerCase) String() string {
	if c.pause > 0 {
		return fmt.Sprintf("takes a frame, then works for %v", c.pause)
	}
	return fmt.Sprintf("reads at %g of the stream's rate", c.share)
}

// ideal is the frames per second, and the age in ms, of a reader that finds a frame
// of this moment whenever it wants one.
func (c readerCase) ideal() (fps, age float64) {
	if c.pause > 0 {
		return 1 / c.pause.Seconds(), 0
	}
	return c.share * frameRate, 1000 / (c.share * frameRate)
}

// A readerRun is what the viewer saw. It ended early if the server dropped it.
type readerRun struct {
	linkRun
	of readerCase
}

func (b *bench) measureReaders(ctx context.Context) (all []readerRun, err error) {
	for _, c := range readerCases {
		for _, s := range readerServers {
			r, err := b.measureReader(ctx, c, s)
			if err != nil {
				return nil, fmt.Errorf("%s, a viewer that %v: %w", s.name, c, err)
			}
			b.say("%-12s %-42s %5.1f fps, age p50 %5.0f p99 %5.0f ms", s.name, c, r.fps(), r.age(0.5), r.age(0.99))
			all = append(all, r)
		}
	}
	return all, nil
}

func (b *bench) measureReader(ctx context.Context, c readerCase, s server) (r readerRun, err error) {
	r.of, r.server, r.length = c, s.name, max(c.length, b.linkTime)
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
	watcher, err := startViewers(ctx, b.tools, where, watching{Address: serveAddress, Viewers: 1, Rate: c.share * frameRate * frameSize, Pause: c.pause})
	if err != nil {
		return r, err
	}
	if err := sleep(ctx, linkSettle); err != nil {
		return r, err
	}
	r.begin = time.Now().UnixNano()
	if err := sleep(ctx, r.length); err != nil {
		return r, err
	}
	seen, err := watcher.end()
	if err != nil {
		return r, err
	}
	r.all = seen[0]
	return r, nil
}
