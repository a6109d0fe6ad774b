//go:build linux

package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/camera"
)

// TestBadPerm boots cards with a bad /perm. The camera and its button work, and /state
// says what is lost.
func TestBadPerm(t *testing.T) {
	t.Attr("fault", "system | /perm without a file system, damaged, full, or on a locked card | camera and button work, and /state says what is lost | –")
	t.Parallel()
	p := built(t)
	locked := []string{"-set", "drive.card.read-only=on"}
	tests := []struct {
		name   string
		spoil  func(t *testing.T, card string)
		qemu   []string // more options
		closed bool     // the camera may have been closed, so it begins closed
		says   string   // in /state, from the beginning
		keeps  bool     // what is changed is kept
		owner  int      // the HTTP status of an owner's request
		off    bool     // the button is tried, too
	}{
		{name: "no file system", spoil: noPerm, says: "cannot be kept", owner: http.StatusForbidden, off: true},
		{name: "its root is lost", spoil: debugfs("clri <2>", ""), says: "cannot be kept", owner: http.StatusForbidden},
		{name: "a folder is lost", spoil: debugfs("clri /pushcam", ""), closed: true, says: "are damaged", owner: http.StatusForbidden},
		{name: "the settings are damaged", spoil: debugfs("write FILE /pushcam/settings.json", `{"privacy": tr`),
			closed: true, says: "settings.json.bad", keeps: true, owner: http.StatusOK},
		{name: "full", spoil: fillPerm, says: "cannot be kept", owner: http.StatusOK},
		{name: "a locked card", spoil: func(*testing.T, string) {}, qemu: locked, says: "cannot be kept", owner: http.StatusForbidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cam, card := newWebcam(), p.card(t)
			tt.spoil(t, card)
			m := boot(t, card, append(p.direct(), tt.qemu...))
			cam.plug(t, m)
			t.Cleanup(func() { cam.unplug(t) })
			s := m.is(t, "a camera whose state is known, and what is wrong", func(s state) bool {
				return (s.Camera.Phase == camera.Idle || s.Camera.Phase == camera.Privacy) && strings.Contains(s.Settings.Trouble, tt.says)
			})
			if s.Settings.Privacy != tt.closed {
				t.Errorf("the settings are %+v, want a camera that is closed: %v, and %q", s.Settings, tt.closed, tt.says)
			}
			if tt.closed {
				if !strings.Contains(s.Camera.Reason, "press its button") {
					t.Errorf("the camera is closed: %q", s.Camera.Reason)
				}
				m.toggle(t, false)
			}
			m.picture(t)
			if code, _, _, err := m.owned(http.MethodGet, "/api/log"); err != nil || code != tt.owner {
				t.Errorf("its owner's log: status %d, %v; want %d", code, err, tt.owner)
			}
			m.toggle(t, true)
			m.is(t, "what is changed is kept, or the state says that it is lost", func(s state) bool {
				return s.Camera.Phase == camera.Privacy && strings.Contains(s.Settings.Trouble, "cannot be kept") == !tt.keeps
			})
			if tt.off {
				m.hold(t)
			}
		})
	}
}

// noPerm destroys the file system.
func noPerm(t *testing.T, card string) {
	perm(t, card, func(f *os.File, offset int64, super []byte) {
		if _, err := f.WriteAt(make([]byte, len(super)), offset); err != nil {
			t.Fatal(err)
		}
	})
}

// fillPerm leaves no room in the card's /perm.
func fillPerm(t *testing.T, card string) {
	t.Helper()
	need(t, "debugfs")
	perm(t, card, func(_ *os.File, offset int64, super []byte) {
		blocks, size := binary.LittleEndian.Uint32(super[0x4:]), 1024<<binary.LittleEndian.Uint32(super[0x18:])
		filler := filepath.Join(t.TempDir(), "filler")
		if err := os.WriteFile(filler, bytes.Repeat([]byte{'x'}, int(blocks)*size), 0o600); err != nil {
			t.Fatal(err)
		}
		said, err := exec.Command("debugfs", "-w", "-R", "write "+filler+" filler", fmt.Sprintf("%s?offset=%d", card, offset-1024)).CombinedOutput()
		if err != nil || !bytes.Contains(said, []byte("Could not allocate block")) {
			t.Fatalf("fill /perm: %v: %s", err, said)
		}
	})
}

// debugfs changes a card's /perm with a request of debugfs(8). FILE in it is a file with a
// content: of a pipe debugfs writes nothing.
func debugfs(request, content string) func(t *testing.T, card string) {
	return func(t *testing.T, card string) {
		t.Helper()
		need(t, "debugfs")
		file := filepath.Join(t.TempDir(), "content")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		request := strings.Replace(request, "FILE", file, 1)
		perm(t, card, func(_ *os.File, offset int64, _ []byte) {
			cmd := exec.Command("debugfs", "-w", "-R", request, fmt.Sprintf("%s?offset=%d", card, offset-1024))
			if said, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("debugfs, %s: %v: %s", request, err, said)
			} else if lines := bytes.Split(bytes.TrimSpace(said), []byte("\n")); len(lines) > 2 { // its version, and what it made
				t.Fatalf("debugfs, %s: %s", request, said)
			}
		})
	}
}
