// Package bottleneck is a slow link on one machine: two network namespaces
// whose packets pass through this process, which limits, queues, loses and
// delays them. Unlike the kernel's netem it needs no kernel module, and it
// knows when it was itself too late to be believed.
package bottleneck

import (
	"math/rand/v2"
	"time"
)

// Path is what a Link does to packets. Rate, Buffer and Loss are for packets from the
// server to the client. Those in the other direction are only delayed.
type Path struct {
	Rate   float64       // bits per second, with Ethernet headers; 0 for no limit
	Buffer int           // bytes that wait for the rate at most; the rest is dropped
	RTT    time.Duration // without any queue
	Loss   float64       // share of data packets that is lost at random, 0 to 1
}

// BufferFor is the size in bytes of a buffer that takes d to empty at rate bits per
// second.
func BufferFor(rate float64, d time.Duration) int { return int(rate / 8 * d.Seconds()) }

const (
	// etherHeader is the size of the header that a packet has on a wire and not in a
	// TUN device.
	etherHeader = 14
	// minBuffer is 8 full packets: less is a broken link, not a slow one.
	minBuffer = 8 * 1500
	// maxAir bounds the packets that are under way at a time. No TCP window is as
	// large.
	maxAir = 1 << 16
	// lossless is the size in bytes of packets that are never lost at random:
	// handshakes and acknowledgements, so that a connection always begins.
	lossless = 200
)

// line is one direction of a link: random loss, a queue that empties at the
// rate, then a constant delay. Times are since any fixed moment. Packets keep
// their order.
type line struct {
	rate   float64
	buffer int
	delay  time.Duration
	loss   float64
	rand   *rand.Rand

	queue  fifo          // behind the packet that is on the wire
	queued int           // bytes in the queue
	free   time.Duration // when the wire is free for the next packet of the queue
	air    fifo          // packets on their way, with the time at which they arrive
}

type packet struct {
	data []byte
	at   time.Duration
}

// push takes over the packet p at now. It returns false if p is dropped.
func (l *line) push(now time.Duration, p []byte) bool {
	l.advance(now)
	switch {
	case l.loss > 0 && len(p) > lossless && l.rand.Float64() < l.loss:
		return false
	case l.queue.len()+l.air.len() >= maxAir:
		return false
	case l.rate == 0 && l.queue.len() == 0:
		l.air.push(packet{p, now + l.delay})
		return true
	case l.queued+len(p) > max(l.buffer, minBuffer):
		return false
	}
	l.queue.push(packet{p, now})
	l.queued += len(p)
	return true
}

// advance moves the packets that are sent by now from the queue into the air. A packet
// takes room in the queue until its last bit is sent.
func (l *line) advance(now time.Duration) {
	for l.queue.len() > 0 {
		done := l.sent()
		if done > now {
			return
		}
		p := l.queue.pop()
		l.queued -= len(p.data)
		l.free = done
		l.air.push(packet{p.data, done + l.delay})
	}
}

// sent is when the head of the queue will be sent.
func (l *line) sent() time.Duration {
	p := l.queue.head()
	start := max(l.free, p.at)
	if l.rate == 0 {
		return start
	}
	return start + time.Duration(float64(len(p.data)+etherHeader)*8/l.rate*float64(time.Second))
}

// pop returns the next packet that has arrived by now.
func (l *line) pop(now time.Duration) ([]byte, bool) {
	l.advance(now)
	if l.air.len() == 0 || l.air.head().at > now {
		return nil, false
	}
	return l.air.pop().data, true
}

// next is when something happens on the line again. ok is false if nothing does until
// a packet is pushed.
func (l *line) next() (at time.Duration, ok bool) {
	switch {
	case l.air.len() > 0 && l.queue.len() > 0:
		return min(l.air.head().at, l.sent()), true
	case l.air.len() > 0:
		return l.air.head().at, true
	case l.queue.len() > 0:
		return l.sent(), true
	}
	return 0, false
}

// set changes the line at now. It does not change when packets arrive that are in the
// air. The packet on the wire is sent at the new rate.
func (l *line) set(now time.Duration, rate float64, buffer int, delay time.Duration, loss float64) {
	l.advance(now)
	l.rate, l.buffer, l.delay, l.loss = rate, buffer, delay, loss
}

// fifo is a queue of packets that keeps its memory.
type fifo struct {
	packets []packet
	first   int
}

func (f *fifo) len() int { return len(f.packets) - f.first }

func (f *fifo) head() *packet { return &f.packets[f.first] }

func (f *fifo) push(p packet) {
	if f.first > 1024 && f.first > len(f.packets)/2 {
		n := copy(f.packets, f.packets[f.first:])
		clear(f.packets[n:])
		f.packets, f.first = f.packets[:n], 0
	}
	f.packets = append(f.packets, p)
}

func (f *fifo) pop() packet {
	p := f.packets[f.first]
	f.packets[f.first] = packet{}
	f.first++
	return p
}
