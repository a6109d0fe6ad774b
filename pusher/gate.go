package pusher

import (
	"math"
	"math/bits"
	"time"
)

// The gate says when a viewer may hand its next frame to TCP: late enough that
// the frame is still fresh when the link takes it, early enough that the link
// never runs dry. The rule is
//
//	unsent bytes ≤ gateUnsent  and  unsent + in flight ≤ rate × (base round trip + gateQueue)
//
// with the rate that this connection itself reached lately. Simpler rules do worse: the
// kernel's own delivery rate is stale after a drop, its smoothed round trip overshoots
// in slow start, and a limit in bytes alone starves long round trips. The constants were
// chosen by measuring 53 conditions; small changes to them make no difference.
const (
	// gateUnsent keeps stale bytes out of the socket buffer while the congestion window
	// is what limits, and not the link.
	gateUnsent = 16 << 10
	// gateFloor bytes, or gateFloorSegments if that is more (on loopback a segment has
	// 64 KB), may always be on their way, so that a connection of unknown rate can
	// begin.
	gateFloor         = 8 << 10
	gateFloorSegments = 2
	// gateQueue is how much may wait at the bottleneck. Without a queue the link would
	// be idle whenever a check comes a little late.
	gateQueue = 5 * time.Millisecond

	// A frame that the link has kept waiting waits for the camera's next one, too, if that
	// comes within gateSoon: what the viewer gets is younger then, by 5 ms at 30 frames a
	// second, and the link has gateQueue to send meanwhile. gateLate is how late the next
	// one may come.
	gateSoon = 2 * gateQueue
	gateLate = 2 * time.Millisecond

	// The rate is the peak over slices of this window and the one before it; a
	// window is at least gateWindow and one round trip. A slice is at least
	// gateSlice, longer than bursts of acknowledgements, and gateSliceSegments,
	// because these come two at a time: a slice of four has six at its peak, and
	// half as much again on its way is 100 ms of queue at a round trip of 200.
	// It is no longer than gateWindow.
	gateSlice         = 25 * time.Millisecond
	gateSliceSegments = 16
	gateWindow        = 250 * time.Millisecond

	// If the round trip has risen, the gate lets too few bytes through and starves the
	// link. That shows when the gate is closed often, gateStarvedChecks a second, and yet
	// the mean rate is below gateStarvedShare of the peak. Then the base round trip is
	// measured again, every gateProbe at most: the link drains, the first segments of a
	// frame are sent, and the rest waits until they are acknowledged. While the result
	// differs from the kernel's minimum, it is measured again every gateProbeLife,
	// because the round trip may have fallen. To go back to the minimum instead would
	// starve the link each time.
	gateStarvedChecks = 5
	gateStarvedShare  = 0.8
	gateProbe         = 5 * time.Second
	gateProbeLife     = 3 * gateProbe
	// gateSampleTime ends a measurement that nothing answers.
	gateSampleTime = 2 * time.Second
	// gateSamplePoll is how often the gate is asked while a round trip is measured, and
	// so how exact the result is. It has to be finer than gateQueue.
	gateSamplePoll = time.Millisecond

	// A closed gate is asked again when the excess should be gone. gateMinWait saves
	// wake-ups, which cost more than the check. gateMaxWait is for a link that has become
	// faster: it would run dry in a longer time.
	gateMinWait = 4 * time.Millisecond
	gateMaxWait = 10 * time.Millisecond

	// A link is lossy, for good, when at least gateLossySegments were sent again in each
	// of gateLossySeconds of the last gateLossyWindow. Because of the gate, no queue
	// overflows, so a lost segment does not mean that the link is full. Cubic takes it for
	// that, and BBR does not: at 12 Mbit/s with 2 % of loss BBR carries 14 frames a
	// second, cubic 4. On other links the kernel's own is better, because BBR needs 10 s
	// to believe in a round trip that rose. And BBR does not slow down when it overflows
	// a small buffer itself, which gateLossyPace prevents.
	gateLossySegments = 2
	gateLossySeconds  = 3
	gateLossyWindow   = 10 // seconds
	gateLossyPace     = 1.25

	// gatePace times the rate is how fast a frame may leave while the link limits. With
	// 1.5 frames would be slower than needed where there is bandwidth to spare, with 3
	// they would burst into the bottleneck's buffer.
	gatePace = 2
	// gateMinPace is the least pacing rate, in bytes per second, so that a rate that was
	// measured across an outage does not choke the frame after it.
	gateMinPace = 125_000

	// unpaced is the pacing rate that means none, as SO_MAX_PACING_RATE has it.
	unpaced = math.MaxUint32
)

