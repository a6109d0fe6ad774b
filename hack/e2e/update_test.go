//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/hack/e2e/pictures"
	"github.com/pushcam/pushcam/pusher/pushertest"
)

var otaAll = flag.Bool("ota-all", false, "try all that can go wrong in an update, for half an hour, and not one good and one bad update only")

// update runs pushcamctl update and returns what it says, and its error.
func (m *machine) update(t *testing.T, flags ...string) (said string, err error) {
	t.Helper()
	return m.updateAs(t, t.Context(), password, flags...)
}

func (m *machine) updateAs(t *testing.T, ctx context.Context, password string, flags ...string) (said string, err error) {
	t.Helper()
	tool, err := pushcamctl()
	if err != nil {
		t.Fatalf("build pushcamctl: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool, slices.Concat([]string{"update", "-password", "-"}, m.trusted(t), flags)...)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+t.TempDir())
	cmd.Stdin = strings.NewReader(password + "\n")
	out, err := cmd.CombinedOutput()
	t.Logf("pushcamctl update %s\n%s%v", strings.Join(flags, " "), out, err)
	return string(out), err
}

// trusted are pushcamctl's arguments for the machine, whose key it is told: the one that
// a report on the card would have.
func (m *machine) trusted(t *testing.T) []string {
	t.Helper()
	var key string
	m.await(t, "the machine's key", func() error {
		s, err := m.state()
		if key = s.TLS.Fingerprint; err == nil && key == "" {
			err = errors.New("it has none yet")
		}
		return err
	})
	return []string{"-key", key, m.tls}
}

// runs waits until the machine runs a version, which is on no trial, with a picture.
func (m *machine) runs(t *testing.T, version string) (s state) {
	t.Helper()
	s = m.is(t, version+" on no trial", func(s state) bool { return s.Program.Version == version && s.Update.Phase == update.Idle })
	m.picture(t)
	return s
}

// TestUpdate updates to good images, and to bad ones, which are rolled back.
func TestUpdate(t *testing.T) {
	t.Attr("fault", "update | images that panic, exit, hang, give no picture, are damaged, unreadable, for another board, or cut off | the camera has a picture by the version that ran | rolled back by itself")
	t.Parallel()
	p, newer := older(t)
	cam, card := newWebcam(), flashed(t, p)
	m := boot(t, card, p.uefi())
	cam.plug(t, m)
	t.Cleanup(func() { cam.unplug(t) })
	if s := m.runs(t, p.Version); s.Hostname != ownName || s.Unowned {
		t.Fatalf("it is called %s, and has no owner: %v; want what its text file says", s.Hostname, s.Unowned)
	}

	t.Run("good", func(t *testing.T) {
		watching := watch(m)
		began := time.Now()
		said, err := m.update(t, "-image", good(t)) // which is for everybody
		took := time.Since(began)
		gap := watching.end()
		if err != nil || !strings.Contains(said, "committed") {
			t.Fatalf("it is not committed: %v", err)
		}
		if !watching.trial {
			t.Error("the trial was not to be seen")
		}
		t.Logf("from the command to \"committed\" %.0f s, with no picture for %.1f s", took.Seconds(), gap.Seconds())
		s := m.runs(t, newer)
		if s.Update.Last.Outcome != update.Committed || s.Update.Last.To != newer {
			t.Errorf("the last update is %+v", s.Update.Last)
		}
		if s.Hostname != ownName {
			t.Errorf("the update calls it %s, want %s", s.Hostname, ownName)
		}
	})
	t.Run("signed by a stranger", func(t *testing.T) { testStranger(t, m, card, newer) })
	t.Run("panics", func(t *testing.T) {
		m.isRolledBack(t, bad(t, "panics"), newer, "never began", "before it could say why", "did not last")
	})
	if !*otaAll {
		return
	}
	t.Run("back to the older one", func(t *testing.T) {
		older := archiveOf(t, p)
		said, err := m.update(t, "-image", older)
		if err != nil || !strings.Contains(said, "back to an older one") {
			t.Fatalf("the older one: %v", err)
		}
		m.runs(t, p.Version)
	})
	t.Run("exits", func(t *testing.T) { m.isRolledBack(t, bad(t, "exits"), p.Version, "never began") })
	t.Run("hangs", func(t *testing.T) { m.isRolledBack(t, bad(t, "hangs"), p.Version, "never began") })
	t.Run("no pictures", func(t *testing.T) { m.isRolledBack(t, blind(t), p.Version, "gives no picture") })
	t.Run("unreadable", func(t *testing.T) { m.isRolledBack(t, unreadable(t), p.Version, "never began") })
	t.Run("damaged", func(t *testing.T) { m.isRolledBack(t, damaged(t), p.Version, "never began") })
	t.Run("refused", func(t *testing.T) { testRefused(t, m, p.Version) })
	t.Run("cut off", func(t *testing.T) { testCutOff(t, m, p.Version) })
	t.Run("two in a row", func(t *testing.T) {
		for _, next := range []struct{ gaf, version string }{{good(t), newer}, {archiveOf(t, p), p.Version}} {
			if _, err := m.update(t, "-image", next.gaf); err != nil {
				t.Fatal(err)
			}
			m.runs(t, next.version)
		}
	})
	tb := newTab(t, m)
	t.Run("from the owner's page", func(t *testing.T) {
		testPanelUpdate(t, tb, good(t), newer, func(button string) { tb.press(t, button) })
		m.picture(t)
	})
	t.Run("from there, without a picture", func(t *testing.T) {
		cam.unplug(t)
		m.is(t, "no camera", func(s state) bool { return s.Camera.Phase == camera.NoCamera })
		testPanelUpdate(t, tb, archiveOf(t, p), p.Version, func(button string) { tb.sure(t, button, "Try the update all the same?") })
		cam.plug(t, m)
		m.picture(t)
	})
}

// testStranger sends a good update that was signed by somebody whom the camera does not
// know, and one that nobody has signed, with the owner's password. Nothing is written.
func testStranger(t *testing.T, m *machine, card, version string) {
	before := roots(t, card)
	said, err := m.update(t, "-image", unsigned(t)) // pushcamctl has a new key each time
	if err == nil || !strings.Contains(said, "takes updates only from whom it knows") || !strings.Contains(said, "update-key=ssh-ed25519 ") {
		t.Errorf("signed by a stranger: %v", err)
	}
	root := []byte("a root file system")
	code, answer, err := m.api(t.Context(), http.MethodPut, "/api/update/root", bytes.NewReader(root), int64(len(root)), sha256.Sum256(root))
	if err != nil || code != http.StatusUnprocessableEntity || !strings.Contains(answer, "this one is not signed") {
		t.Errorf("signed by nobody: %d %s %v", code, answer, err)
	}
	if roots(t, card) != before {
		t.Error("something of it was written")
	}
	m.runs(t, version)
}

// roots is the beginning of both root partitions, as the card has it.
func roots(t *testing.T, card string) (sums [2][sha256.Size]byte) {
	t.Helper()
	f, err := os.Open(card)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, at := range []int64{104 << 20, 604 << 20} {
		h := sha256.New()
		if _, err := io.Copy(h, io.NewSectionReader(f, at, 16<<20)); err != nil {
			t.Fatal(err)
		}
		sums[i] = [sha256.Size]byte(h.Sum(nil))
	}
	return sums
}

// isRolledBack updates to a bad image and sees that the version before runs again.
func (m *machine) isRolledBack(t *testing.T, gaf, version string, because ...string) {
	t.Helper()
	watching := watch(m)
	began := time.Now()
	said, err := m.update(t, "-image", gaf)
	gap := watching.end()
	known := false
	for _, b := range because {
		known = known || strings.Contains(said, b)
	}
	if err == nil || !strings.Contains(said, "rolled back") || !known {
		t.Fatalf("it is not rolled back because of %q: %v", because, err)
	}
	t.Logf("from the command to \"rolled back\" %.0f s, with no picture for %.1f s", time.Since(began).Seconds(), gap.Seconds())
	s := m.runs(t, version)
	if s.Update.Last.Outcome != update.RolledBack || !strings.Contains(s.Update.Message, "was rolled back") {
		t.Errorf("the state says %+v", s.Update)
	}
}

// A watcher reads the stream and asks for the state all the time. When the stream
// breaks off, it opens another.
type watcher struct {
	cancel   context.CancelFunc
	watching sync.WaitGroup
	longest  time.Duration // without a picture of the webcam's
	last     time.Time     // when there was one
	trial    bool          // the trial was seen, on the LEDs too
}

func watch(m *machine) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{cancel: cancel}
	address := strings.TrimPrefix(m.url, "http://")
	w.watching.Go(func() {
		w.last = time.Now()
		for ctx.Err() == nil {
			w.look(ctx, address, func() {
				w.longest = max(w.longest, time.Since(w.last))
				w.last = time.Now()
			})
			pause(ctx)
		}
	})
	w.watching.Go(func() {
		for ; ctx.Err() == nil; pause(ctx) {
			if s, err := m.state(); err == nil && s.Update.Phase == update.OnTrial {
				w.trial = w.trial || s.Panel.Pattern == "trial" && strings.Contains(s.Update.Message, "on trial")
			}
		}
	})
	return w
}

func pause(ctx context.Context) {
	select {
	case <-time.After(200 * time.Millisecond):
	case <-ctx.Done():
	}
}

// look reads one stream until it ends, or until no picture comes for 2 s: QEMU's router
// keeps connections to a machine that has restarted.
func (w *watcher) look(ctx context.Context, address string, seen func()) {
	conn, err := dialStream(ctx, address)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	conn.SetDeadline(time.Now().Add(stateTimeout))
	s, err := pushertest.NewStreamReader(conn)
	if err != nil {
		return
	}
	for {
		conn.SetDeadline(time.Now().Add(stateTimeout))
		part, err := s.Next()
		if err != nil {
			return
		}
		if _, err := pictures.Number(part.JPEG); err == nil {
			seen()
		}
	}
}

// end returns the longest time without a picture, which may still go on.
func (w *watcher) end() time.Duration {
	w.cancel()
	w.watching.Wait()
	return max(w.longest, time.Since(w.last))
}
