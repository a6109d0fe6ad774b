package pusher

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A modelPeer is a receiving TCP of one of several systems, with the acknowledgements
// and window updates of their sources. Nothing is lost.
type modelPeer struct {
	system string // linux, xnu, xnu-old, bsd, windows, silent or lwip
	buffer int    // bytes
	delack time.Duration
	// Linux only: the buffer grows up to grows with what is read in a round trip, and
	// the window never shows more than threshold (rcv_ssthresh).
	grows, threshold int
	rtt              time.Duration
	ack              func(acked uint64, window int)

	unread   int
	next     uint64 // all that came
	acked    uint64
	edge     uint64 // what it said that it will take
	segments int    // since the last acknowledgement
	ackAt    time.Duration
	came     time.Duration
	quick    int // acknowledgements that are not delayed
	copied   int // since copiedAt
	copiedAt time.Duration
}

func (p *modelPeer) window() int {
	w := max(p.buffer-p.unread, 0)
	if p.system == "linux" {
		w = min(w, p.threshold)
	}
	return w
}

func (p *modelPeer) acknowledge() {
	p.edge = max(p.edge, p.next+uint64(p.window()))
	p.acked, p.segments, p.ackAt, p.quick = p.next, 0, 0, max(p.quick-1, 0)
	p.ack(p.acked, int(p.edge-p.next))
}

func (p *modelPeer) arrive(now time.Duration, n int) {
	if p.system == "linux" && now-p.came > 200*time.Millisecond {
		p.quick = 16
	}
	p.came = now
	p.unread += n
	p.next += uint64(n)
	p.segments += (n + modelMSS - 1) / modelMSS
	if room := p.buffer - p.unread - p.threshold; room > 0 {
		p.threshold += min(room, 2*n)
	}
	full := p.segments >= 2
	if p.system == "linux" {
		full = p.next-p.acked > modelMSS || p.quick > 0
	}
	if full {
		p.acknowledge()
	} else if p.ackAt == 0 {
		p.ackAt = now + p.delack
	}
}

func (p *modelPeer) tick(now time.Duration) {
	if p.ackAt != 0 && now >= p.ackAt {
		p.acknowledge()
	}
}

// read takes up to n bytes out of the buffer.
func (p *modelPeer) read(now time.Duration, n int) int {
	if n = min(n, p.unread); n <= 0 {
		return 0
	}
	p.unread -= n
	if p.copied += n; now-p.copiedAt > max(p.rtt, 10*time.Millisecond) {
		p.buffer = max(p.buffer, min(2*p.copied, p.grows))
		p.copied, p.copiedAt = 0, now
	}
	gain := int(int64(p.next) + int64(p.window()) - int64(p.edge))
	shown := int(p.edge - p.next)
	empty, pending := p.unread == 0, p.next != p.acked
	update := false
	switch p.system {
	case "linux":
		update = pending && empty || 2*shown <= p.buffer && p.window() >= 2*shown && gain > 0
	case "xnu":
		update = gain >= 2*modelMSS && empty || 4*gain >= p.buffer
	case "xnu-old", "windows":
		update = gain >= 2*modelMSS
	case "bsd":
		update = gain >= 2*modelMSS && (4*gain >= p.buffer || 8*p.window() <= p.buffer) || 2*gain >= p.buffer
	case "lwip":
		update = gain >= min(p.buffer/4, 4*modelMSS)
	case "silent":
		update = shown < modelMSS && gain >= 2*modelMSS
	}
	if update {
		p.acknowledge()
	}
	return n
}

// A modelStream is a stream to a modelPeer whose program reads at a share of the
// stream's rate, or takes a frame as fast as it can and works then.
type modelStream struct {
	system string
	buffer int
	grows  int
	rtt    time.Duration
	fps    float64
	size   int // bytes of a frame
	share  float64
	bursts bool
	exact  bool          // it reads no byte beyond the frame before it works, as hack/bench does
	works  time.Duration // in bursts, instead of share
	plain  bool          // without the rule
	late   time.Duration // how late the sender and the program wake up at most

	length, from time.Duration // the whole, and from when on it counts
	change       func(*modelStream, *modelPeer)
	changeAt     time.Duration

	ages    []time.Duration // of the frames when they are read, sorted
	dropped time.Duration   // when the viewer was, 0 is not
	reader  reader
}

