package v4l2

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"time"
)

// Threads are looked at so often, and in between so long, before one that waits in
// the kernel counts as hanging: a short wait for a disk looks the same.
const (
	hangLooks = 5
	hangPause = 200 * time.Millisecond
)

// Hangs says whether a thread of this program hangs in the kernel where nothing can
// interrupt it, as in a driver that waits for its hardware. Such a program cannot
// end: it keeps its files and its port, and whoever starts it anew waits for ever.
// It takes a second. The system's files are below root.
func Hangs(ctx context.Context, root string) bool {
	hanging := uninterruptible(root)
	for range hangLooks - 1 {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(hangPause):
		}
		now := uninterruptible(root)
		for thread := range hanging {
			if !now[thread] {
				delete(hanging, thread)
			}
		}
	}
	return len(hanging) > 0
}

// uninterruptible are the threads of this program in the state D of proc(5).
func uninterruptible(root string) map[string]bool {
	threads := map[string]bool{}
	files, _ := filepath.Glob(filepath.Join(root, "proc/self/task/*/stat")) // the pattern is well-formed
	for _, file := range files {
		stat, err := os.ReadFile(file)
		name := bytes.LastIndexByte(stat, ')') // may have brackets and spaces in it
		if err == nil && name >= 0 && bytes.HasPrefix(stat[name:], []byte(") D")) {
			threads[filepath.Base(filepath.Dir(file))] = true
		}
	}
	return threads
}
