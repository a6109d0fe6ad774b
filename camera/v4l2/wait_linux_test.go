//go:build cgo

package v4l2

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestWait is on the real clock, since inotify is outside of synctest's; it
// returns as soon as it may, and fails only when that never happens.
func TestWait(t *testing.T) {
	const never = time.Hour
	tests := []struct {
		name   string
		before func(*testing.T, *machine) // after find and before wait
		during func(*testing.T, *machine)
	}{
		{name: "appeared in between", before: func(t *testing.T, m *machine) { m.plug(t, "video1", webcam, nil, "") }},
		{name: "appears", during: func(t *testing.T, m *machine) { m.write(t, "dev/video1", "") }},
		{name: "permission in between", before: func(t *testing.T, m *machine) { chmod(t, m, 0o660) }},
		{name: "permission", during: func(t *testing.T, m *machine) { chmod(t, m, 0o660) }},
		{name: "renamed", during: func(t *testing.T, m *machine) {
			if err := os.Rename(filepath.Join(m.root, "dev/null"), filepath.Join(m.root, "dev/video9")); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "comes back", during: func(t *testing.T, m *machine) {
			m.write(t, "dev/other", "")
			m.unplug(t, "video0")
			m.write(t, "dev/video0", "")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.plug(t, "video0", metadata, nil, "")
			if _, err := m.find(m.root, ""); err == nil {
				t.Fatal("found a camera")
			}
			if tt.before != nil {
				tt.before(t, m)
			}
			asleep := make(chan struct{})
			m.waiting = sync.OnceFunc(func() { close(asleep) })
			early := make(chan bool)
			go func() { early <- m.wait(t.Context(), m.root, never) }()
			if tt.during != nil {
				<-asleep
				tt.during(t, m)
			}
			if !<-early {
				t.Error("wait was not early")
			}
		})
	}
}

func TestWaitIsNotEarly(t *testing.T) {
	m := newMachine(t)
	m.plug(t, "video0", webcam, nil, "")
	m.plug(t, "video1", metadata, nil, "")
	if _, err := m.find(m.root, ""); err != nil {
		t.Fatal(err)
	}
	m.unplug(t, "video1")
	m.write(t, "dev/ttyUSB0", "")
	if m.wait(t.Context(), m.root, time.Millisecond) {
		t.Error("early although no camera appeared")
	}
	ctx, cancel := context.WithCancel(t.Context())
	early := make(chan bool)
	go func() { early <- m.wait(ctx, m.root, time.Hour) }()
	cancel()
	if <-early {
		t.Error("early although its context was done")
	}
}

func TestWaitWithoutInotify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{root: filepath.Join(t.TempDir(), "nowhere")}
		before := time.Now()
		if m.wait(t.Context(), m.root, time.Hour) || time.Since(before) != unwatchedWait {
			t.Errorf("wait took %v, want %v: it must look by itself", time.Since(before), unwatchedWait)
		}
	})
}

func chmod(t *testing.T, m *machine, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(filepath.Join(m.root, "dev/video0"), mode); err != nil {
		t.Fatal(err)
	}
}
