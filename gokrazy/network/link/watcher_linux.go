package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// A watcher hears from the kernel that interfaces or addresses have changed.
type watcher struct {
	changed chan struct{} // has something in it if they have
	log     *slog.Logger

	mu   sync.Mutex
	lost map[int]bool // interfaces that were without a carrier at some time
}

func newWatcher(log *slog.Logger) *watcher {
	return &watcher{changed: make(chan struct{}, 1), log: log, lost: make(map[int]bool)}
}

// takeLost are the interfaces that were without a carrier since it was last called.
func (w *watcher) takeLost() map[int]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	lost := w.lost
	w.lost = make(map[int]bool)
	return lost
}

func (w *watcher) signal() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// run hears until ctx is done, and gives what waits for its end.
func (w *watcher) run(ctx context.Context) (wait func()) {
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			err := w.listen(ctx)
			if ctx.Err() != nil {
				return
			}
			w.log.Error("the kernel does not tell changes of its interfaces; it is asked again", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	})
	return running.Wait
}

func (w *watcher) listen(ctx context.Context) error {
	c, err := socket.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE, "netlink", nil)
	if err != nil {
		return err
	}
	defer c.Close()
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR
	if err := c.Bind(&unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return err
	}
	w.signal() // what changed before is seen now
	for buf := make([]byte, 64<<10); ; {
		n, _, err := c.Recvfrom(ctx, buf, 0)
		if errors.Is(err, unix.ENOBUFS) {
			w.signal() // some of it was lost
			continue
		} else if err != nil {
			return err
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return fmt.Errorf("parse netlink: %w", err)
		}
		for _, m := range messages {
			w.note(m)
		}
		w.signal()
	}
}

// note remembers an interface whose carrier is away (struct ifinfomsg of rtnetlink(7)).
func (w *watcher) note(m syscall.NetlinkMessage) {
	if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg {
		return
	}
	index, flags := binary.NativeEndian.Uint32(m.Data[4:]), binary.NativeEndian.Uint32(m.Data[8:])
	if flags&unix.IFF_RUNNING != 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost[int(index)] = true
}