func (s *modelStream) String() string {
	return fmt.Sprintf("%s %v RTT %d ms %v fps × %d kB at %v bursts %v works %v",
		s.system, s.buffer, s.rtt.Milliseconds(), s.fps, s.size/1000, s.share, s.bursts, s.works)
}

func (s *modelStream) rate() float64 { return float64(len(s.ages)) / (s.length - s.from).Seconds() }

func (s *modelStream) age(quantile float64) time.Duration {
	return ages(s.ages).quantile(quantile)
}

const modelTimeout = 10 * time.Second // the viewer timeout

// run runs the stream, in steps of half a millisecond.
func (s *modelStream) run() {
	const step, bandwidth, chunk = 500 * time.Microsecond, 125e6, 8192
	type segment struct {
		at     time.Duration
		n      int
		acked  uint64
		window int
	}
	type frame struct {
		captured time.Duration
		end      uint64
	}
	s.from = cmp.Or(s.from, s.length/3)
	var (
		random        = rand.New(rand.NewPCG(1, 2))
		now           time.Duration
		out, back     []segment // on their way
		ti            = tcpInfo{Full: true, Peer: true, MSS: modelMSS, MinRTT: s.rtt + 50*time.Microsecond}
		lastAck, free time.Duration
		written       uint64
		frames        []frame // that are not read
		read          uint64
		budget        float64
		busy          time.Duration // until then the program works
		frameTime     = time.Duration(float64(time.Second) / s.fps)
		last          = -1 // frame that was sent
		wake          time.Duration
		edge, edgeAt  = uint64(0), time.Duration(0)
		r             = &s.reader
		peer          = &modelPeer{system: s.system, buffer: s.buffer, grows: s.grows, rtt: s.rtt, threshold: min(s.buffer, 65535), delack: 40 * time.Millisecond}
	)
	late := func() time.Duration { return time.Duration(random.Float64() * float64(s.late)) }
	if s.system == "silent" || s.system == "lwip" {
		peer.delack = 200 * time.Millisecond
	}
	peer.ack = func(acked uint64, window int) {
		back = append(back, segment{at: now + s.rtt/2, acked: acked, window: window})
	}
	peer.edge = uint64(min(s.buffer, 64<<10))
	ti.Window = uint32(peer.edge)
	write := func(n int) {
		written += uint64(n)
		ti.Unsent += uint32(n)
	}
	take := func(n int) (whole bool) {
		n = peer.read(now, n)
		read += uint64(n)
		for ; len(frames) > 0 && read >= frames[0].end; frames = frames[1:] {
			whole = true
			if now >= s.from {
				s.ages = append(s.ages, now-frames[0].captured)
			}
		}
		budget -= float64(n)
		return whole
	}
	for ; now < s.length; now += step {
		if s.change != nil && now >= s.changeAt {
			s.change(s, peer)
		}
		for ; len(out) > 0 && out[0].at <= now; out = out[1:] {
			peer.arrive(now, out[0].n)
		}
		peer.tick(now)
		for ; len(back) > 0 && back[0].at <= now; back = back[1:] {
			ti.Acked, ti.Window, lastAck = back[0].acked, uint32(back[0].window), now
		}
		for ti.Sent < written {
			n := min(int(written-ti.Sent), 16*modelMSS, int(ti.Acked+uint64(ti.Window)-ti.Sent))
			if n <= 0 || n < modelMSS && n < int(written-ti.Sent) { // silly window
				break
			}
			free = max(free, now) + time.Duration(float64(n)/bandwidth*1e9)
			out = append(out, segment{at: free + s.rtt/2, n: n})
			ti.Sent += uint64(n)
		}
		ti.Unsent = uint32(written - ti.Sent)
		ti.LastAck = (now - lastAck).Truncate(time.Millisecond)

		// The program reads.
		rate := s.share * s.fps * float64(s.size)
		switch {
		case s.bursts:
			for now >= busy && peer.unread > 0 {
				if len(frames) == 0 { // only what goes ahead
					take(peer.unread)
				} else if take(int(frames[0].end - read)) {
					if !s.exact {
						take(4096) // its buffered reader reads on
					}
					work := cmp.Or(s.works, time.Duration(float64(time.Second)/(s.share*s.fps)))
					busy = now + time.Duration((0.95+0.1*random.Float64())*float64(work)) + late()
				}
			}
		default:
			budget = min(budget, chunk) + rate*step.Seconds()
			if n := min(chunk, peer.unread); budget >= float64(n) {
				take(n)
			}
		}

		// The viewer, as its serve does it. Its link is a gate that is open when nearly
		// all is sent.
		if now < wake || s.dropped > 0 {
			continue
		}
		newest := int(now / frameTime)
		if newest == last {
			if r.listens(&ti) {
				r.note(now, &ti)
				wake = now + readerPoll + late()
			}
			continue
		}
		wait, ok := gateMinWait, ti.Unsent <= gateUnsent
		if !s.plain {
			r.note(now, &ti)
			if w, open := r.check(now, time.Duration(newest+1)*frameTime, modelTimeout, &ti); !open {
				wait, ok = w, false
			}
		}
		if ok {
			last = newest
			write(s.size)
			frames = append(frames, frame{time.Duration(newest) * frameTime, written - uint64(len(partTail))})
			r.sent(now, s.size, frameTime, &ti)
			continue
		}
		if e := ti.Acked + uint64(ti.Window); e != edge {
			edge, edgeAt = e, now
		}
		allowed := modelTimeout
		if !s.plain && r.isNew() {
			allowed *= 2
		}
		if !s.plain && r.stalled(now, &ti) > allowed || ti.Unsent > gateUnsent && now-edgeAt > allowed {
			s.dropped = now
		}
		wake = now + wait + late()
		if !s.plain && r.wants(now, &ti) {
			write(1)
			r.ask(now, &ti)
		}
	}
	slices.Sort(s.ages)
}

