package pusher

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"
)

// modelLink is TCP over a bottleneck in few lines and in no time: it shows that
// the gate and a link together do what the rule says, where a recorded trace
// shows only half of the loop. Slow start is all of TCP that it knows; nothing
// is lost. fresh_linux_test.go has the kernel's.
type modelLink struct {
	rate float64 // segments per second, at most 1,000 per millisecond
	rtt  time.Duration

	window    uint32
	unsent    uint32 // segments
	free      time.Duration
	air       []modelSegment
	delivered uint32
	minRTT    time.Duration
}

type modelSegment struct{ sent, acked time.Duration }

const modelMSS = 1448

// advance sends and acknowledges what is due by now.
func (l *modelLink) advance(now time.Duration) {
	for len(l.air) > 0 && l.air[0].acked <= now {
		rtt := l.air[0].acked - l.air[0].sent
		l.air = l.air[1:]
		l.delivered++
		if uint32(len(l.air)) >= l.window/2 { // the kernel does not grow a window that is not used
			l.window++
		}
		if l.minRTT == 0 {
			l.minRTT = rtt
		}
		l.minRTT = min(l.minRTT, rtt)
	}
	for l.unsent > 0 && uint32(len(l.air)) < l.window {
		l.unsent--
		l.free = max(l.free, now) + time.Duration(float64(time.Second)/l.rate)
		l.air = append(l.air, modelSegment{now, l.free + l.rtt})
	}
}

func (l *modelLink) info() *tcpInfo {
	return &tcpInfo{
		Full: true, MSS: modelMSS, Unacked: uint32(len(l.air)), Unsent: l.unsent * modelMSS,
		Delivered: l.delivered, MinRTT: l.minRTT,
	}
}

func TestGateOnModelLink(t *testing.T) {
	const ms = time.Millisecond
	const frame = 70 // segments: 100 KB
	mbit := func(rate float64) float64 { return rate * 1e6 / 8 / modelMSS }
	tests := []struct {
		name      string
		rate      float64 // Mbit/s
		rtt       time.Duration
		thenRate  float64 // after 5 s
		thenRTT   time.Duration
		from      time.Duration // what is measured, until 60 s
		minFPS    float64
		maxAge    time.Duration // p50, until the last acknowledgement
		wantBase  time.Duration // within 5 ms
		delivered uint32        // to begin with
	}{
		{name: "4 Mbit", rate: 4, rtt: 20 * ms, from: 3 * time.Second, minFPS: 4.7, maxAge: 243 * ms, wantBase: 23 * ms},
		{name: "12 Mbit, RTT 100", rate: 12, rtt: 100 * ms, from: 3 * time.Second, minFPS: 14, maxAge: 187 * ms, wantBase: 101 * ms},
		{name: "1 Gbit, RTT 200", rate: 1000, rtt: 200 * ms, from: 3 * time.Second, minFPS: 29.5, maxAge: 205 * ms, wantBase: 200 * ms},
		{name: "1 Gbit, RTT 200, counters wrap around", rate: 1000, rtt: 200 * ms, from: 3 * time.Second, minFPS: 29.5, maxAge: 205 * ms, wantBase: 200 * ms, delivered: math.MaxUint32 - 1000},
		{name: "20 to 4 Mbit", rate: 20, rtt: 20 * ms, thenRate: 4, from: 6 * time.Second, minFPS: 4.7, maxAge: 242 * ms, wantBase: 21 * ms},
		{name: "4 to 20 Mbit", rate: 4, rtt: 20 * ms, thenRate: 20, from: 6 * time.Second, minFPS: 23.5, maxAge: 78 * ms, wantBase: 23 * ms},
		{name: "RTT 20 to 200", rate: 12, rtt: 20 * ms, thenRTT: 200 * ms, from: 13 * time.Second, minFPS: 14.2, maxAge: 290 * ms, wantBase: 201 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := &modelLink{rate: mbit(tt.rate), rtt: tt.rtt, window: 10, delivered: tt.delivered}
			type sent struct {
				captured time.Duration
				end      uint32 // of the frame, as l.delivered counts
			}
			const frameTime, end = time.Second / 30, 60 * time.Second
			var (
				g       gate
				flight  []sent
				ages    []time.Duration
				last    time.Duration // capture time of the last frame
				wake    time.Duration
				rest    uint32 // of a frame whose first segments were sent
				written = tt.delivered
			)
			for now := time.Duration(0); now < end; now += ms {
				if now == 5*time.Second {
					l.rate, l.rtt = mbit(cmp.Or(tt.thenRate, tt.rate)), cmp.Or(tt.thenRTT, tt.rtt)
				}
				l.advance(now)
				for len(flight) > 0 && int32(l.delivered-flight[0].end) >= 0 {
					if now > tt.from {
						ages = append(ages, now-flight[0].captured)
					}
					flight = flight[1:]
				}
				captured := now.Truncate(frameTime)
				if now < wake || captured == last && rest == 0 {
					continue
				}
				v := g.check(now, captured+frameTime, frameTime, l.info())
				if wake = now + v.wait; g.sampling && rest > 0 || !v.open && rest == 0 {
					continue
				}
				if rest > 0 {
					l.unsent += rest
					rest = 0
					continue
				}
				last = captured
				if g.sampling {
					rest = frame - gateFloorSegments
				}
				l.unsent += frame - rest
				written += frame
				flight = append(flight, sent{captured, written})
			}
			fps := float64(len(ages)) / (end - tt.from).Seconds()
			slices.Sort(ages)
			if fps < tt.minFPS {
				t.Errorf("%.1f frames per second, want at least %.1f", fps, tt.minFPS)
			}
			if p50 := ages[len(ages)/2]; p50 > tt.maxAge {
				t.Errorf("median age %v, want at most %v", p50, tt.maxAge)
			}
			if base := g.baseRTT(l.info()); base < tt.wantBase-gateQueue || base > tt.wantBase+gateQueue {
				t.Errorf("base round trip %v, want %v", base, tt.wantBase)
			}
			t.Logf("%.1f fps, p50 %v, base %v, rate %.1f Mbit/s", fps, ages[len(ages)/2], g.baseRTT(l.info()), g.rate()*8/1e6)
		})
	}
}
