package pusher

import (
	"math"
	"time"
)

// The reader is what is known of the program at the other end: whether it has read
// nearly all that it was sent. Frames that it has not read wait in its system's receive
// buffer and grow old there. The gate does not see that, because they are acknowledged.
//
// TCP tells the room that is left in that buffer: its window. But Linux tells it only
// with an acknowledgement, or when the window can double (tcp_cleanup_rbuf). And unread
// bytes do not show while the room exceeds a threshold (rcv_ssthresh); up to 1 MB were
// hidden so. So the window shows only that a reader is slow. A slow reader is asked
// whether it wants the next frame, by a byte of the next part's header that is sent
// ahead. Linux acknowledges such a small segment at once if its program has emptied the
// buffer, and otherwise after 40 ms at the earliest.
//
// If the round trip is long, compared with the time that the reader takes for a frame,
// the reader would be idle while its answer is waited for. Then the next frame is sent
// when the one before should have been read, and the answers only correct that time.
//
// Some peers do not answer like that, because their systems have other rules or because
// a proxy acknowledges for them. They get their frames as if nothing was known of them.
const (
	// readerWindow is a span of time. The window of an empty buffer is taken to be the
	// largest window in this span and the one before.
	readerWindow = time.Second
	// readerQuick, beyond a round trip, is the longest time for an answer that means that
	// the buffer is empty. It is less than anybody's delayed acknowledgement.
	readerQuick = 30 * time.Millisecond
	// readerWaited, beyond a round trip, is the longest time for an answer of a reader
	// that had emptied its buffer before it was asked.
	readerWaited = 4 * time.Millisecond
	// readerSure is how long a program must take for a frame that it is asked twice. What it
	// reads when it comes back may be the frame that lay in its buffer and the question with
	// it, and then it is busy again. Only one that waits answers the second question, too.
	readerSure = 250 * time.Millisecond
	// readerSilence is the longest time without a byte for a slow reader. After 200 ms
	// of silence Linux would answer at once, whatever was read.
	readerSilence = 100 * time.Millisecond
	// readerGap is how long before the next frame a question is sent if frames do not
	// wait for answers. The answer then tells how late the frame was. It doubles while the
	// reader turns out to have waited already, so that it is found out since when.
	readerGap = 20 * time.Millisecond
	// readerEarly is how long before it should be wanted such a frame goes after an answer,
	// because a reader that is idle meanwhile could have taken more frames. But only a
	// question that a reader waits with is answered before the next frame. So each frame
	// goes readerStep later than the one before, and after some without an answer by more
	// each time, until there is one.
	readerEarly = 8 * time.Millisecond
	readerStep  = 2 * time.Millisecond
	// readerTrust is the longest time for which such frames are sent without an answer.
	readerTrust = 300 * time.Millisecond
	// readerNear is a round trip so short that little is on its way: what the peer tells is
	// true.
	readerNear = 2 * time.Millisecond
	// readerPatience is how long a frame waits for an answer. It doubles each time that no
	// answer comes.
	readerPatience = 250 * time.Millisecond
	// readerBacklog times the pause that a reader makes between two frames is also how long a
	// frame waits, because so many of them may be in its buffer.
	readerBacklog = 3
	// readerDeaf is after how much waiting in vain, all in all, a peer counts as one that
	// does not answer. Each answer takes off an eighth of the time that its frame took.
	readerDeaf = 3500 * time.Millisecond
	// readerInsists is how often in a row a peer must answer that it has read everything
	// until it is believed, if its window says otherwise.
	readerInsists = 8
	// readerFast is how often in a row a slow reader must have been waiting for the next
	// frame until it is not slow any more.
	readerFast = 3
	// readerFirst is how many frames go to a new reader with more care: each waits until
	// the one before is acknowledged, if the reader is near, and half a frame unread is too
	// much. The buffer of a new reader is small, and all of it can be full before the
	// window shows that. If it is, a program that takes a frame every 9 s gives no sign
	// when it takes the first of the two in it: its window stays closed, because they share
	// memory there. So it may take twice as long.
	readerFirst = 4
	// readerPoll is how often the answer to a question is looked for, at first.
	readerPoll = 2 * time.Millisecond
	// readerMaxQuestions bounds the bytes that go ahead of one frame; 10 s take 120.
	readerMaxQuestions = 500
	// readerMaxPatience is how long a frame waits at most. There are questions for longer.
	readerMaxPatience = readerMaxQuestions * readerSilence * 3 / 5
)

