package bottleneck

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Addresses of the two ends, each in its own network namespace.
const (
	ServerAddr = "10.77.0.1"
	ClientAddr = "10.77.0.2"
)

// maxPacket is the size of a packet at most: the devices' MTU is 1500.
const maxPacket = 2048

// batch is how many packets are read from one side before it is the other side's turn.
const batch = 64

// idle is how long the emulator sleeps when nothing is on its way. A packet, a change
// and Close wake it.
const idle = time.Second

// Link is an emulated link between two ends. Several links may exist side by
// side; none sees the packets of another.
type Link struct {
	// Server and Client are the two ends.
	Server, Client *End

	path    atomic.Pointer[Path]
	wake    int // eventfd
	stop    atomic.Bool
	emulate sync.WaitGroup

	packets, dropped atomic.Int64
	late             atomic.Int64 // nanoseconds
}

// New makes a link, which the caller closes. It needs root, network namespaces and
// /dev/net/tun; its error says what is missing. Who measures times calls RealTime before.
func New(p Path) (*Link, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("bottleneck: eventfd: %w", err)
	}
	l := &Link{wake: wake}
	l.path.Store(&p)
	if l.Server, err = newEnd(ServerAddr); err == nil {
		l.Client, err = newEnd(ClientAddr)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bottleneck: %w", err), l.Close())
	}
	l.emulate.Go(l.run)
	return l, nil
}

// Set changes the path at once, for all packets that are not yet in the air.
func (l *Link) Set(p Path) {
	l.path.Store(&p)
	l.kick()
}

// Stats counts since the link was made or the last call of Reset.
type Stats struct {
	Packets int64 // from server to client that arrived
	Dropped int64 // from server to client that were dropped by a full buffer or lost
	// Late is by how much the emulator was too late at worst, because the machine was
	// busy. What was measured meanwhile may be wrong by as much.
	Late time.Duration
}

// Stats returns the counters.
func (l *Link) Stats() Stats {
	return Stats{l.packets.Load(), l.dropped.Load(), time.Duration(l.late.Load())}
}

// Reset begins the counters anew.
func (l *Link) Reset() {
	l.packets.Store(0)
	l.dropped.Store(0)
	l.late.Store(0)
}

// Close ends the link. Close the connections over it first: they would hang.
func (l *Link) Close() error {
	l.stop.Store(true)
	l.kick()
	l.emulate.Wait()
	err := unix.Close(l.wake)
	for _, e := range []*End{l.Server, l.Client} {
		if e != nil {
			err = errors.Join(err, e.close())
		}
	}
	return err
}

func (l *Link) kick() {
	// The write fails only if the eventfd is full, and that wakes as well.
	_, _ = unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// run moves packets until Close, on a thread whose timers have no slack.
func (l *Link) run() {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	start := time.Now()
	now := func() time.Duration { return time.Since(start) }
	var (
		path   Path
		data   = line{rand: rand.New(rand.NewPCG(uint64(start.UnixNano()), 0))}
		acks   line
		free   [][]byte
		number [8]byte
	)
	sides := [2]struct {
		in, out int
		line    *line
	}{
		{l.Server.tun, l.Client.tun, &data},
		{l.Client.tun, l.Server.tun, &acks},
	}
	poll := []unix.PollFd{
		{Fd: int32(l.Server.tun), Events: unix.POLLIN},
		{Fd: int32(l.Client.tun), Events: unix.POLLIN},
		{Fd: int32(l.wake), Events: unix.POLLIN},
	}
	for !l.stop.Load() {
		t := now()
		if p := *l.path.Load(); p != path {
			path = p
			data.set(t, p.Rate, p.Buffer, p.RTT/2, p.Loss)
			acks.set(t, 0, 0, p.RTT-p.RTT/2, 0)
		}
		for _, s := range sides {
			for range batch {
				var b []byte
				if n := len(free); n > 0 {
					b, free = free[n-1][:maxPacket], free[:n-1]
				} else {
					b = make([]byte, maxPacket)
				}
				n, err := unix.Read(s.in, b)
				if err != nil || n == 0 {
					free = append(free, b)
					break
				}
				if b = b[:n]; b[0]>>4 != 4 { // IPv6 router solicitations
					free = append(free, b)
				} else if !s.line.push(t, b) {
					free = append(free, b)
					l.dropped.Add(1)
				}
			}
		}
		t = now()
		wait := idle
		for _, s := range sides {
			for {
				b, ok := s.line.pop(t)
				if !ok {
					break
				}
				// A packet that an end refuses is lost, as on a real link.
				_, _ = unix.Write(s.out, b)
				free = append(free, b)
				if s.line == &data {
					l.packets.Add(1)
				}
			}
			if at, ok := s.line.next(); ok {
				wait = min(wait, at-t)
			}
		}
		due := t + wait
		ts := unix.NsecToTimespec(int64(max(due-now(), 0)))
		if n, _ := unix.Ppoll(poll, &ts, nil); n == 0 {
			if late := int64(now() - due); late > l.late.Load() {
				l.late.Store(late)
			}
		}
		if poll[2].Revents != 0 {
			_, _ = unix.Read(l.wake, number[:])
		}
	}
}
