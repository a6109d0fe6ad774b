//go:build cgo

package v4l2

import (
	"math"
	"slices"
	"time"
)

// timeline finds the frames that are missing in a row of time stamps, for drivers
// which number only what they deliver. A frame that is late is no loss, if the
// next one is on time again: so a gap counts when the frame after it has come.
//
// A camera that is steadily slower than it said has lost nothing. It looks the
// same as one of which every second frame is lost, and counts as slow.
type timeline struct {
	period time.Duration // that the driver says is between two frames

	began  bool
	last   time.Duration // stamp of the frame before
	where  float64       // where that was on the line, in frames since the last whole one
	gap    int           // frames missing before it, not counted yet
	recent []time.Duration
}

const (
	timelineMemory = 8                // intervals, of which the shortest shows the true rate
	timelineBreak  = 10 * time.Second // after so long it begins anew
	timelineDrift  = 0.25             // of a frame's deviation, how much the line follows
)

// lost takes the next stamp and says how many frames are now known to be lost.
func (t *timeline) lost(stamp time.Duration) int {
	delta := stamp - t.last
	if !t.began || delta < 0 || delta > timelineBreak {
		*t = timeline{period: t.period, began: true, last: stamp}
		return 0
	}
	t.last = stamp
	if t.recent = append(t.recent, delta); len(t.recent) > timelineMemory {
		t.recent = t.recent[1:]
	}
	period := max(t.period, slices.Min(t.recent))
	if period <= 0 {
		return 0
	}

	at := t.where + float64(delta)/float64(period)
	steps := math.Round(at)
	t.where = (at - steps) * (1 - timelineDrift)
	known := t.gap
	switch {
	case steps < 1: // it fills the gap: the frame before was early, or this one late
		t.gap = max(t.gap-1, 0)
		return 0
	default:
		t.gap = int(steps) - 1
		return known
	}
}
