package wifi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// dialTimeout is for wpa_supplicant to start. It takes less than a second, and half a
	// minute in an emulator that has little of its computer.
	dialTimeout = time.Minute
	dialPause   = 50 * time.Millisecond
	// endTimeout is for it to end when it is asked to.
	endTimeout = 3 * time.Second
	// maxSaid bounds what is kept of what it says, in bytes.
	maxSaid = 2 << 10
)

// A supplicant is a running wpa_supplicant.
type supplicant struct {
	control *control
	done    chan struct{} // closed when it has ended
	process *os.Process
	said    said
}

// startSupplicant starts the program for a link, and returns when it answers.
func startSupplicant(ctx context.Context, program, dir, link string) (*supplicant, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, link)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // of one that was killed
		return nil, err
	}
	s := &supplicant{done: make(chan struct{})}
	cmd := exec.Command(program, "-i", link, "-D", "nl80211", "-C", dir)
	cmd.Stdout, cmd.Stderr = &s.said, &s.said
	// A wpa_supplicant that outlived this program would keep the socket and the radio
	// from the next one. The signal comes when the thread ends that has started it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		s.process = cmd.Process
		started <- err
		if err == nil {
			cmd.Wait()
		}
		close(s.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(dialTimeout); ; {
		var err error
		if s.control, err = dial(path); err == nil {
			return s, nil
		}
		select {
		case <-s.done:
			return nil, fmt.Errorf("wpa_supplicant has ended: %s", s.said.String())
		case <-ctx.Done():
			s.stop()
			return nil, ctx.Err()
		case <-time.After(dialPause):
		}
		if time.Now().After(deadline) {
			s.stop()
			return nil, fmt.Errorf("wpa_supplicant does not answer: %w: %s", err, s.said.String())
		}
	}
}

// stop ends it, and returns when it has ended: within endTimeout if the kernel lets it.
func (s *supplicant) stop() {
	if s.control != nil {
		s.control.close()
	}
	s.process.Signal(syscall.SIGTERM)
	for _, last := range []func(){func() { s.process.Kill() }, func() {}} {
		select {
		case <-s.done:
			return
		case <-time.After(endTimeout):
			last()
		}
	}
}

// A said keeps the last of what a program says.
type said struct {
	mu  sync.Mutex
	buf []byte
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = append(s.buf, p...)
	if cut := len(s.buf) - maxSaid; cut > 0 {
		s.buf = append(s.buf[:0], s.buf[cut:]...)
	}
	return len(p), nil
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(bytes.TrimSpace(s.buf))
}