// tcpInfo is what the gate needs of Linux's struct tcp_info.
type tcpInfo struct {
	// Full says that all fields up to Peer are known. A unix socket and an old kernel
	// tell only Unsent.
	Full bool
	// Closed says that the connection is dead (TCP_CLOSE).
	Closed bool
	// PeerClosed says that the peer has closed its end, or the connection is dead.
	PeerClosed bool
	MSS        uint32 // bytes in a segment
	Unacked    uint32 // segments sent and not acknowledged
	Sacked     uint32 // of these, segments that arrived out of order
	Delivered  uint32 // segments that arrived, since the beginning; wraps around
	Unsent     uint32 // bytes in the socket buffer that were never sent
	// Retransmitted counts segments that were sent again, since the beginning;
	// wraps around.
	Retransmitted uint32
	MinRTT        time.Duration // the kernel's minimum over 5 minutes

	// Peer says that the fields below are known, which the peer tells of itself.
	Peer    bool
	Window  uint32        // bytes that it takes beyond those that it acknowledged
	Acked   uint64        // bytes that it acknowledged, since the beginning
	Sent    uint64        // bytes that were sent to it, each counted once
	LastAck time.Duration // since it last acknowledged anything
}

// outstanding is the number of segments that are on their way.
func (ti *tcpInfo) outstanding() uint32 {
	return ti.Unacked - min(ti.Sacked, ti.Unacked)
}

// verdict is what the gate says.
type verdict struct {
	open bool
	// wait is when to ask again if it is closed.
	wait time.Duration
	// pace is the pacing rate to set before the frame is written if it is open,
	// in bytes per second.
	pace uint32
}

// gate is the state of the rule for one connection. The zero value is ready.
// It knows no clock and no socket; it is not safe for concurrent use.
type gate struct {
	begun bool

	slice  mark
	window time.Duration // when this window began
	// peak and lastPeak are bytes per second in this window and the one before.
	peak, lastPeak float64

	second  mark
	closed  int    // checks in this second that found it closed
	starved bool   // in the last whole second
	resent  uint32 // tcpInfo.Retransmitted when this second began
	losses  uint32 // a bit for each of the last seconds, with losses or without
	lossy   bool

	// sampling is set while a round trip is measured: from the moment that the first
	// segments of a frame may go onto the drained link until they are acknowledged.
	sampling bool
	sample   mark          // when they left, and what Delivered must pass
	probed   time.Duration // when the last measurement ended
	base     time.Duration // what it gave, 0 for nothing

	limited bool // closed since it was last open: the link limits

	seen      time.Duration // the last check
	moved     time.Duration // when bytes last left
	delivered uint32        // at the last check
	queued    float64       // bytes at the last check
}

// mark is a reading of tcpInfo.Delivered.
type mark struct {
	at        time.Duration
	delivered uint32
}

// rate is the mean bytes per second from m until now, of segments of mss bytes.
func (m mark) rate(now time.Duration, ti *tcpInfo) float64 {
	return float64(ti.Delivered-m.delivered) * float64(ti.MSS) / (now - m.at).Seconds()
}

// check tells whether the next frame may be written at now, the time since any fixed
// moment. If the gate is open, the caller writes one frame at once. Otherwise the caller
// may check as often as it likes. The camera's next frame is expected at next, and interval
// is the time between two. If the gate is sampling after a yes, the caller writes
// only gateFloorSegments of the frame, checks every gateSamplePoll, and writes the rest
// when the gate is not sampling any more.
func (g *gate) check(now, next, interval time.Duration, ti *tcpInfo) verdict {
	queued := float64(ti.Unsent) + float64(ti.outstanding())*float64(ti.MSS)
	g.note(now, ti, queued)
	switch {
	case ti.Closed: // the write will say why
		g.sampling = false
		return verdict{open: true, pace: unpaced}
	case !ti.Full:
		if ti.Unsent > gateUnsent {
			return verdict{wait: gateMaxWait}
		}
		return verdict{open: true, pace: unpaced}
	}
	g.measureRate(now, ti)
	if g.measureBase(now, ti) {
		return verdict{wait: gateSamplePoll}
	}

	drain := g.starved && now-g.probed > gateProbe || g.base > ti.MinRTT && now-g.probed > gateProbeLife
	limit := g.limit(ti, drain)
	if ti.Unsent > gateUnsent || queued > limit {
		g.closed++
		g.limited = true
		return verdict{wait: gateWait(queued-limit, g.rate())}
	}
	if g.limited && next-now <= min(gateSoon, interval/3) && now < next+gateLate {
		return verdict{wait: max(next-now, gateSamplePoll)}
	}
	if drain {
		g.sampling, g.starved = true, false
		g.sample = mark{now, ti.Delivered + ti.outstanding() + gateFloorSegments}
	}
	v := verdict{open: true, pace: unpaced}
	if g.limited && g.rate() > 0 {
		pace := float64(gatePace)
		if g.lossy {
			pace = gateLossyPace
		}
		v.pace = uint32(min(max(pace*g.rate(), gateMinPace), unpaced))
	}
	g.limited = false
	return v
}

