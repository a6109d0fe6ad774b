package bottleneck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// congestionControl is what connections of Listen and Dial use. It is the default of
// Linux and of gokrazy, whatever this machine's is, so that results can be compared.
const congestionControl = "cubic"

// End is one end of a link: a network namespace with one TUN device and one
// address.
type End struct {
	// Addr is this end's address. The other end can be reached at its own.
	Addr string

	tun  int
	work chan func()
	done chan struct{}
}

// newEnd makes the namespace and a thread that stays in it until close.
func newEnd(addr string) (*End, error) {
	e := &End{Addr: addr, tun: -1, work: make(chan func()), done: make(chan struct{})}
	ready := make(chan error)
	go func() {
		defer close(e.done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ordinary()
		err := e.setup()
		ready <- err
		if err != nil {
			return
		}
		for f := range e.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		<-e.done
		if e.tun >= 0 {
			err = errors.Join(err, unix.Close(e.tun))
		}
		return nil, err
	}
	return e, nil
}

func (e *End) close() error {
	close(e.work)
	<-e.done
	return unix.Close(e.tun)
}

// Do runs f on a thread inside the namespace: sockets that f opens and
// processes that it starts belong there and stay there. One f runs at a time.
// Such sockets have the congestion control that is the machine's default.
func (e *End) Do(f func() error) error {
	result := make(chan error)
	e.work <- func() { result <- f() }
	return <-result
}

// Listen listens for TCP at a port of this end.
func (e *End) Listen(ctx context.Context, port int) (l net.Listener, err error) {
	err = e.Do(func() error {
		lc := net.ListenConfig{Control: useCongestionControl}
		// With multipath TCP, TCP_INFO would not tell of the path.
		lc.SetMultipathTCP(false)
		l, err = lc.Listen(ctx, "tcp4", net.JoinHostPort(e.Addr, strconv.Itoa(port)))
		return err
	})
	return l, err
}

// Dial connects to a TCP port of the other end.
func (e *End) Dial(ctx context.Context, addr string) (c net.Conn, err error) {
	err = e.Do(func() error {
		d := net.Dialer{Control: useCongestionControl}
		c, err = d.DialContext(ctx, "tcp4", addr)
		return err
	})
	return c, err
}

func useCongestionControl(_, _ string, conn syscall.RawConn) error {
	var serr error
	err := conn.Control(func(fd uintptr) {
		serr = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestionControl)
	})
	if err := errors.Join(err, serr); err != nil {
		return fmt.Errorf("use %s: %w", congestionControl, err)
	}
	return nil
}

// setup moves this thread into a new namespace and makes its device there.
func (e *End) setup() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace (needs root): %w", err)
	}
	const tun = "/dev/net/tun"
	var err error
	if e.tun, err = unix.Open(tun, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open %s (needs root and the kernel's tun driver; in a container: mknod %[1]s c 10 200): %w", tun, err)
	}
	dev, err := unix.NewIfreq("link")
	if err != nil {
		return err
	}
	dev.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(e.tun, unix.TUNSETIFF, dev); err != nil {
		return fmt.Errorf("make a TUN device: %w", err)
	}
	// A connection must not begin with what an earlier one has learnt.
	if err := os.WriteFile("/proc/sys/net/ipv4/tcp_no_metrics_save", []byte("1"), 0); err != nil {
		return fmt.Errorf("set up a network namespace: %w", err)
	}
	return e.configure()
}

// configure gives the device its address and starts it.
func (e *End) configure() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("configure the TUN device: %w", err)
	}
	defer unix.Close(s)
	for _, step := range []struct {
		dev     string
		request uint
		set     func(*unix.Ifreq) error
	}{
		{"link", unix.SIOCSIFADDR, inet4(e.Addr)},
		{"link", unix.SIOCSIFNETMASK, inet4("255.255.255.0")},
		{"link", unix.SIOCSIFMTU, number(1500)},
		{"link", unix.SIOCSIFTXQLEN, number(10_000)}, // so long that only the link's own queue drops packets
		{"link", unix.SIOCSIFFLAGS, flags(unix.IFF_UP | unix.IFF_RUNNING)},
		{"lo", unix.SIOCSIFFLAGS, flags(unix.IFF_UP | unix.IFF_RUNNING)},
	} {
		r, err := unix.NewIfreq(step.dev)
		if err == nil {
			err = step.set(r)
		}
		if err == nil {
			err = unix.IoctlIfreq(s, step.request, r)
		}
		if err != nil {
			return fmt.Errorf("configure %s (request %#x): %w", step.dev, step.request, err)
		}
	}
	return nil
}

func inet4(addr string) func(*unix.Ifreq) error {
	return func(r *unix.Ifreq) error { return r.SetInet4Addr(net.ParseIP(addr).To4()) }
}

func number(n uint32) func(*unix.Ifreq) error {
	return func(r *unix.Ifreq) error { r.SetUint32(n); return nil }
}

func flags(n uint16) func(*unix.Ifreq) error {
	return func(r *unix.Ifreq) error { r.SetUint16(n); return nil }
}
