package pusher

import (
	"math"
	"time"
)

// The reader is what the gate knows of the program at the other end: whether it has
// read nearly all that it was sent. Frames that wait in its receive buffer grow old
// where the link's gate cannot see them: they are acknowledged.
//
// TCP tells the room that is left in that buffer, its window. But a Linux peer tells
// it only with an acknowledgement, or when it can double (tcp_cleanup_rbuf), and what
// is unread is hidden while the room exceeds a threshold (rcv_ssthresh): up to 1 MB
// was. So the window only shows that a reader is slow. Whether a slow one wants the
// next frame, it is asked: a byte of the next part's header goes ahead. Linux
// acknowledges such a small segment at once when its reader has emptied the buffer,
// else after 40 ms at the earliest.
//
// Where a round trip is long beside the time that a frame takes to be read, to wait for
// the answer would leave the reader idle: there the next frame goes when the one before
// should be read, and the answers only correct that time.
//
// Whoever does not answer, because its system has other rules or something on the way
// acknowledges for it, gets its frames as if nothing was known of it.
const (
	// readerWindow: the window of an empty buffer is its maximum of this window and the
	// one before.
	readerWindow = time.Second
	// readerQuick is less than anybody's delayed acknowledgement: an answer within it,
	// and a round trip, says that the buffer is empty.
	readerQuick = 30 * time.Millisecond
	// readerWaited: an answer within it comes of a reader that had been waiting.
	readerWaited = 4 * time.Millisecond
	// readerSilence is how long nothing is said at most. After 200 ms Linux answers
	// at once, whatever was read.
	readerSilence = 100 * time.Millisecond
	// readerGap is how long before a frame its question goes where frames do not wait
	// for answers: the answer tells how late the frame was.
	readerGap = 20 * time.Millisecond
	// readerEarly is how early such a frame is meant to be: an idle reader costs frames.
	readerEarly = 8 * time.Millisecond
	// readerTrust is how long frames go at these times without an answer at most.
	readerTrust = 300 * time.Millisecond
	// readerNear is the longest round trip after which a reader is waited for in any case.
	readerNear = 2 * time.Millisecond
	// readerPatience is how long a frame waits for the answer to a question, and twice as
	// long again each time it was in vain.
	readerPatience = 250 * time.Millisecond
	// readerDeaf is how long all in all it was in vain until a peer is deaf. An answer
	// makes up for an eighth of the time that its frame took.
	readerDeaf = 3500 * time.Millisecond
	// readerInsists is how often in a row a peer must say that it has read all until it
	// is believed although its window says otherwise.
	readerInsists = 8
	// readerFast is how often in a row a reader has been waiting when the next frame is
	// there until it is not slow any more.
	readerFast = 3
	// readerPoll is how often the answer to a question is looked for, at first.
	readerPoll = 2 * time.Millisecond
	// readerMaxQuestions bounds the bytes that go ahead of one frame; 10 s take 120.
	readerMaxQuestions = 200
)

// reader is the state of the rule for one connection. The zero value is ready. It knows
// no clock and no socket; it is not safe for concurrent use.
type reader struct {
	deaf bool // does not answer
	slow bool // has had frames unread: it is asked before it gets another

	begun          bool
	full, lastFull uint32 // the window of an empty buffer: the most in this readerWindow, and the one before
	window         time.Duration
	unread         uint32        // as the window says
	edge           uint64        // what the peer said last that it will take
	progress       time.Duration // when the peer last showed that it reads
	pause          time.Duration // and the longest time in between, of late
	noted          time.Duration

	frames   uint32 // sent
	size     uint32 // bytes of the last one
	sentAt   time.Duration
	interval time.Duration // between two
	drained  bool          // it was read

	asks  [8]question
	open  int           // of asks
	asked int           // for this frame
	askAt time.Duration // when to ask next
	last  time.Duration // when it was asked or sent something
	delay time.Duration // from a frame to its first question

	takes   time.Duration // from one frame until the next is wanted; 0 is not known
	later   time.Duration // that, once: the last frame came before its time
	waiting int           // how often in a row the reader had been waiting
	ahead   int           // frames sent since an answer said that one was read
	waits   int           // how often in a row an answer was waited for in vain
	vain    time.Duration // in all, less a share of what was answered
	insists int           // how often in a row it said that it has read all, and its window did not
	fast    int           // how often in a row it was waiting when the next frame was there
}

