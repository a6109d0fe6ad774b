package bottleneck

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const ms = time.Millisecond

// arrival is a packet, by the number in its first byte, and when it came out.
type arrival struct {
	Packet byte
	At     time.Duration
}

// drain takes out of l what arrives, each packet at the time that next says.
func drain(t *testing.T, l *line) []arrival {
	t.Helper()
	var got []arrival
	for {
		at, ok := l.next()
		if !ok {
			return got
		}
		early, ok := l.pop(at - 1)
		if ok {
			t.Errorf("packet %d came before %v", early[0], at)
		}
		for {
			p, ok := l.pop(at)
			if !ok {
				break
			}
			got = append(got, arrival{p[0], at})
		}
	}
}

func TestLine(t *testing.T) {
	// 1,000 bytes with their header take 1 ms at this rate.
	const rate = 8e6
	data := func(n byte) []byte { p := make([]byte, 1000-etherHeader); p[0] = n; return p }
	tests := []struct {
		name string
		line line
		do   func(l *line)
		want []arrival
	}{
		{
			name: "no limit delays only",
			line: line{delay: 10 * ms},
			do:   func(l *line) { l.push(0, data(1)); l.push(0, data(2)); l.push(ms, data(3)) },
			want: []arrival{{1, 10 * ms}, {2, 10 * ms}, {3, 11 * ms}},
		},
		{
			name: "a rate spaces packets",
			line: line{rate: rate, delay: 10 * ms},
			do:   func(l *line) { l.push(0, data(1)); l.push(0, data(2)) },
			want: []arrival{{1, 11 * ms}, {2, 12 * ms}},
		},
		{
			name: "an idle wire saves nothing up",
			line: line{rate: rate},
			do: func(l *line) {
				l.push(0, data(1))
				l.push(100*ms, data(2))
				l.push(100*ms, data(3))
			},
			want: []arrival{{1, ms}, {2, 101 * ms}, {3, 102 * ms}},
		},
		{
			name: "a full buffer drops the newest",
			line: line{rate: rate, buffer: 13 * 1000},
			do: func(l *line) {
				for n := range byte(20) {
					l.push(0, data(n))
				}
				l.push(ms, data(20)) // one has left
			},
			want: func() (a []arrival) {
				for n := range byte(13) {
					a = append(a, arrival{n, time.Duration(n+1) * ms})
				}
				return append(a, arrival{20, 14 * ms})
			}(),
		},
		{
			name: "a lower rate holds from the packet on the wire",
			line: line{rate: rate, delay: 10 * ms},
			do: func(l *line) {
				for n := range byte(4) {
					l.push(0, data(n))
				}
				l.set(2*ms, rate/2, 0, 10*ms, 0)
			},
			want: []arrival{{0, 11 * ms}, {1, 12 * ms}, {2, 14 * ms}, {3, 16 * ms}},
		},
		{
			name: "no limit any more empties the queue",
			line: line{rate: rate},
			do: func(l *line) {
				for n := range byte(3) {
					l.push(0, data(n))
				}
				l.set(ms, 0, 0, 0, 0)
				l.push(ms, data(3))
			},
			want: []arrival{{0, ms}, {1, ms}, {2, ms}, {3, ms}},
		},
		{
			name: "a shorter delay overtakes nothing",
			line: line{delay: 100 * ms},
			do: func(l *line) {
				l.push(0, data(1))
				l.set(ms, 0, 0, 10*ms, 0)
				l.push(ms, data(2))
			},
			want: []arrival{{1, 100 * ms}, {2, 100 * ms}},
		},
		{
			name: "all data lost, acknowledgements pass",
			line: line{loss: 1, rand: rand.New(rand.NewPCG(1, 2))},
			do:   func(l *line) { l.push(0, data(1)); l.push(0, []byte{2}) },
			want: []arrival{{2, 0}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.do(&tt.line)
			if diff := cmp.Diff(tt.want, drain(t, &tt.line)); diff != "" {
				t.Errorf("arrivals (-want +got):\n%s", diff)
			}
			if tt.line.queued != 0 {
				t.Errorf("%d bytes queued in an empty line", tt.line.queued)
			}
		})
	}
}

func TestLineLoss(t *testing.T) {
	l := line{loss: 0.02, rand: rand.New(rand.NewPCG(1, 2))}
	const sent = 10_000
	lost := 0
	for range sent {
		if !l.push(0, make([]byte, 1000)) {
			lost++
		}
	}
	if lost < 150 || lost > 250 {
		t.Errorf("lost %d of %d packets, want about 200", lost, sent)
	}
	if got := len(drain(t, &l)); got != sent-lost {
		t.Errorf("%d packets arrived, want %d", got, sent-lost)
	}
}

func TestLineIsBounded(t *testing.T) {
	l := line{delay: time.Hour}
	for range maxAir {
		if !l.push(0, []byte{1}) {
			t.Fatal("dropped a packet below the bound")
		}
	}
	if l.push(0, []byte{1}) {
		t.Errorf("took more than %d packets", maxAir)
	}
}

// TestLineAgainstFormula pushes and pops at random times: a packet arrives one
// delay after the wire, which sends one after the other, has sent it.
func TestLineAgainstFormula(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		l := line{rate: 1e6 + r.Float64()*50e6, buffer: 1 << 30, delay: time.Duration(r.IntN(int(100 * ms)))}
		var want, got []arrival
		var now, free time.Duration
		for n := range byte(250) {
			now += time.Duration(r.IntN(int(2 * ms)))
			p := make([]byte, 1+r.IntN(1500))
			p[0] = n
			if !l.push(now, p) {
				t.Fatal("dropped a packet")
			}
			free = max(free, now) + time.Duration(float64(len(p)+etherHeader)*8/l.rate*1e9)
			want = append(want, arrival{n, free + l.delay})
			if r.IntN(3) == 0 {
				for {
					p, ok := l.pop(now)
					if !ok {
						break
					}
					got = append(got, arrival{p[0], want[p[0]].At})
					if at := want[p[0]].At; at > now {
						t.Fatalf("packet %d came at %v, %v early", p[0], now, at-now)
					}
				}
			}
		}
		for {
			at, ok := l.next()
			if !ok {
				break
			}
			if p, ok := l.pop(at); ok {
				got = append(got, arrival{p[0], at})
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("arrivals (-want +got):\n%s", diff)
		}
	}
}
