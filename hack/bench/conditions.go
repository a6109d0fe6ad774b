//go:build linux

package main

import (
	"fmt"
	"time"

	"github.com/pushcam/pushcam/hack/bottleneck"
)

// A condition is an emulated link to one viewer, and the size of the frames on it.
type condition struct {
	Rate   float64 // Mbit/s, 0 for no limit
	RTT    int     // ms
	Buffer int     // what the bottleneck queues, in ms at Rate
	Loss   float64 // percent
	Frame  int     // bytes
	Then   *change
}

// A change is what a link becomes in the middle of a measurement.
type change struct {
	Rate float64
	RTT  int
}

// conditions are those of the freshness matrix: round trips of 1 to 200 ms,
// 2 to 50 Mbit/s and no limit, buffers of 50 ms to 1 s, loss up to 2 %, frames
// of 20 to 300 kB, rates and round trips that drop and rise.
func conditions() []condition {
	var all []condition
	add := func(c condition) {
		if c.Buffer == 0 {
			c.Buffer = 200
		}
		if c.Frame == 0 {
			c.Frame = frameSize
		}
		all = append(all, c)
	}
	for _, rtt := range []int{1, 20, 50, 100, 200} {
		for _, rate := range []float64{2, 4, 12, 50, 0} {
			add(condition{RTT: rtt, Rate: rate})
		}
	}
	for _, buffer := range []int{50, 1000} {
		add(condition{RTT: 20, Rate: 4, Buffer: buffer})
		add(condition{RTT: 20, Rate: 12, Buffer: buffer})
		add(condition{RTT: 100, Rate: 12, Buffer: buffer})
	}
	for _, loss := range []float64{0.5, 1, 2} {
		add(condition{RTT: 20, Rate: 12, Loss: loss})
	}
	for _, loss := range []float64{1, 2} {
		add(condition{RTT: 20, Rate: 4, Loss: loss})
	}
	add(condition{RTT: 50, Rate: 12, Loss: 0.5})
	for _, frame := range []int{frameSize / 5, 3 * frameSize} {
		add(condition{RTT: 20, Rate: 4, Frame: frame})
		add(condition{RTT: 20, Rate: 50, Frame: frame})
		add(condition{RTT: 100, Rate: 12, Frame: frame})
		add(condition{RTT: 200, Frame: frame})
	}
	for _, rtt := range []int{20, 100} {
		add(condition{RTT: rtt, Rate: 20, Then: &change{4, rtt}})
		add(condition{RTT: rtt, Rate: 4, Then: &change{20, rtt}})
	}
	add(condition{RTT: 20, Rate: 50, Then: &change{2, 20}})
	add(condition{RTT: 20, Rate: 12, Then: &change{3, 20}})
	add(condition{RTT: 20, Rate: 12, Then: &change{12, 200}})
	add(condition{RTT: 200, Rate: 12, Then: &change{12, 20}})
	return all
}

// quickConditions are a sample of all: every sixth, and those with bandwidth to
// spare, whose frame rate is a target.
func quickConditions() []condition {
	var some []condition
	for i, c := range conditions() {
		if i%6 == 0 || c.spare() {
			some = append(some, c)
		}
	}
	return some
}

func (c condition) String() string {
	s := fmt.Sprintf("RTT %d, %s", c.RTT, mbits(c.Rate))
	if c.Rate > 0 && c.Buffer != 200 {
		s += fmt.Sprintf(", buffer %d ms", c.Buffer)
	}
	if c.Loss > 0 {
		s += fmt.Sprintf(", loss %g %%", c.Loss)
	}
	if c.Frame != frameSize {
		s += fmt.Sprintf(", frames of %d kB", c.Frame/1000)
	}
	switch {
	case c.Then == nil:
	case c.Then.RTT != c.RTT:
		s += fmt.Sprintf(", then RTT %d", c.Then.RTT)
	default:
		s += ", then " + mbits(c.Then.Rate)
	}
	return s
}

func mbits(rate float64) string {
	if rate == 0 {
		return "no limit"
	}
	return fmt.Sprintf("%g Mbit/s", rate)
}

func (c condition) path() bottleneck.Path {
	return bottleneck.Path{
		Rate:   c.Rate * 1e6,
		Buffer: bottleneck.BufferFor(c.Rate*1e6, time.Duration(c.Buffer)*time.Millisecond),
		RTT:    time.Duration(c.RTT) * time.Millisecond,
		Loss:   c.Loss / 100,
	}
}

// changed is the link after the change; the size of the buffer in bytes stays.
func (c condition) changed() bottleneck.Path {
	p := c.path()
	p.Rate = c.Then.Rate * 1e6
	p.RTT = time.Duration(c.Then.RTT) * time.Millisecond
	return p
}

// spare tells whether there is bandwidth to spare at a long round trip, where the
// gate must not cost frames.
func (c condition) spare() bool {
	fits := c.Rate == 0 || frameTime(c.Frame, c.Rate) < 1000.0/frameRate
	return c.Then == nil && c.RTT >= 50 && c.Loss == 0 && fits
}

// ideal is the best that a link allows, in frames per second and ms of age: it always
// sends a whole frame, which is captured when its first byte leaves.
func ideal(rate float64, rtt, frame int) (fps, age float64) {
	if rate == 0 {
		return frameRate, float64(rtt) / 2
	}
	takes := frameTime(frame, rate)
	return min(frameRate, 1000/takes), takes + float64(rtt)/2
}
