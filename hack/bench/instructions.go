//go:build linux

package main

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"
)

//go:embed insn.c
var insn []byte

// An insnRun is how many instructions of a Pi's processor pushcam's own code takes, which
// does not depend on how busy this machine is. The kernel's are not in it: qemu-aarch64 runs
// a program, and leaves its system calls to this machine's kernel.
type insnRun struct {
	viewers      int
	instructions float64 // per frame delivered
}

// insnLength is long enough that what a program does once a second counts little.
const insnLength = 10 * time.Second

func (b *bench) measureInstructions(ctx context.Context, module string) (all []insnRun, err error) {
	if _, err := exec.LookPath("qemu-aarch64"); err != nil {
		return nil, errors.New("qemu-aarch64 is missing; apt-get install qemu-user")
	}
	if err := os.WriteFile(b.tools.path("insn.c"), insn, 0o644); err != nil {
		return nil, err
	}
	build := exec.CommandContext(ctx, "gcc", "-O2", "-fPIC", "-shared", "-o", b.tools.path("insn.so"), b.tools.path("insn.c"))
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build insn.so: %w: %s", err, out)
	}
	build = exec.CommandContext(ctx, "go", "build", "-o", b.tools.path("pushcam-arm64"), "./cmd/pushcam")
	build.Dir, build.Env = module, append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build pushcam for arm64: %w: %s", err, out)
	}
	for _, n := range crowds {
		r, err := b.countInstructions(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("instructions with %d viewers: %w", n, err)
		}
		b.say("%3d viewers: %.0f instructions per frame", n, r.instructions)
		all = append(all, r)
	}
	return all, nil
}

func (b *bench) countInstructions(ctx context.Context, n int) (r insnRun, err error) {
	r.viewers = n
	where, err := newNamespace(ctx, loopbackMTU)
	if err != nil {
		return r, err
	}
	defer where.close()
	file := b.tools.path(fmt.Sprintf("count%d", n))
	serving, err := (server{command: func(ctx context.Context, t *tools, address string, size int) *exec.Cmd {
		return exec.CommandContext(ctx, "qemu-aarch64", "-plugin", "file="+t.path("insn.so")+",out="+file, t.path("pushcam-arm64"),
			"-listen", address, "-source", "replay:"+t.recording(size), "-fps", strconv.Itoa(frameRate), "-max-viewers", strconv.Itoa(2*n))
	}}).begin(ctx, b.tools, where, serveAddress, frameSize)
	if err != nil {
		return r, err
	}
	defer serving.end()
	crowd, err := startViewers(ctx, b.tools, where, watching{Address: serveAddress, Viewers: n})
	if err != nil {
		return r, err
	}
	if err := sleep(ctx, costSettle); err != nil {
		return r, err
	}
	count, err1 := countOf(file)
	begin := time.Now()
	if err := sleep(ctx, insnLength); err != nil {
		return r, err
	}
	countThen, err2 := countOf(file)
	end := time.Now()
	seen, err := crowd.end()
	got := slices.Concat(seen...).between(begin.UnixNano(), end.UnixNano())
	r.instructions = float64(countThen-count) / float64(max(len(got), 1))
	return r, errors.Join(err, err1, err2)
}

// countOf adds up what insn.c counts.
func countOf(file string) (sum uint64, err error) {
	b, err := os.ReadFile(file)
	for i := 0; i+64 <= len(b); i += 64 {
		sum += binary.NativeEndian.Uint64(b[i:])
	}
	return sum, err
}