// ideal is the age at which such a reader has read a frame at best, but that it
// finds the newest frame half a frame time old.
func (s *modelStream) ideal() time.Duration {
	return time.Duration(float64(time.Second)/(s.share*s.fps)) + s.rtt/2
}

func TestReaderOnModel(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		rtt         time.Duration
		excess, bad time.Duration // of the median age: in the median of all cells, and in 9 of 10
		rate, worst float64       // shares of the plain sender's
	}{
		{0, 20 * ms, 80 * ms, 0.96, 0.90},
		{20 * ms, 20 * ms, 110 * ms, 0.95, 0.90},
		{100 * ms, 20 * ms, 150 * ms, 0.95, 0.86},
	} {
		var excess []time.Duration
		var rates []float64
		for _, stream := range []modelStream{{fps: 30, size: 100_000}, {fps: 15, size: 400_000}} {
			for _, buffer := range []int{16 << 10, 65535, 1 << 20} {
				for _, share := range []float64{0.25, 0.5, 0.8, 1.2, 10} {
					for _, bursts := range []bool{false, true} {
						s := stream
						s.system, s.rtt, s.buffer, s.share, s.bursts, s.length = "linux", tt.rtt, buffer, share, bursts, 9*time.Second
						if buffer == 65535 {
							s.grows = 6 << 20
						}
						plain := s
						plain.plain = true
						plain.run()
						s.run()
						if share > 1 {
							if s.rate() < 0.99*plain.rate() {
								t.Errorf("%v: %.1f frames a second, want the plain sender's %.1f", &s, s.rate(), plain.rate())
							}
							continue
						}
						if buffer > 16<<10 { // that bounds the age by itself, and far away the rate
							excess = append(excess, s.age(0.5)-s.ideal())
							rates = append(rates, s.rate()/plain.rate())
						}
					}
				}
			}
		}
		slices.Sort(excess)
		slices.Sort(rates)
		n := len(excess)
		t.Logf("RTT %v: excess %v, 9 of 10 %v; rate %.2f, worst %.2f", tt.rtt, excess[n/2].Round(ms), excess[n*9/10].Round(ms), rates[n/2], rates[0])
		if excess[n/2] > tt.excess || excess[n*9/10] > tt.bad {
			t.Errorf("RTT %v: excess %v, 9 of 10 %v, want at most %v and %v", tt.rtt, excess[n/2], excess[n*9/10], tt.excess, tt.bad)
		}
		if rates[n/2] < tt.rate || rates[0] < tt.worst {
			t.Errorf("RTT %v: %.2f of the plain sender's rate, worst %.2f, want at least %v and %v", tt.rtt, rates[n/2], rates[0], tt.rate, tt.worst)
		}
	}
}

