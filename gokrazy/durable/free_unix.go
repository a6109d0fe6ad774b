//go:build unix

package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// Free is how many bytes a user may still write in a folder.
func Free(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
