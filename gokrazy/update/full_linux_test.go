package update

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/partition/partitiontest"
	"github.com/pushcam/pushcam/gokrazy/update/card/cardtest"
)

// newCameraWithRoom has a /perm of so many bytes.
func newCameraWithRoom(t *testing.T, size int) *camera {
	t.Helper()
	a := newCamera(t)
	if err := unix.Mount("tmpfs", a.Dir, "tmpfs", 0, fmt.Sprint("size=", size)); errors.Is(err, unix.EPERM) {
		t.Skip("only root may mount")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(a.Dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return a
}

// /perm has room for one boot partition and not for two. The owner hears how much
// is needed, and further updates go on, before a restart and after it.
func TestNearlyFullPerm(t *testing.T) {
	root, boot := kernelImages()
	upload := func(t *testing.T, a *camera, part string, b []byte) (int, string) {
		return a.ask("PUT", "/api/update/"+part, b, digest(b))
	}
	wantWell := func(t *testing.T, a *camera, code int, said string) {
		t.Helper()
		if code != http.StatusInsufficientStorage || !strings.Contains(said, "/perm is too full: ") ||
			!strings.Contains(said, "MB are needed and ") || !strings.Contains(said, "make room there") || strings.Count(said, "\n") != 1 {
			t.Errorf("%d %s", code, said)
		}
		a.wantNoBoots()
		for range 2 {
			if s := a.now(); s.Trouble != "" || s.Phase != Idle || a.reboots > 0 {
				t.Errorf("%+v, %d reboots", s, a.reboots)
			}
			if b := a.onCard(); b.Next != (partition.Next{Root: 2}) {
				t.Errorf("%+v", b)
			}
			a.start("v1")
		}
		a.send(newRoot)
	}
	t.Run("from the beginning", func(t *testing.T) {
		a := newCameraWithRoom(t, spareRoom+len(boot)+4096)
		code, said := upload(t, a, "boot", boot)
		wantWell(t, a, code, said)
	})
	t.Run("when it is tried", func(t *testing.T) {
		a := newCameraWithRoom(t, spareRoom+2*len(boot)+64<<10)
		for part, b := range map[string][]byte{"root": root, "boot": boot} {
			if code, said := upload(t, a, part, b); code != http.StatusNoContent {
				t.Fatalf("%d %s", code, said)
			}
		}
		other := filepath.Join(a.Dir, "other")
		if err := os.WriteFile(other, make([]byte, spareRoom+len(boot)), 0o600); err != nil {
			t.Fatal(err)
		}
		code, said := a.ask("POST", fmt.Sprintf("/api/update/try?root=%x&boot=%x", sha256.Sum256(root), sha256.Sum256(boot)), nil, nil)
		wantWell(t, a, code, said)
	})
}

// The card has become one for reading only while the old kernel is brought back, which has
// the release of the new one. That is the end of it: a camera that starts anew for ever
// shows nobody anything.
func TestOldKernelOnACardForReadingOnly(t *testing.T) {
	t.Attr("fault", "update | /perm is for reading only when the old kernel is brought back | the camera works with it | after one more restart")
	a := newCameraWithRoom(t, 8<<20)
	boot := partitiontest.Boot{Kernel: cardtest.Kernel, Filler: strings.Repeat("x", 50_000)}.Bytes()
	for part, b := range map[string][]byte{"root": newRoot, "boot": boot} {
		if code, said := a.ask("PUT", "/api/update/"+part, b, digest(b)); code != http.StatusNoContent {
			t.Fatalf("%d %s", code, said)
		}
	}
	if code, said := a.ask("POST", fmt.Sprintf("/api/update/try?root=%x&boot=%x", sha256.Sum256(newRoot), sha256.Sum256(boot)), nil, nil); code != http.StatusOK {
		t.Fatalf("%d %s", code, said)
	}
	a.restart()
	a.start("v2")
	if err := unix.Mount("", a.Dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		a.restart()
		a.start("v1")
	}
	if s := a.now(); s.Phase != Idle || a.reboots > 2 {
		t.Errorf("%+v, %d reboots", s, a.reboots)
	}
}