// Readers as hack/bench has them: in bursts they leave what is behind a frame until they want
// the next one, and both ends wake up a little late.
func TestReaderInBursts(t *testing.T) {
	const ms = time.Millisecond
	for rtt, want := range map[time.Duration]float64{1 * ms: 0.95, 20 * ms: 0.96, 100 * ms: 0.9} {
		var ages []time.Duration
		for _, share := range []float64{0.25, 0.5, 0.8} {
			for _, buffer := range []int{65535, 1 << 20} {
				s := modelStream{system: "linux", rtt: rtt, buffer: buffer, fps: 30, size: 100_000, share: share, bursts: true, exact: true, late: 2 * ms, length: 13 * time.Second}
				if buffer == 65535 {
					s.grows = 6 << 20
				}
				plain := s
				plain.plain = true
				plain.run()
				s.run()
				rate, age := s.rate()/plain.rate(), s.age(0.5)
				t.Logf("%v: %.3f of the plain sender's rate, median age %v", &s, rate, age)
				// The picture is half a frame time old when it is sent, at the median.
				if most := rtt/2 + time.Second/60 + 20*ms; rate < want || age > most {
					t.Errorf("%v: %.3f of the plain sender's rate, median age %v, want at least %v and at most %v", &s, rate, age, want, most)
				}
				ages = append(ages, age)
			}
		}
		// Frames go a little early, but not when a newer one would be in time, too.
		slices.Sort(ages)
		if most := rtt/2 + time.Second/60 + 3*ms; ages[len(ages)/2] > most {
			t.Errorf("RTT %v: half of the median ages are above %v", rtt, ages[len(ages)/2])
		}
	}
}

// Whatever the rules of the other system are, no stream stops, and no fast reader loses
// a frame. One that reads at half the rate and answers now and then, by chance, may get
// fewer frames than it could read, when it is far away.
func TestReaderOfOtherSystems(t *testing.T) {
	for _, system := range []string{"xnu", "xnu-old", "bsd", "windows", "silent", "lwip"} {
		for _, share := range []float64{0.5, 1.2, 10} {
			for _, bursts := range []bool{false, true} {
				for _, rtt := range []time.Duration{time.Millisecond, 50 * time.Millisecond} {
					s := modelStream{system: system, buffer: 512 << 10, rtt: rtt, fps: 30, size: 100_000, share: share, bursts: bursts, length: 20 * time.Second, from: 14 * time.Second}
					if system == "lwip" {
						s.buffer = 4 * 1440
					}
					plain := s
					plain.plain = true
					plain.run()
					s.run()
					want := 0.99
					if share < 1 {
						want = 0.94
						if rtt > readerNear {
							want = 0.3
						}
					}
					if s.rate() < want*plain.rate() || s.age(0.5) > plain.age(0.5)*11/10+time.Second/30 || s.dropped != 0 {
						t.Errorf("%v: %.1f frames a second, median age %v, dropped %v; plain: %.1f, %v",
							&s, s.rate(), s.age(0.5), s.dropped, plain.rate(), plain.age(0.5))
					}
				}
			}
		}
	}
}

