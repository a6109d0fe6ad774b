//go:build cgo

package v4l2

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestTimeline(t *testing.T) {
	const ms = time.Millisecond
	steady := func(n int, every time.Duration) (all []time.Duration) {
		for range n {
			all = append(all, every)
		}
		return all
	}
	join := func(parts ...[]time.Duration) (all []time.Duration) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	good := steady(10, 100*ms)
	tests := []struct {
		name   string
		deltas []time.Duration // between frames that are 100 ms apart
		want   int
	}{
		{"none", good, 0},
		{"one", join(good, []time.Duration{200 * ms}, good), 1},
		{"many", join(good, []time.Duration{4000 * ms}, good), 39},
		{"each fifth", join(good, []time.Duration{200 * ms}, steady(3, 100*ms), []time.Duration{200 * ms}, steady(3, 100*ms), []time.Duration{200 * ms}, good), 3},
		{"each third", join(good, []time.Duration{200 * ms, 100 * ms, 200 * ms, 100 * ms, 200 * ms, 100 * ms}), 3},
		{"one is late", join(good, []time.Duration{160 * ms, 40 * ms}, good), 0},
		{"one is very late", join(good, []time.Duration{199 * ms, 1 * ms}, good), 0},
		{"one is late, one is lost", join(good, []time.Duration{260 * ms, 40 * ms}, good), 1},
		{"29.97 for 30", steady(5000, 100*ms*1001/1000), 0},
		{"0.5 % fast", steady(5000, 99500*time.Microsecond), 0},
		{"slower than it said", steady(100, 300*ms), 0},
		{"slower from now on", join(good, steady(100, 200*ms)), 7}, // until it shows
		{"a pause is no loss", join(good, []time.Duration{time.Hour}, good), 0},
		{"backwards", join(good, []time.Duration{-time.Second}, good), 0},
		{"all at once", steady(10, 0), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line, stamp, lost := timeline{period: 100 * ms}, time.Hour, 0
			lost += line.lost(stamp)
			for _, d := range tt.deltas {
				stamp += d
				lost += line.lost(stamp)
			}
			if lost != tt.want {
				t.Errorf("%d lost, want %d", lost, tt.want)
			}
		})
	}
}

// Frames that are early or late by up to 30 % of a frame time are told from lost
// ones, within 2 %.
func TestTimelineJitter(t *testing.T) {
	t.Attr("fault", "camera | frames that are early or late by up to 30 % | they are not taken for lost ones | –")
	const period = 33333 * time.Microsecond
	for _, jitter := range []float64{0, 0.1, 0.2, 0.3} {
		r := rand.New(rand.NewPCG(1, 2))
		line, lost, counted := timeline{period: period}, 0, 0
		for n := range 20_000 {
			if n > 10 && r.IntN(10) == 0 {
				lost++
				continue
			}
			off := time.Duration((r.Float64()*2 - 1) * jitter * float64(period))
			counted += line.lost(time.Duration(n)*period + time.Hour + off)
		}
		if diff := counted - lost; max(diff, -diff) > lost/50 {
			t.Errorf("jitter of %v: %d counted, %d were lost", jitter, counted, lost)
		}
	}
}
