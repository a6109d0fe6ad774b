//go:build cgo

package v4l2

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/camera"
	"golang.org/x/sys/unix"
)

func TestUsers(t *testing.T) {
	root := t.TempDir()
	m := machine{root: root}
	link := func(fd, target string) {
		t.Helper()
		file := filepath.Join(root, "proc", fd)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, file); err != nil {
			t.Fatal(err)
		}
	}
	want := func(want string) {
		t.Helper()
		if got := users(root, "/dev/video0"); got != want {
			t.Errorf("users() = %q, want %q", got, want)
		}
	}
	busy := func(blocked bool) {
		t.Helper()
		err := explain(root, node{Device: camera.Device{Path: "/dev/video0"}}, unix.EBUSY)
		if errors.Is(err, camera.ErrBlocked) != blocked || !errors.Is(err, unix.EBUSY) {
			t.Errorf("%v: is ErrBlocked %v, want %v", err, !blocked, blocked)
		}
	}
	want("")
	busy(false) // it may be one that has ended and hangs in the driver
	m.write(t, "proc/12/comm", "motion\n")
	link("12/fd/3", "/dev/video0")
	link("12/fd/4", "/dev/video0")
	link("self/fd/3", "/dev/video0")
	m.write(t, "proc/13/comm", "other\n")
	link("13/fd/3", "/dev/video01")
	want("motion (process 12)")
	busy(true)
	m.write(t, "proc/14/comm", "cheese\n")
	link("14/fd/9", "/dev/video0")
	want("motion (process 12), cheese (process 14)")

	self := strconv.Itoa(os.Getpid())
	m.write(t, "proc/"+self+"/comm", "pushcam\n")
	link(self+"/fd/5", "/dev/video0")
	want("motion (process 12), cheese (process 14)")
	link(self+"/fd/6", "/dev/video0")
	if got := users(root, "/dev/video0"); !strings.Contains(got, "this program itself (process "+self+")") {
		t.Errorf("users() = %q, want this program itself among them", got)
	}
}