// Who takes a frame and works for seconds then is not dropped, and finds a picture that
// was made when it came back.
func TestReaderWorksForSeconds(t *testing.T) {
	for _, works := range []time.Duration{2 * time.Second, 5 * time.Second, 9 * time.Second} {
		for _, stream := range []modelStream{
			{fps: 30, size: 100_000, buffer: 65535, grows: 6 << 20},
			{fps: 30, size: 100_000, buffer: 1 << 20},
			{fps: 30, size: 20_000, buffer: 65535, grows: 6 << 20},
			{fps: 15, size: 400_000, buffer: 65535, grows: 6 << 20},
		} {
			s := stream
			s.system, s.bursts, s.works, s.length, s.from = "linux", true, works, 40*works, 24*works
			s.run()
			if s.dropped != 0 {
				t.Errorf("%v: dropped after %v", &s, s.dropped)
			}
			if old := s.age(0.95); old > 200*time.Millisecond {
				t.Errorf("%v: a frame is %v old", &s, old)
			}
		}
	}
}

// A frame that lies in the buffer of such a program is read together with the question
// behind it, and so that is answered although the program does not want another frame then.
func TestReaderWorksInStep(t *testing.T) {
	for works := 1600 * time.Millisecond; works < 2400*time.Millisecond; works += 37 * time.Millisecond {
		for _, stream := range []modelStream{{buffer: 65535, grows: 6 << 20}, {buffer: 1 << 20}} {
			s := stream
			s.system, s.fps, s.size, s.bursts, s.works, s.length, s.from = "linux", 30, 100_000, true, works, 16*works, 8*works
			s.run()
			if old := s.age(1); old > 200*time.Millisecond || s.rate() < 0.8/works.Seconds() {
				t.Errorf("%v: a frame is %v old, %.2f frames in %v", &s, old, s.rate()*works.Seconds(), works)
			}
		}
	}
}

// Who was waiting already when it was asked is asked earlier after the next frame, however
// late it was meant to be asked.
func TestReaderIsAskedEarlier(t *testing.T) {
	const ms, size = time.Millisecond, 100_000
	r := reader{slow: true, delay: time.Second}
	ti := tcpInfo{Full: true, Peer: true, MSS: 1448, MinRTT: ms, Window: 1 << 20}
	r.note(0, &ti)
	r.sent(0, size, time.Second/30, &ti)
	ti.Sent, ti.Acked = size, size
	const asked = 205 * ms // because nothing was sent for readerSilence, twice
	r.note(asked, &ti)
	ti.Unsent = 1
	r.ask(asked, &ti)
	ti.Unsent, ti.Sent, ti.Acked, ti.LastAck = 0, size+1, size+1, ms
	r.note(asked+2*ms, &ti)
	if !r.drained || r.delay >= asked {
		t.Errorf("it is asked %v after the next frame, want earlier than %v: %+v", r.delay, asked, r)
	}
}

// A buffer that is full for long is not taken for a small one: then frames went without
// a question, until the buffer had grown and held a dozen seconds of them.
func TestReaderBufferIsFull(t *testing.T) {
	const size = 100_000
	var r reader
	ti := tcpInfo{Full: true, Peer: true, MSS: 65483, MinRTT: 10 * time.Microsecond, Window: 95_232}
	r.note(0, &ti)
	r.sent(0, size, time.Second/30, &ti)
	ti.Sent, ti.Acked, ti.Unsent, ti.Window = 95_232, 95_232, size-95_232, 0
	for now := time.Second / 30; now < 9*time.Second; now += time.Second / 30 {
		r.note(now, &ti)
		if _, ok := r.check(now, now+time.Second/30, 10*time.Second, &ti); ok {
			t.Fatalf("another frame goes after %v, and the buffer is full: %+v", now, r)
		}
	}
	if !r.slow {
		t.Errorf("it is not slow: %+v", r)
	}
}

