package gpio_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/pushcam/pushcam/gpio"
	"github.com/pushcam/pushcam/gpio/gpiotest"
	"golang.org/x/sys/unix"
)

// watched is a button whose events a test takes one by one.
type watched struct {
	events chan string
	done   chan error
	cancel context.CancelFunc
}

func watch(t *testing.T, in gpio.Input) *watched {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{events: make(chan string, 100), done: make(chan error, 1), cancel: cancel}
	say := func(what string) func() { return func() { w.events <- what } }
	b := gpio.Button{Input: in, Hold: hold,
		OnPress: say("press"), OnRelease: say("release"), OnShort: say("short"), OnHold: say("hold")}
	go func() { w.done <- b.Run(ctx) }()
	return w
}

// next is the button's next event. Its bound is only there to end a test that
// failed.
func (w *watched) next(t *testing.T) string {
	t.Helper()
	select {
	case e := <-w.events:
		return e
	case err := <-w.done:
		w.done <- err
		return fmt.Sprintf("Run returned %v", err)
	case <-time.After(time.Minute):
		t.Fatal("no event in a minute")
		return ""
	}
}

// armed is longer than a button has to be seen released before it counts, and hold
// longer than a press takes that is to be a short one, on a machine that is not busy.
const (
	armed = 2 * time.Second
	hold  = 5 * time.Second
)

// press presses the button of a line until that counts: a program that got no
// processor has not seen it released for long enough.
func (w *watched) press(t *testing.T, s *gpiotest.Sim, line int) string {
	t.Helper()
	for range 20 {
		time.Sleep(armed)
		pull(t, s, line, false)
		select {
		case e := <-w.events:
			return e
		case err := <-w.done:
			w.done <- err
			return fmt.Sprintf("Run returned %v", err)
		case <-time.After(armed):
			pull(t, s, line, true)
		}
	}
	t.Fatal("no press was seen")
	return ""
}

// ended waits for Run to return of its own accord, and returns what it returned.
func (w *watched) ended(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.done:
		w.done <- nil
		return err
	case <-time.After(time.Minute):
		t.Error("Run has not returned for a minute")
		return nil
	}
}

// rest ends the button and returns what is left of its events.
func (w *watched) rest() (events []string, err error) {
	w.cancel()
	err = <-w.done
	close(w.events)
	for e := range w.events {
		events = append(events, e)
	}
	return events, err
}

func checkError(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %q in it", want)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q, want %q in it", err, w)
		}
	}
}

func newSim(t *testing.T, label string, names ...string) *gpiotest.Sim {
	t.Helper()
	s, err := gpiotest.NewSim(label, names...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func pull(t *testing.T, s *gpiotest.Sim, line int, high bool) {
	t.Helper()
	if err := s.Pull(line, high); err != nil {
		t.Fatal(err)
	}
}

// expectKernelWarning tells the rig that the kernel will rightly warn once.
func expectKernelWarning(t *testing.T, function string) {
	t.Helper()
	if err := os.WriteFile("/dev/kmsg", []byte("rig: expect a warning from "+function), 0); err != nil {
		t.Fatal(err)
	}
}

// lineInfo and handleRequest are those of linux/gpio.h, first version.
type lineInfo struct {
	offset, flags  uint32
	name, consumer [32]byte
}

type handleRequest struct {
	offsets  [64]uint32
	flags    uint32
	values   [64]byte
	consumer [32]byte
	lines    uint32
	fd       int32
}

const (
	getLineInfo   = 0xc048b402
	getLineHandle = 0xc16cb403
	asInput       = 1
	inUse         = 1
)

func chipIoctl(t *testing.T, s *gpiotest.Sim, req uintptr, arg unsafe.Pointer) {
	t.Helper()
	f, err := os.Open(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), req, uintptr(arg)); errno != 0 {
		t.Fatalf("ioctl %#x: %v", req, errno)
	}
}

// lineInUse asks the kernel whether anybody has requested a line.
func lineInUse(t *testing.T, s *gpiotest.Sim, line int) bool {
	t.Helper()
	info := lineInfo{offset: uint32(line)}
	chipIoctl(t, s, getLineInfo, unsafe.Pointer(&info))
	return info.flags&inUse != 0
}

// holdLine requests a line past the package, as another program would.
func holdLine(t *testing.T, s *gpiotest.Sim, line int) {
	t.Helper()
	r := handleRequest{flags: asInput, lines: 1}
	r.offsets[0] = uint32(line)
	copy(r.consumer[:], "the test")
	chipIoctl(t, s, getLineHandle, unsafe.Pointer(&r))
	t.Cleanup(func() { unix.Close(int(r.fd)) })
}

// identity says which file a descriptor is.
func identity(t *testing.T, fd int) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d:%d:%d", st.Dev, st.Ino, st.Rdev)
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return len(entries)
}

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}
