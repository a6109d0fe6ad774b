//go:build cgo

package v4l2

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"
)

func TestReset(t *testing.T) {
	ctx := t.Context()
	m := newMachine(t)
	v := &Source{Root: m.root}
	fails := func(want string, is error) {
		t.Helper()
		if err := v.Reset(ctx); err == nil || !strings.Contains(err.Error(), want) || is != nil && !errors.Is(err, is) {
			t.Errorf("Reset() = %v, want %q", err, want)
		}
	}
	fails("no camera was found yet", nil)

	file := filepath.Join(m.root, "dev/video3")
	v.state.tried.Store(&node{file: file})
	fails("video3 has gone", fs.ErrNotExist)

	device := filepath.Join(m.root, "sys/devices/usb1/1-2")
	m.write(t, "sys/devices/usb1/1-2/1-2:1.0/x", "")
	m.write(t, "sys/class/video4linux/video3/x", "")
	if err := os.Symlink(filepath.Join(device, "1-2:1.0"), filepath.Join(m.root, "sys/class/video4linux/video3/device")); err != nil {
		t.Fatal(err)
	}
	fails("video3 is no USB device", fs.ErrNotExist)
	m.write(t, "sys/devices/usb1/1-2/busnum", "1\n")
	m.write(t, "sys/devices/usb1/1-2/devnum", "23\n")
	fails("dev/bus/usb/001/023", fs.ErrNotExist)
	m.write(t, "dev/bus/usb/001/023", "")
	fails("USBDEVFS_RESET", unix.ENOTTY) // it is a file

	v.state.tried.Store(&node{file: file, probed: probed{driver: "bcm2835 mmal"}})
	fails("on the appliance only", nil)
	asked := errors.New("in use")
	v.Reload = func(_ context.Context, module string) error {
		if module != "bcm2835-v4l2" {
			t.Errorf("%s is loaded anew", module)
		}
		return asked
	}
	fails("in use", asked)
}

func TestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := machine{root: t.TempDir()}
		state := func(thread, state string) {
			t.Helper()
			m.write(t, "proc/self/task/"+thread+"/stat", thread+" (a) D (b) "+state+" 1 2 3\n")
		}
		want := func(want bool) {
			t.Helper()
			if got := Hangs(t.Context(), m.root); got != want {
				t.Errorf("Hangs() = %v, want %v", got, want)
			}
		}
		want(false)
		state("7", "S")
		state("8", "R")
		want(false)
		state("8", "D")
		want(true)

		ended := make(chan bool)
		go func() { ended <- Hangs(t.Context(), m.root) }()
		synctest.Wait()
		state("8", "S") // it has waited for a disk
		state("7", "D")
		if <-ended {
			t.Error("two threads that hang one after the other count as one")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if Hangs(ctx, m.root) {
			t.Error("it was found out after the context was done")
		}
	})
}