// reader is the state of the rule for one connection. The zero value is ready. It knows
// no clock and no socket; it is not safe for concurrent use.
type reader struct {
	deaf bool // it does not answer questions
	slow bool // it has left frames unread, and is asked before it gets another

	begun          bool
	full, lastFull uint32        // the largest window in this readerWindow, and in the one before
	window         time.Duration // when this readerWindow began
	unread         uint32        // bytes, as the window says
	edge           uint64        // up to which byte the peer has said that it takes
	progress       time.Duration // when the peer last showed that it reads
	pause          time.Duration // the longest time between two such moments, of late
	noted          time.Duration // the last note

	frames   uint32 // sent
	size     uint32 // bytes of the last one
	sentAt   time.Duration
	interval time.Duration // between two
	drained  bool          // the last one was read
	answered bool          // it has answered a question since, and is asked again; see readerSure

	asks  [8]question
	open  int           // how many of asks wait for an answer
	asked int           // how many questions were sent since the last frame
	askAt time.Duration // when to ask next
	last  time.Duration // when it was last sent anything
	delay time.Duration // from a frame to its first question

	takes   time.Duration // from one frame until the next is wanted; 0 is not known
	want    time.Duration // when the next frame should be sent so that it comes when it is wanted
	early   time.Duration // how long before that it goes
	waiting int           // how many answers in a row came from a reader that had been waiting
	ahead   int           // frames sent since the last one that is known to be read
	waits   int           // how many times in a row an answer was waited for in vain
	vain    time.Duration // how long in all; see readerDeaf
	insists int           // see readerInsists
	fast    int           // see readerFast
}

// question is a byte that was sent ahead of a frame.
type question struct {
	frame  uint32        // how many frames were sent before it
	sentAt time.Duration // when the last of them was sent
	at     time.Duration // when the question was sent
	want   time.Duration // what reader.want was then, as corrected since
	next   time.Duration // when the next frame was sent, 0 before that
	end    uint64        // what tcpInfo.Acked is when the question is acknowledged
}

const never = time.Duration(math.MaxInt64)

// empty is the window of an empty buffer.
func (r *reader) empty() uint32 { return max(r.full, r.lastFull) }

// noise is the number of bytes up to which unread does not mean anything.
func (r *reader) noise(ti *tcpInfo) uint32 {
	w := r.empty()
	return min(max(w/64, min(2*ti.MSS, w/8), 4096), w/4)
}

// much tells whether more is unread than a fast reader ever leaves. Such a reader may
// show a whole frame as unread, because an acknowledgement is sent before what it
// acknowledges can be read. But if more than half of the window shows as unread, it is:
// otherwise the peer would have said that its window can double.
func (r *reader) much(ti *tcpInfo) bool {
	if r.isNew() {
		return r.unread >= min(r.size, r.empty())/2
	}
	return uint64(r.unread) >= min(uint64(r.size)*3/2, uint64(r.empty())/2)+uint64(r.noise(ti))
}

// far tells whether to wait for an answer takes more than a little of the time that the
// reader needs for a frame. A frame for which the window is too small is not sent whole, and
// so nothing is known of when it comes.
func (r *reader) far(ti *tcpInfo) bool {
	return r.takes > 0 && ti.MinRTT > max(r.takes/48, readerNear/4) && r.empty() >= r.size
}

// note takes notice of what ti says at now.
func (r *reader) note(now time.Duration, ti *tcpInfo) {
	if !r.begun {
		r.begun, r.window, r.progress = true, now, now
	}
	if now-r.window > readerWindow && (!r.slow || r.unread <= r.noise(ti)) && !r.closed(ti) {
		r.lastFull, r.full, r.window = r.full, 0, now
	}
	r.full = max(r.full, ti.Window)
	r.unread = r.empty() - ti.Window
	if edge := ti.Acked + uint64(ti.Window); edge > r.edge+2*readerMaxQuestions { // by more than questions move it
		r.edge = edge
		r.reads(now)
	}
	if now-r.noted > time.Second { // meanwhile nobody looked whether it reads
		r.progress = now
	}
	heard := max(now-ti.LastAck, r.noted) // LastAck may be wrong by 4 ms, and the answer was not there before
	r.noted = now
	// Of several questions after a frame that are answered together, the first one may have
	// been acknowledged because its time was over.
	for first := r.asks[0]; r.open > 0 && ti.Acked >= r.asks[0].end; {
		q := r.asks[0]
		r.open = copy(r.asks[:], r.asks[1:r.open])
		if q.frame != first.frame {
			first = q
		}
		r.answer(q, first.at, now, heard, ti)
	}
}

