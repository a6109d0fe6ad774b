//go:build cgo

package v4l2

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// unwatchedWait bounds a wait when the kernel gives no inotify.
const unwatchedWait = time.Second

// wait returns after d, when ctx is done, or as soon as the device files differ
// from those that find saw last. They are compared after the watch is set, so
// that nothing is missed between find and wait; and again after every event, so
// that neither a file that goes nor one that is not a device wakes anybody.
// A file that appears first and gets its permissions later wakes twice.
func (f *finder) wait(ctx context.Context, root string, d time.Duration) (early bool) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	watch, err := watchDir(filepath.Join(root, "dev"))
	if err != nil {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(unwatchedWait):
			return f.changed(root)
		}
	}
	defer watch.Close()
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { _ = watch.SetReadDeadline(time.Unix(1, 0)); close(ended) })
	defer func() {
		if !stop() {
			<-ended
		}
	}()
	events := make([]byte, 4096) // what they say does not matter
	for !f.changed(root) {
		if f.waiting != nil {
			f.waiting()
		}
		if _, err := watch.Read(events); err != nil {
			return false
		}
	}
	return ctx.Err() == nil
}

func watchDir(dir string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	watch := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_ATTRIB|unix.IN_MOVED_TO); err != nil {
		watch.Close()
		return nil, &os.PathError{Op: "inotify_add_watch", Path: dir, Err: err}
	}
	return watch, nil
}
