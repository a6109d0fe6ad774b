package usbcam

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Node returns the path of the webcam's capture device, /dev/videoN, and waits
// until it is there. The driver makes another node for metadata, which is not
// it.
func (w *Webcam) Node(ctx context.Context) (string, error) {
	var node string
	err := watch(ctx, "/dev", func() (bool, error) {
		dir, err := w.transport.device()
		if err != nil {
			return false, err
		}
		// "index" counts the nodes of one device; capture is the first.
		paths, err := filepath.Glob(dir + "/*/video4linux/video*/index")
		if err != nil {
			return false, err
		}
		for _, path := range paths {
			index, err := os.ReadFile(path)
			if err != nil || strings.TrimSpace(string(index)) != "0" {
				continue
			}
			node = filepath.Join("/dev", filepath.Base(filepath.Dir(path)))
			_, err = os.Stat(node)
			return err == nil, nil
		}
		return false, nil
	})
	if err != nil {
		return "", fmt.Errorf("the webcam's video node: %w", err)
	}
	return node, nil
}

// device is sysfs for a webcam that is plugged into this machine's kernel.
func (t *transport) device() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil || t.sysfs == nil {
		return "", ErrUnplugged
	}
	return t.sysfs()
}

// WaitNode returns when the file exists. It fails when ctx is done.
func WaitNode(ctx context.Context, path string) error {
	return waitFile(ctx, path, true)
}

// WaitNodeGone returns when there is no such file. It fails when ctx is done.
func WaitNodeGone(ctx context.Context, path string) error {
	return waitFile(ctx, path, false)
}

func waitFile(ctx context.Context, path string, want bool) error {
	err := watch(ctx, filepath.Dir(path), func() (bool, error) {
		_, err := os.Stat(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		return (err == nil) == want, nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w", path, err)
	}
	return nil
}

// watch calls ok now and after each file that comes or goes in dir, until it
// says true or fails, or ctx is done.
func watch(ctx context.Context, dir string, ok func() (bool, error)) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_DELETE); err != nil {
		return fmt.Errorf("inotify %s: %w", dir, err)
	}
	stop := context.AfterFunc(ctx, func() { events.Close() })
	defer stop()
	buf := make([]byte, 4096)
	for {
		if done, err := ok(); done || err != nil {
			return err
		}
		if _, err := events.Read(buf); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("inotify %s: %w", dir, err)
		}
	}
}

// KeepDamaged makes uvcvideo deliver frames that the webcam marked as damaged,
// for webcams that are plugged in later, or ends that. It sets the driver's
// nodrop parameter.
func KeepDamaged(on bool) error {
	value := "0"
	if on {
		value = "1"
	}
	return os.WriteFile("/sys/module/uvcvideo/parameters/nodrop", []byte(value), 0)
}