// closed tells whether the buffer is full.
func (r *reader) closed(ti *tcpInfo) bool { return ti.Window < min(ti.MSS, r.empty()/4) }

// forget takes the present window for that of an empty buffer.
func (r *reader) forget(now time.Duration, ti *tcpInfo) {
	r.full, r.lastFull, r.window, r.unread = ti.Window, 0, now, 0
}

// reads notes that the peer has read something.
func (r *reader) reads(now time.Duration) {
	r.pause = max(r.pause*7/8, now-max(r.progress, r.sentAt))
	r.progress = now
}

// answer notes that the peer has acknowledged q. heard is when that came, and first when
// the first question was sent that it may be an answer to.
func (r *reader) answer(q question, first, now, heard time.Duration, ti *tcpInfo) {
	took := heard - ti.MinRTT - q.sentAt // until the next frame was wanted
	quick := heard-first < ti.MinRTT+readerQuick
	if !quick || r.unread <= r.noise(ti) {
		r.insists = 0
	} else if r.insists++; r.insists >= readerInsists { // its buffer has become smaller
		r.forget(now, ti)
	}
	switch {
	case ti.Acked > q.end: // the next frame came before it could answer
		if r.open == 0 {
			r.waiting = 0
		}
		r.correct(max(q.next-q.want, 0), 4, ti)
		return
	case !quick || r.unread > r.noise(ti): // it was acknowledged before the frame was read
		r.waiting, r.answered = 0, false
		r.correct(max(q.sentAt+took-q.want, 0), 4, ti)
		if r.askAt == never && q.frame == r.frames {
			r.askAt = now
			if !quick {
				r.askAt += min((now-r.sentAt)/16, readerSilence)
			}
		}
		return
	}
	r.reads(now)
	r.waits, r.vain = 0, max(r.vain-took/8, 0)
	r.ahead = int(r.frames - q.frame)
	if r.answered {
		r.drained, r.answered = r.ahead == 0, false
		return
	}
	if r.answered = took > readerSure && r.ahead == 0 && !r.far(ti); r.answered {
		r.askAt = now
	}
	r.drained = r.ahead == 0 && !r.answered
	waited := heard-ti.MinRTT-q.at < readerWaited
	took = max(took, time.Millisecond)
	if r.far(ti) {
		d := max(q.sentAt+took, q.next) - q.want
		if waited { // nobody knows for how long
			d = min(d, 0)
		}
		r.correct(d, 8, ti)
		if waited && took < r.takes || took < r.takes*3/4 {
			r.takes = took
		}
	} else {
		r.takes, r.want = took, q.sentAt+took
	}
	r.early = readerEarly
	if r.waiting++; !waited {
		r.waiting = 0
	}
	// A question should be there a little before the program wants the next frame, and not
	// with the frame before it: one that takes a frame at once and then works would answer
	// long before that.
	switch {
	case !waited:
		r.delay = took - max(readerQuick/2, took/16)
	case r.waiting > 1:
		r.delay = (q.at - q.sentAt) * 3 / 4
	default: // the delay itself may be longer by far, after frames that lay in the buffer
		r.delay = min(r.delay, q.at-q.sentAt) - readerQuick/2
	}
	r.delay = max(r.delay, 0)
	if waited && took < r.interval*5/4 && (!r.far(ti) || r.takes < r.interval*3/4) {
		if r.fast++; r.fast >= readerFast {
			r.slow = false
		}
	} else {
		r.fast = 0
	}
}

// correct is told that the reader wants its frames later by d than was expected, if frames
// do not wait for answers. One part in share of d is taken for a change of takes, and more
// of it if d is only known to be the least: each frame that is early lies behind the others.
func (r *reader) correct(d, share time.Duration, ti *tcpInfo) {
	if !r.far(ti) {
		return
	}
	r.want += d
	for i := range r.asks[:r.open] {
		r.asks[i].want += d
	}
	r.takes = max(r.takes+d/share, time.Millisecond)
}