// The first frames to a program on the same machine that takes one every 9 s, as the
// kernel told of them: its buffer grows when it has read the first one, and so hides the
// second. The third is the last that goes, because the buffer must not be full.
func TestReaderFirstFrames(t *testing.T) {
	const size = 112_000
	var r reader
	ti := tcpInfo{Full: true, Peer: true, MSS: 65483, MinRTT: 10 * time.Microsecond, Window: 65536}
	now := time.Duration(0)
	may := func() bool {
		now += time.Second / 30
		r.note(now, &ti)
		_, ok := r.check(now, 0, 10*time.Second, &ti)
		return ok
	}
	for i, window := range []uint32{95_232, 230_400} {
		if !may() {
			t.Fatalf("frame %d: it has to wait although all is read", i+1)
		}
		r.sent(now, size, time.Second/30, &ti)
		ti.Sent += size
		ti.Acked += size / 2
		if may() {
			t.Errorf("frame %d goes before the one before it is acknowledged", i+2)
		}
		ti.Acked, ti.Window = ti.Sent, window
	}
	if !may() {
		t.Fatal("frame 3: it has to wait although nothing shows that the second is not read")
	}
	r.sent(now, size, time.Second/30, &ti)
	ti.Sent += size
	ti.Acked, ti.Window = ti.Sent, 230_400-size
	if may() || !r.slow {
		t.Errorf("frame 4 goes, and the buffer is full: %+v", r)
	}
}

func TestReaderStops(t *testing.T) {
	for _, stopAt := range []time.Duration{0, 5 * time.Second} {
		for _, share := range []float64{0.5, 10} {
			for _, buffer := range []int{65535, 1 << 20, 6 << 20} {
				s := modelStream{system: "linux", buffer: buffer, fps: 30, size: 100_000, share: share, length: 30 * time.Second, changeAt: stopAt,
					change: func(s *modelStream, _ *modelPeer) { s.share = 0 }}
				s.run()
				most := modelTimeout
				if stopAt == 0 {
					most *= 2 // it is new
				}
				if d := s.dropped - stopAt; d < modelTimeout || d > most+4*time.Second {
					t.Errorf("%v: dropped %v after it stopped reading", &s, d)
				}
			}
		}
	}
}

// A buffer that becomes smaller looks like one that is not read.
func TestReaderBufferShrinks(t *testing.T) {
	for _, share := range []float64{0.5, 10} {
		for _, to := range []int{64 << 10, 200 << 10} {
			s := modelStream{system: "linux", buffer: 1 << 20, fps: 30, size: 100_000, share: share, length: 12 * time.Second, from: 6 * time.Second, changeAt: 6 * time.Second,
				change: func(_ *modelStream, p *modelPeer) { p.buffer, p.threshold = to, min(p.threshold, to) }}
			s.run()
			if want := 0.95 * min(share, 1) * s.fps; s.rate() < want || s.dropped != 0 {
				t.Errorf("%v, then %d: %.1f frames a second, want %.1f; dropped %v", &s, to, s.rate(), want, s.dropped)
			}
		}
	}
}

// Frames that a slow program has not read may not show in its window. It takes what is in its
// buffer one by one, and gives no sign until that is empty.
func TestReaderSlowsDown(t *testing.T) {
	for _, works := range []time.Duration{2 * time.Second, 5 * time.Second, 9 * time.Second} {
		for _, stream := range []modelStream{
			{fps: 30, size: 100_000, buffer: 65535, grows: 6 << 20},
			{fps: 30, size: 100_000, buffer: 1 << 20},
			{fps: 30, size: 20_000, buffer: 65535, grows: 6 << 20},
			{fps: 30, size: 20_000, buffer: 1 << 20},
		} {
			s := stream
			s.system, s.bursts, s.works, s.length, s.from = "linux", true, time.Millisecond, 40*works, 24*works
			s.changeAt, s.change = 3*time.Second, func(s *modelStream, _ *modelPeer) { s.works = works }
			s.run()
			if s.dropped != 0 {
				t.Errorf("%v: dropped after %v", &s, s.dropped)
			}
			if old := s.age(0.95); old > 200*time.Millisecond || s.rate() < 0.9/works.Seconds() {
				t.Errorf("%v: a frame is %v old, %.2f frames in %v", &s, old, s.rate()*works.Seconds(), works)
			}
		}
	}
}