// question is a byte that was sent ahead of a frame.
type question struct {
	frame  uint32        // how many were sent before
	sentAt time.Duration // and when the last of them was
	at     time.Duration
	end    uint64 // what tcpInfo.Acked is when it is acknowledged, and nothing behind it
}

const never = time.Duration(math.MaxInt64)

// empty is the window of an empty buffer.
func (r *reader) empty() uint32 { return max(r.full, r.lastFull) }

// noise is how many unread bytes cannot be told from none.
func (r *reader) noise(ti *tcpInfo) uint32 {
	w := r.empty()
	return min(max(w/64, min(2*ti.MSS, w/8), 4096), w/4)
}

// much says whether more is unread than a fast reader ever leaves: an acknowledgement
// is sent before what it acknowledges can be read. More than half of the window is
// truly unread: else the peer would have said that it can double.
func (r *reader) much(ti *tcpInfo) bool {
	return uint64(r.unread) >= min(uint64(r.size)*3/2, uint64(r.empty())/2)+uint64(r.noise(ti))
}

// far says that to wait for an answer costs more than a little of a frame's time.
func (r *reader) far(ti *tcpInfo) bool {
	return r.takes > 0 && ti.MinRTT > max(r.takes/32, readerNear)
}

// note takes in what ti says at now.
func (r *reader) note(now time.Duration, ti *tcpInfo) {
	if !r.begun {
		r.begun, r.window, r.progress = true, now, now
	}
	if now-r.window > readerWindow && (!r.slow || r.unread <= r.noise(ti)) {
		r.lastFull, r.full, r.window = r.full, 0, now
	}
	r.full = max(r.full, ti.Window)
	r.unread = r.empty() - ti.Window
	if edge := ti.Acked + uint64(ti.Window); edge > r.edge+2*readerMaxQuestions { // the questions alone move it too
		r.edge = edge
		r.reads(now)
	}
	if now-r.noted > time.Second { // it was not looked at
		r.progress = now
	}
	heard := max(now-ti.LastAck, r.noted) // LastAck may be 4 ms coarse
	r.noted = now
	for r.open > 0 && ti.Acked >= r.asks[0].end {
		q := r.asks[0]
		r.open = copy(r.asks[:], r.asks[1:r.open])
		r.answer(q, now, heard, ti)
	}
}

// forget takes the window as it is for that of an empty buffer.
func (r *reader) forget(now time.Duration, ti *tcpInfo) {
	r.full, r.lastFull, r.window, r.unread = ti.Window, 0, now, 0
}

// reads notes that the peer reads.
func (r *reader) reads(now time.Duration) {
	r.pause = max(r.pause*7/8, now-max(r.progress, r.sentAt))
	r.progress = now
}

// answer takes in that the peer has acknowledged q, and that it was heard then.
func (r *reader) answer(q question, now, heard time.Duration, ti *tcpInfo) {
	took := heard - ti.MinRTT - q.sentAt // until the next frame was wanted
	quick := heard-q.at < ti.MinRTT+readerQuick
	if !quick || r.unread <= r.noise(ti) {
		r.insists = 0
	} else if r.insists++; r.insists >= readerInsists { // its buffer has become smaller
		r.forget(now, ti)
	}
	switch {
	case ti.Acked > q.end: // the next frame came before it could answer
		if q.frame != r.frames {
			r.waiting = 0
			r.takes += r.takes / 64
			r.later = r.takes / 16
		}
		return
	case !quick || r.unread > r.noise(ti):
		if r.askAt == never && q.frame == r.frames {
			r.askAt = now + min((now-r.sentAt)/16, readerSilence)
		}
		return
	}
	r.reads(now)
	r.waits, r.vain = 0, max(r.vain-took/8, 0)
	r.ahead = int(r.frames - q.frame)
	r.drained = r.ahead == 0
	waited := heard-ti.MinRTT-q.at < readerWaited
	switch took = max(took, time.Millisecond); {
	case !r.far(ti):
		r.takes = took
	case waited && r.waiting > 3+int(ti.MinRTT/r.takes):
		r.takes = min(r.takes-r.takes/8, took)
	case waited:
		r.waiting++
		r.takes -= r.takes / 32
	default:
		r.waiting = 0
		r.takes += (took - readerEarly - r.takes) / 8
	}
	// Ask as late as does not make it wait: who takes a frame at once and then
	// works must not find the question, and answer it, together with the frame.
	if waited {
		r.delay = (q.at - q.sentAt) * 3 / 4
	} else {
		r.delay = min(r.delay+took/16, readerSilence)
	}
	if waited && took < r.interval*5/4 && (!r.far(ti) || r.takes < r.interval*3/4) {
		if r.fast++; r.fast >= readerFast {
			r.slow = false
		}
	} else {
		r.fast = 0
	}
}