// check tells whether the reader may be sent another frame, and if not, how long to wait
// before checking again. The camera's next frame is expected at next.
func (r *reader) check(now, next, timeout time.Duration, ti *tcpInfo) (wait time.Duration, ok bool) {
	// A small window bounds the age by itself, and far away its changes tell too little.
	bound := r.size / 2
	if ti.MinRTT > readerNear {
		bound = r.size
	}
	if r.size == 0 || r.deaf || r.empty() < bound {
		r.slow = false
		return 0, true
	}
	if !r.slow {
		full := r.closed(ti) && now-r.sentAt > readerSilence
		if r.isNew() && ti.MinRTT <= readerNear && (ti.Unsent > 0 || ti.Acked < ti.Sent) && !full {
			return readerPoll, false
		}
		if !r.much(ti) {
			return 0, true
		}
		r.slow, r.fast, r.takes, r.delay, r.askAt, r.progress, r.pause, r.waiting = true, 0, 0, 0, now, now, 0, 4
	}
	if r.drained {
		return 0, true
	}
	poll := min(max(readerPoll, (now-r.sentAt)/64), gateMaxWait)
	if r.open > 0 && now-r.asks[0].at < readerQuick { // the reader may be waiting
		poll = readerPoll / 2
	}
	if r.far(ti) && r.ahead <= 3+int((ti.MinRTT+readerTrust)/r.takes) && !r.much(ti) {
		if due := r.want - r.early - now; due > 0 {
			return min(poll, due), false
		}
		if next <= r.want && now < min(r.want, next+readerStep) { // the one that comes is in time, too
			return min(poll, max(next-now, readerPoll/4)), false
		}
		return 0, true
	}
	// Of a program that takes what is in its buffer one by one, nothing is heard until that
	// is empty, unless its window shows it. A frame that does not wait for that lies behind
	// the others, for good.
	patience := max((readerPatience+4*ti.MinRTT)<<r.waits, readerBacklog*r.pause)
	if r.unread > r.noise(ti) {
		patience = timeout * 19 / 20 // a little before a peer that reads nothing is dropped
		if r.isNew() {
			patience *= 2
		}
	}
	patience = min(patience, readerMaxPatience)
	if now-max(r.sentAt, r.progress) >= patience {
		r.forget(now, ti)
		r.waits = min(r.waits+1, 2)
		r.vain += min(patience, time.Second)
		r.deaf = r.vain >= readerDeaf
		r.drained = true
		return 0, true
	}
	return poll, false
}

// stalled is how long the peer has left unread what its window shows, for a link on which a
// frame waits.
func (r *reader) stalled(now time.Duration, ti *tcpInfo) time.Duration {
	if r.deaf || r.unread <= r.noise(ti) {
		return 0
	}
	return now - r.progress
}

// isNew tells whether it has been sent only the first frames.
func (r *reader) isNew() bool { return r.frames < readerFirst }

// listens tells whether an answer has to be looked for although there is no new frame.
// With the next frame on its way, it could not be told from that one's acknowledgement.
func (r *reader) listens(ti *tcpInfo) bool { return r.slow && r.open > 0 && r.far(ti) }

// sent is told that a frame of size bytes is handed to TCP, and the time between two
// frames.
func (r *reader) sent(now time.Duration, size int, interval time.Duration, ti *tcpInfo) {
	r.interval = interval
	r.frames++
	r.ahead++
	r.size, r.sentAt, r.last, r.drained, r.answered, r.asked = uint32(size), now, now, false, false, 0
	for i := range r.asks[:r.open] {
		if q := &r.asks[i]; q.next == 0 {
			q.next = now
		}
	}
	r.want = max(r.want, now) + r.takes
	r.askAt = now + r.delay
	if r.far(ti) {
		r.early -= readerStep * time.Duration(max(1, r.ahead-int(ti.MinRTT/r.takes)-4))
		r.askAt = max(now, r.want-r.early-min(r.takes/2, readerGap<<min(r.waiting, 4)))
	}
}

// wants tells whether to ask the reader now.
func (r *reader) wants(now time.Duration, ti *tcpInfo) bool {
	if !r.slow || r.drained || r.asked >= readerMaxQuestions || r.open == len(r.asks) || ti.Unsent > 0 {
		return false
	}
	solo := r.open == 0 && ti.Acked == ti.Sent
	return now >= r.askAt && (solo || r.far(ti)) || solo && now-r.last >= readerSilence && r.askAt-now > 2*readerQuick
}

// ask is told that a question was sent, after which ti was read.
func (r *reader) ask(now time.Duration, ti *tcpInfo) {
	r.asks[r.open] = question{r.frames, r.sentAt, now, r.want, 0, ti.Sent + uint64(ti.Unsent)}
	r.open++
	r.asked++
	r.last = now
	if now >= r.askAt {
		r.askAt = never
	}
}
