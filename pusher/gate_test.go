package pusher

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestGateVerdict(t *testing.T) {
	const ms = time.Millisecond
	// A link of 100 segments in 50 ms, 2,000 a second, seen for a second.
	warm := func() *gate {
		g := new(gate)
		for i := range 41 {
			g.check(time.Duration(i)*gateSlice, 0, 0, &tcpInfo{Full: true, MSS: 1000, MinRTT: 50 * ms, Delivered: uint32(50 * i)})
		}
		return g
	}
	const now = 41 * gateSlice
	// What may be on its way there: 2 MB/s × (50 ms + 5 ms).
	const full = 110
	look := func(unacked, sacked, unsent uint32) tcpInfo {
		return tcpInfo{Full: true, MSS: 1000, MinRTT: 50 * ms, Delivered: 2050, Unacked: unacked, Sacked: sacked, Unsent: unsent}
	}

	tests := []struct {
		name string
		gate *gate
		info tcpInfo
		want verdict
	}{
		{"a new connection takes a frame", new(gate), tcpInfo{Full: true, MSS: 1000}, verdict{open: true, pace: unpaced}},
		{"of unknown rate, at the floor", new(gate), tcpInfo{Full: true, MSS: 1024, Unacked: 8}, verdict{open: true, pace: unpaced}},
		{"of unknown rate, above the floor", new(gate), tcpInfo{Full: true, MSS: 1024, Unacked: 9}, verdict{wait: gateMaxWait}},
		{"loopback, two segments on their way", new(gate), tcpInfo{Full: true, MSS: 65483, Unacked: 2}, verdict{open: true, pace: unpaced}},
		{"link is full", warm(), look(full, 0, 0), verdict{open: true, pace: unpaced}},
		{"link is more than full", warm(), look(full+1, 0, 0), verdict{wait: gateMinWait}},
		{"excess that takes 6 ms", warm(), look(full+12, 0, 0), verdict{wait: 6 * ms}},
		{"excess that takes long", warm(), look(full+1000, 0, 0), verdict{wait: gateMaxWait}},
		{"out of order is not on its way", warm(), look(full+40, 40, 0), verdict{open: true, pace: unpaced}},
		{"unsent bytes wait for a window", warm(), look(0, 0, gateUnsent+1), verdict{wait: gateMinWait}},
		{"dead connection", warm(), tcpInfo{Full: true, Closed: true, MSS: 1000, Unsent: 1 << 20}, verdict{open: true, pace: unpaced}},
		{"unix socket, read", new(gate), tcpInfo{Unsent: gateUnsent}, verdict{open: true, pace: unpaced}},
		{"unix socket, not read", new(gate), tcpInfo{Unsent: gateUnsent + 1}, verdict{wait: gateMaxWait}},
		{"nothing known", new(gate), tcpInfo{}, verdict{open: true, pace: unpaced}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.gate.check(now, 0, 0, &tt.info)
			got.wait = got.wait.Round(time.Microsecond)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(verdict{})); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGatePacesOnlyWhileTheLinkLimits(t *testing.T) {
	var g gate
	delivered := uint32(math.MaxUint32 - 100) // wraps around on the way
	look := func(i int, unacked uint32) verdict {
		delivered += 50
		return g.check(time.Duration(i)*gateSlice, 0, 0, &tcpInfo{Full: true, MSS: 1000, Delivered: delivered, Unacked: unacked})
	}
	for i := range 10 {
		look(i, 0)
	}
	if v := look(10, 500); v.open {
		t.Fatal("open with 500 KB on their way")
	}
	if v, want := look(11, 0), uint32(gatePace*2_000_000); !v.open || v.pace != want {
		t.Errorf("after the gate was closed: %+v, want open and %d bytes per second", v, want)
	}
	if v := look(12, 0); !v.open || v.pace != unpaced {
		t.Errorf("on an open link: %+v, want open and unpaced", v)
	}
}

func TestGateIsLossy(t *testing.T) {
	tests := []struct {
		name   string
		resent []uint32 // in each second
		want   bool
	}{
		{"nothing is lost", []uint32{0, 0, 0, 0, 0, 0}, false},
		{"a burst in slow start", []uint32{90, 3, 0, 0, 0, 0}, false},
		{"one segment now and then", []uint32{1, 0, 1, 1, 0, 1}, false},
		{"a bad second in a while", []uint32{5, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 5}, false},
		{"again and again", []uint32{0, 3, 0, 2, 5}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var g gate
			ti := tcpInfo{Full: true, MSS: 1448, MinRTT: time.Millisecond, Retransmitted: math.MaxUint32 - 1}
			now := time.Duration(0)
			g.check(now, 0, 0, &ti)
			for _, n := range tt.resent {
				ti.Retransmitted += n
				now += time.Second + time.Millisecond
				g.check(now, 0, 0, &ti)
			}
			if g.lossy != tt.want {
				t.Errorf("lossy: %v after %v segments were sent again", g.lossy, tt.resent)
			}
		})
	}
}

// A frame that has waited for the link waits for a newer one that is about to come, and not
// for one that does not come. A frame that the link did not keep waiting never waits.
func TestGateAwaitsNewerFrame(t *testing.T) {
	const ms, interval, now = time.Millisecond, time.Second / 30, time.Second
	for next, want := range map[time.Duration]verdict{
		20 * ms:         {open: true, pace: unpaced},
		gateSoon + ms:   {open: true, pace: unpaced},
		gateSoon:        {wait: gateSoon},
		ms / 2:          {wait: gateSamplePoll},
		-gateLate + 1:   {wait: gateSamplePoll},
		-gateLate:       {open: true, pace: unpaced},
		-20 * time.Hour: {open: true, pace: unpaced},
	} {
		for _, limited := range []bool{true, false} {
			g := gate{limited: limited}
			if !limited {
				want = verdict{open: true, pace: unpaced}
			}
			if got := g.check(now, now+next, interval, &tcpInfo{Full: true, MSS: 1000}); got != want {
				t.Errorf("limited %v, the next frame in %v: %+v, want %+v", limited, next, got, want)
			}
		}
	}
}

func TestGateStalled(t *testing.T) {
	var g gate
	info := tcpInfo{Full: true, MSS: 1000, Delivered: 5}
	step := func(at time.Duration, change func()) time.Duration {
		change()
		g.check(at, 0, 0, &info)
		return g.stalled(at)
	}
	tests := []struct {
		name   string
		at     time.Duration
		change func()
		want   time.Duration
	}{
		{"nothing to send", 1 * time.Second, func() {}, 0},
		{"a frame was written", 2 * time.Second, func() { info.Unacked, info.Unsent = 10, 90_000 }, time.Second},
		{"and is stuck", 9 * time.Second, func() {}, 8 * time.Second},
		{"some of it left", 10 * time.Second, func() { info.Unsent = 80_000 }, 0},
		{"and is stuck again", 11 * time.Second, func() {}, time.Second},
		{"some of it arrived", 12 * time.Second, func() { info.Delivered++; info.Unacked-- }, 0},
		{"all of it arrived", 13 * time.Second, func() { info.Delivered += 99; info.Unacked, info.Unsent = 0, 0 }, 0},
		{"nothing to send for long", 99 * time.Second, func() {}, 0},
	}
	for _, tt := range tests {
		if got := step(tt.at, tt.change); got != tt.want {
			t.Errorf("%s: stalled for %v, want %v", tt.name, got, tt.want)
		}
	}
}

// FuzzGate gives a gate whatever a kernel or a peer might, at any times.
func FuzzGate(f *testing.F) {
	record := func(now int64, words ...uint32) []byte {
		b := binary.LittleEndian.AppendUint64(nil, uint64(now))
		for _, w := range words {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		return b
	}
	f.Add(append(record(0, 1, 1448, 0, 0, 0, 0, 1000, 0), record(25e6, 1, 1448, 10, 0, 70, 0, 1000, 5)...))
	f.Add(append(record(math.MaxInt64, 1, math.MaxUint32, math.MaxUint32, 0, math.MaxUint32, math.MaxUint32, 0, 0),
		record(math.MinInt64, 1, math.MaxUint32, 0, math.MaxUint32, 0, math.MaxUint32, math.MaxUint32, 0)...))
	f.Add(append(record(0, 3), record(1, 0)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var g gate
		const size = 8 + 8*4
		for ; len(b) >= size; b = b[size:] {
			now := time.Duration(binary.LittleEndian.Uint64(b))
			word := func(i int) uint32 { return binary.LittleEndian.Uint32(b[8+4*i:]) }
			ti := tcpInfo{
				Full: word(0)&1 != 0, Closed: word(0)&2 != 0,
				MSS: word(1), Unacked: word(2), Sacked: word(3), Delivered: word(4), Unsent: word(5),
				MinRTT: time.Duration(word(6)) * time.Microsecond, Retransmitted: word(7),
			}
			limited, interval := g.limited, ti.MinRTT
			v := g.check(now, now+time.Duration(int32(word(7)))*time.Microsecond, interval, &ti)
			switch {
			case !v.open && limited && v.wait >= gateSamplePoll && v.wait <= gateSoon: // for a newer frame
			case v.open && (v.wait != 0 || v.pace < gateMinPace):
				t.Fatalf("%+v at %v: %+v", ti, now, v)
			case !v.open && !(v.wait == gateSamplePoll && g.sampling) && (v.wait < gateMinWait || v.wait > gateMaxWait):
				t.Fatalf("%+v at %v: %+v, sampling: %v", ti, now, v, g.sampling)
			}
			if r := g.rate(); !(r >= 0 && r <= math.MaxFloat64) {
				t.Fatalf("%+v at %v: rate %v", ti, now, r)
			}
			if g.base < 0 || g.base > gateSampleTime {
				t.Fatalf("%+v at %v: base round trip %v", ti, now, g.base)
			}
		}
	})
}

func TestGateAllocatesNothing(t *testing.T) {
	var g gate
	ti := tcpInfo{Full: true, MSS: 1448, Unacked: 20, MinRTT: time.Millisecond}
	var now time.Duration
	if n := testing.AllocsPerRun(1000, func() {
		now += 10 * time.Millisecond
		ti.Delivered += 17
		g.check(now, 0, 0, &ti)
	}); n != 0 {
		t.Errorf("%v allocations per check", n)
	}
}
