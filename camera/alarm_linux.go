package camera

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// newAlarm has the kernel wake the program, once for each frame. A timer of Go's wakes it at
// the whole millisecond before and once more (runtime, netpoll in netpoll_epoll.go), with the
// runtime's monitor turning meanwhile: 0.13 ms of a processor for each frame, of 0.45 that a
// recording costs with one viewer. It is a variable for tests, whose time is not the kernel's.
var newAlarm = newTimerfd

// A timerfd is an alarm by timerfd_create(2).
type timerfd struct {
	fd   int
	file *os.File // of fd
	stop func() bool
	buf  [8]byte // how often it rang
}

// newTimerfd falls back to a timer of Go's if the kernel gives none.
func newTimerfd(ctx context.Context) alarm {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return newTimerAlarm(ctx)
	}
	t := &timerfd{fd: fd, file: os.NewFile(uintptr(fd), "timerfd")}
	if t.file.SetReadDeadline(time.Time{}) != nil { // Go's poller has not taken it, and Read would not wait
		_ = t.file.Close()
		return newTimerAlarm(ctx)
	}
	t.stop = context.AfterFunc(ctx, func() { _ = t.file.SetReadDeadline(time.Unix(1, 0)) })
	return t
}

func (t *timerfd) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	if err := unix.TimerfdSettime(t.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil); err != nil {
		return // EINVAL alone is possible, for what no time is
	}
	_, _ = t.file.Read(t.buf[:]) // it fails when the context is done
}

func (t *timerfd) close() {
	t.stop()
	_ = t.file.Close()
}