// idle is called instead of check while frames are held back for another reason than the
// link. Once nothing is on its way the rate says nothing about the link, and this time does
// not count. Until then it does: with small frames far away no rate at all would be known,
// and one frame be on its way at a time.
func (g *gate) idle(now time.Duration, ti *tcpInfo) {
	last := g.seen
	g.note(now, ti, float64(ti.Unsent)+float64(ti.outstanding())*float64(ti.MSS))
	if ti.Full && ti.outstanding() > 0 {
		g.measureRate(now, ti)
		return
	}
	g.window += now - max(last, g.window)
	g.slice = mark{now, ti.Delivered}
	g.second, g.closed, g.resent = g.slice, 0, ti.Retransmitted
	g.limited = false
}

// note keeps when bytes last left.
func (g *gate) note(now time.Duration, ti *tcpInfo, queued float64) {
	if !g.begun {
		g.begun = true
		g.slice = mark{now, ti.Delivered}
		g.second, g.resent = g.slice, ti.Retransmitted
		g.window, g.probed = now, now
	}
	if queued == 0 || queued < g.queued || ti.Delivered != g.delivered {
		g.moved = now
	}
	g.queued, g.delivered, g.seen = queued, ti.Delivered, now
}

// measureRate updates the peak rate, and whether the link is starved.
func (g *gate) measureRate(now time.Duration, ti *tcpInfo) {
	length := now - g.slice.at
	if length >= gateWindow || length >= gateSlice && ti.Delivered-g.slice.delivered >= gateSliceSegments {
		g.peak = max(g.peak, g.slice.rate(now, ti))
		g.slice = mark{now, ti.Delivered}
	}
	if now-g.window >= max(gateWindow, ti.MinRTT) {
		g.lastPeak, g.peak, g.window = g.peak, 0, now
	}
	if now-g.second.at > time.Second {
		g.starved = g.closed >= gateStarvedChecks && g.second.rate(now, ti) < gateStarvedShare*g.rate()
		g.losses <<= 1
		if ti.Retransmitted-g.resent >= gateLossySegments {
			g.losses |= 1
		}
		if bits.OnesCount32(g.losses&(1<<gateLossyWindow-1)) >= gateLossySeconds {
			g.lossy = true
		}
		g.second, g.closed, g.resent = mark{now, ti.Delivered}, 0, ti.Retransmitted
	}
}

// measureBase goes on with a measurement of the base round trip. It returns true while
// that has no result.
func (g *gate) measureBase(now time.Duration, ti *tcpInfo) bool {
	if !g.sampling {
		return false
	}
	took := now - g.sample.at
	switch {
	case int32(ti.Delivered-g.sample.delivered) >= 0:
		g.base = min(max(took, 0), gateSampleTime)
	case took < gateSampleTime:
		return true
	}
	g.sampling, g.probed = false, now
	return false
}

// rate is the peak rate in bytes per second, 0 before anything is known.
func (g *gate) rate() float64 { return max(g.peak, g.lastPeak) }

// limit is how many bytes may be on their way when a frame is handed over.
func (g *gate) limit(ti *tcpInfo, drain bool) float64 {
	segments := gateFloorSegments * float64(ti.MSS)
	if drain {
		return segments
	}
	return max(gateFloor, segments, g.rate()*(g.baseRTT(ti)+gateQueue).Seconds())
}

// baseRTT is the round trip of the link when nothing queues in it.
func (g *gate) baseRTT(ti *tcpInfo) time.Duration { return max(ti.MinRTT, g.base) }

// stalled is how long nothing has left although something was to be sent.
func (g *gate) stalled(now time.Duration) time.Duration { return now - g.moved }

// gateWait is how long an excess of bytes takes at rate, within its bounds.
func gateWait(excess, rate float64) time.Duration {
	if rate <= 0 {
		return gateMaxWait
	}
	return time.Duration(min(max(excess/rate, gateMinWait.Seconds()), gateMaxWait.Seconds()) * float64(time.Second))
}
