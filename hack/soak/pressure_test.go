//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// memoryGroup makes a control group that may have so many bytes, and returns what tells how
// often the kernel has ended a process of it. Only a system that lets nobody have such a group
// skips the test: a container without rights, or a kernel without them.
func memoryGroup(t *testing.T, limit int) (dir string, ended func() string) {
	t.Helper()
	name, limitFile, toldIn := "/sys/fs/cgroup", "memory.max", "memory.events"
	if _, err := os.Stat("/sys/fs/cgroup/memory/memory.limit_in_bytes"); err == nil { // version 1
		name, limitFile, toldIn = "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control"
	} else if f, err := os.OpenFile(filepath.Join(name, "cgroup.subtree_control"), os.O_WRONLY, 0); err == nil {
		_, err = f.WriteString("+memory") // where that is refused, groups may have it all the same
		t.Logf("limits of memory are asked for: %v", errors.Join(err, f.Close()))
	}
	dir, err := os.MkdirTemp(name, "pushcam")
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		t.Skipf("skipped, so nobody looks here whether the memory budget holds: this computer, or the container, lets no control group be made: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() { // it is busy for a moment after the end of its last process
		for began := time.Now(); time.Since(began) < patience; time.Sleep(10 * time.Millisecond) {
			if err := os.Remove(dir); !errors.Is(err, syscall.EBUSY) {
				return
			}
		}
	})
	file, err := os.OpenFile(filepath.Join(dir, limitFile), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("skipped, so nobody looks here whether the memory budget holds: control groups do not limit memory: %v", err)
	}
	if err == nil {
		_, err = fmt.Fprint(file, limit)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, func() string {
		text, err := os.ReadFile(filepath.Join(dir, toldIn))
		for line := range strings.Lines(string(text)) {
			if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
				return strings.TrimSpace(n)
			}
		}
		return fmt.Sprintf("unknown: %v, %q", err, text)
	}
}

// The memory that the owner gives the program is enough, also if the kernel gives no more,
// for pictures of any size and viewers that stop in the middle of them.
func TestMemoryPressure(t *testing.T) {
	t.Attr("fault", "system | 127 viewers that stop in the middle of pictures of 4 MB, and no memory beyond the budget (a control group's) | the kernel ends nothing; who reads gets whole pictures | –")
	s := &soak{dir: t.TempDir(), out: t.Output()}
	var killed func() string
	s.group, killed = memoryGroup(t, budget)
	film := filepath.Join(s.dir, "film")
	if err := os.Mkdir(film, 0o700); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	picture := image.NewGray(image.Rect(0, 0, 2048, 2048))
	for i := range picture.Pix {
		picture.Pix[i] = byte(random.Uint32())
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	if b.Len() < 4<<20 {
		t.Fatalf("a picture has %d bytes only", b.Len())
	}
	for n := range 2 {
		if err := os.WriteFile(filepath.Join(film, fmt.Sprintf("%d.jpg", n)), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.cmd.Process.Kill() // if it has not ended by then

	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	reader, watching := &steady{age: s.clock.age}, make(chan struct{})
	go func() {
		defer close(watching)
		reader.run(ctx, s.address)
	}()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) { // else the others may have its place
		now, err := s.measure(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if now.viewers == 1 {
			break
		}
		if time.Since(began) > patience {
			t.Fatalf("there are %v viewers, and one asks for the stream", now.viewers)
		}
	}
	for range 127 {
		all.Go(func() {
			for ctx.Err() == nil {
				conn, hangUp, err := dial(ctx, s.address)
				if err != nil {
					return
				}
				request(conn, "GET /stream")
				conn.Read(make([]byte, 1)) // it has begun, or is refused
				select {
				case <-ctx.Done():
				case <-time.After(3 * time.Second):
				}
				hangUp()
			}
		})
	}
	var most float64
	for range 20 {
		now, err := s.measure(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, now.memory)
		time.Sleep(200 * time.Millisecond)
	}
	cancel()
	<-watching
	if err := errors.Join(s.cmd.Process.Signal(syscall.SIGTERM), s.cmd.Wait()); err != nil || killed() != "0" {
		t.Errorf("the program ended with %v, and the kernel has ended %s processes\n%s", err, killed(), s.log.Bytes())
	}
	t.Logf("%.1f MB at most; one viewer took %d pictures", most/1e6, reader.frames)
	if reader.damaged != nil || reader.frames == 0 {
		t.Errorf("one viewer took %d pictures, then: %v", reader.frames, reader.damaged)
	}
	if most > budget {
		t.Errorf("the program had %.1f MB, of %.1f", most/1e6, budget/1e6)
	}
}