// check says whether the reader may be sent another frame, and if not, how long to wait
// before asking again.
func (r *reader) check(now, timeout time.Duration, ti *tcpInfo) (wait time.Duration, ok bool) {
	bound := r.size / 2 // so small a window bounds the age by itself
	if ti.MinRTT > readerNear {
		bound = r.size // its ups and downs on the way say too little
	}
	if r.size == 0 || r.deaf || r.empty() < bound {
		r.slow = false
		return 0, true
	}
	if !r.slow {
		if !r.much(ti) {
			return 0, true
		}
		r.slow, r.fast, r.takes, r.delay, r.askAt, r.progress, r.pause, r.waiting = true, 0, 0, 0, now, now, 0, math.MaxInt32
	}
	if r.drained {
		return 0, true
	}
	if r.far(ti) && r.ahead <= 3+int((ti.MinRTT+readerTrust)/r.takes) && !r.much(ti) && now >= r.sentAt+r.takes+r.later {
		return 0, true
	}
	most := timeout * 19 / 20 // a peer that read nothing until then would be dropped
	patience := max((readerPatience+4*ti.MinRTT)<<r.waits, 3*r.pause)
	if r.unread > r.noise(ti) {
		patience = most
	}
	patience = min(patience, most)
	if now-max(r.sentAt, r.progress) >= patience {
		r.forget(now, ti)
		r.waits = min(r.waits+1, 2)
		r.vain += min(patience, time.Second)
		r.deaf = r.vain >= readerDeaf
		r.drained = true
		return 0, true
	}
	return min(max(readerPoll, (now-r.sentAt)/64), gateMaxWait), false
}

// stalled is how long the peer has read nothing although a frame waits.
func (r *reader) stalled(now time.Duration) time.Duration { return now - r.progress }

// listens says whether an answer would be missed until there is another frame: the one
// that is on its way hides it.
func (r *reader) listens(ti *tcpInfo) bool { return r.slow && r.open > 0 && r.far(ti) }

// sent is told that a frame of size bytes is handed over, and the time between two.
func (r *reader) sent(now time.Duration, size int, interval time.Duration, ti *tcpInfo) {
	r.interval = interval
	r.frames++
	r.ahead++
	r.later = 0
	r.size, r.sentAt, r.last, r.drained, r.asked = uint32(size), now, now, false, 0
	r.askAt = now + r.delay
	if r.far(ti) {
		r.askAt = now + r.takes - min(r.takes/2, readerGap)
	}
}

// wants says whether to ask the reader now.
func (r *reader) wants(now time.Duration, ti *tcpInfo) bool {
	if !r.slow || r.drained || r.asked >= readerMaxQuestions || r.open == len(r.asks) || ti.Unsent > 0 {
		return false
	}
	solo := r.open == 0 && ti.Acked == ti.Sent
	return now >= r.askAt && (solo || r.far(ti)) || solo && now-r.last >= readerSilence && r.askAt-now > 2*readerQuick
}

// ask is told that a question was sent, after which ti was read.
func (r *reader) ask(now time.Duration, ti *tcpInfo) {
	r.asks[r.open] = question{r.frames, r.sentAt, now, ti.Sent + uint64(ti.Unsent)}
	r.open++
	r.asked++
	r.last = now
	if now >= r.askAt {
		r.askAt = never
	}
}
