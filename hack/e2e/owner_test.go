//go:build linux

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/pushcam/pushcam/camera"
)

// testOwner does what only an owner may, while the camera is closed: it follows the log,
// opens gokrazy's pages, and reboots.
func testOwner(t *testing.T, m *machine, reboot func(*testing.T)) {
	for _, path := range []string{"/gokrazy/", "/api/log"} {
		if code, _, _, err := m.get(path, getTimeout); err != nil || code != http.StatusUnauthorized {
			t.Errorf("%s without the password: status %d, %v; want 401", path, code, err)
		}
	}
	code, _, page, err := m.owned(http.MethodGet, "/gokrazy/")
	for _, want := range []string{`href="/gokrazy/status?path=%2fuser%2fpushcam"`, `action="/gokrazy/reboot"`} {
		if err != nil || code != http.StatusOK || !strings.Contains(string(page), want) {
			t.Errorf("gokrazy's page: status %d, %v; want %s in it:\n%s", code, err, want, page)
		}
	}

	logs := m.logs(t)
	logs.await(t, m, "a program that began", `camera="/dev/video0`) // started, or works again if its driver came late
	m.station.forget()
	resets := m.resets.Load()
	reboot(t)
	m.await(t, "the machine begins anew", func() error {
		if m.resets.Load() == resets {
			return errors.New("it has not")
		}
		return nil
	})
	if r := m.station.last(service, dnsmessage.TypePTR); r == nil || r.Header.TTL != 0 {
		t.Errorf("the last that was heard of %s is %v, want a goodbye", service, r)
	}
	m.staysClosed(t)
	if m.repaired(t) {
		t.Error("/perm was not unmounted before the reboot")
	}
	logs.await(t, m, "the log goes on", "the connection is lost", "connected again", "the camera's program has started again", "loaded kernel module")
	logs.stop(t)
}

// rebootByGokrazy reboots on gokrazy's pages.
func (m *machine) rebootByGokrazy(t *testing.T) {
	if code, _, said, err := m.owned(http.MethodPost, "/gokrazy/reboot"); err == nil && code != http.StatusOK {
		t.Fatalf("reboot: status %d: %s", code, said) // an error alone is expected: the machine restarts
	}
}

// staysClosed waits until the camera is closed after a restart, as it was before.
func (m *machine) staysClosed(t *testing.T) {
	t.Helper()
	m.is(t, "the camera is closed as before, because /perm survived", func(s state) bool {
		return s.Settings.Privacy && s.Settings.Trouble == "" && s.Camera.Phase == camera.Privacy
	})
}

// repaired tells whether the kernel had to recover /perm when it last mounted it,
// because the system before was not shut down (fs/ext4, ext4_load_journal).
func (m *machine) repaired(t *testing.T) bool {
	t.Helper()
	text, err := os.ReadFile(m.serial)
	if err != nil {
		t.Fatal(err)
	}
	_, last, mounted := cutLast(string(text), "Linux version ")
	if !mounted || !strings.Contains(last, "EXT4-fs") {
		t.Fatalf("the serial line does not tell of /perm:\n%s", last)
	}
	return strings.Contains(last, "recovery complete")
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// A follower is a pushcamctl that shows a log.
type follower struct {
	cmd   *exec.Cmd
	ended chan error

	mu   sync.Mutex
	said []string // on both of its outputs, in order, line by line
}

var pushcamctl = sync.OnceValues(func() (path string, err error) {
	path = filepath.Join(scratch, "pushcamctl")
	said, err := exec.Command("go", "build", "-o", path, "github.com/pushcam/pushcam/cmd/pushcamctl").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build pushcamctl: %w: %s", err, said)
	}
	return path, err
})

// logs follows the machine's log, as its owner does.
func (m *machine) logs(t *testing.T) *follower {
	t.Helper()
	path, err := pushcamctl()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{cmd: exec.CommandContext(ctx, path, append([]string{"logs", "-password", "-"}, m.trusted(t)...)...), ended: make(chan error, 1)}
	f.cmd.Stdin = strings.NewReader(password + "\n")
	f.cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+t.TempDir())
	out, in := io.Pipe()
	f.cmd.Stdout, f.cmd.Stderr = in, in
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			f.mu.Lock()
			f.said = append(f.said, lines.Text())
			f.mu.Unlock()
		}
	})
	go func() { f.ended <- f.cmd.Wait(); in.Close() }()
	t.Cleanup(func() {
		cancel()
		reading.Wait()
		if t.Failed() {
			t.Logf("pushcamctl logs:\n%s", strings.Join(f.said, "\n"))
		}
	})
	return f
}

// await awaits texts, one after the other.
func (f *follower) await(t *testing.T, m *machine, what string, texts ...string) {
	t.Helper()
	m.await(t, what, func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		left := texts
		for _, line := range f.said {
			if len(left) > 0 && strings.Contains(line, left[0]) {
				left = left[1:]
			}
		}
		if len(left) > 0 {
			return fmt.Errorf("%q was not said", left[0])
		}
		return nil
	})
}

// stop ends it as Ctrl-C does.
func (f *follower) stop(t *testing.T) {
	t.Helper()
	if err := f.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-f.ended; err != nil {
		t.Errorf("pushcamctl logs ended with: %v", err)
	}
}
