package pusher

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// A look is one line of a recorded trace: what Linux 6.18 said of a connection
// behind hack/bottleneck, with cubic and 100 kB frames. The link changed 3 s
// after the beginning. TestRecordTraces records them.
type look struct {
	now   time.Duration
	info  tcpInfo
	wrote bool // a frame, after this look
}

func readTrace(t *testing.T, name string) []look {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "gate", name+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var trace []look
	for _, line := range lines[1:] {
		var n [8]uint32
		for i, s := range line {
			v, err := strconv.ParseUint(s, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			n[i] = uint32(v)
		}
		trace = append(trace, look{
			now: time.Duration(n[0]) * time.Microsecond,
			info: tcpInfo{
				Full: true, MSS: n[1], Unacked: n[2], Sacked: n[3], Delivered: n[4], Unsent: n[5],
				MinRTT: time.Duration(n[6]) * time.Microsecond,
			},
			wrote: n[7] == 1,
		})
	}
	return trace
}

func TestGateReplay(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		trace    string
		from, to time.Duration // when the following must hold
		rate     [2]float64    // Mbit/s
		base     [2]time.Duration
	}{
		{"rate-20-to-4", 1 * time.Second, 3 * time.Second, [2]float64{17, 25}, [2]time.Duration{20 * ms, 25 * ms}},
		{"rate-20-to-4", 4 * time.Second, 8 * time.Second, [2]float64{3.4, 4.8}, [2]time.Duration{20 * ms, 25 * ms}},
		{"rtt-20-to-200", 1 * time.Second, 3 * time.Second, [2]float64{10, 15}, [2]time.Duration{20 * ms, 25 * ms}},
		{"rtt-20-to-200", 8 * time.Second, 12 * time.Second, [2]float64{10, 15}, [2]time.Duration{200 * ms, 215 * ms}},
	}
	for _, tt := range tests {
		t.Run(tt.trace, func(t *testing.T) {
			var g gate
			looks, wrote, disagreed := 0, 0, 0
			for _, l := range readTrace(t, tt.trace) {
				v := g.check(l.now, 0, 0, &l.info)
				if l.wrote {
					wrote++
					if !v.open {
						disagreed++
					}
				}
				if l.now < tt.from || l.now >= tt.to {
					continue
				}
				looks++
				if got := g.rate() * 8 / 1e6; got < tt.rate[0] || got > tt.rate[1] {
					t.Errorf("at %v: rate %.1f Mbit/s, want %v", l.now, got, tt.rate)
				}
				if got := g.baseRTT(&l.info); got < tt.base[0] || got > tt.base[1] {
					t.Errorf("at %v: base round trip %v, want %v", l.now, got, tt.base)
				}
			}
			if looks < 50 {
				t.Errorf("%d looks in this time", looks)
			}
			// The trace is what came of the recorded decisions: a gate that would
			// have decided otherwise must be recorded again.
			if disagreed > wrote/50 {
				t.Errorf("closed at %d of %d frames that were written", disagreed, wrote)
			}
		})
	}
}
