//go:build cgo

package v4l2

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// users names the programs that have a device file open, as far as this program
// may look into their descriptors in /proc. One descriptor of this program's own
// is not counted: it is the one with which it was found out that the device is
// in use. It finds none if it may not look, or if all that is left of the program
// is a call that hangs in the kernel.
func users(root, device string) (names string) {
	self := strconv.Itoa(os.Getpid())
	own := 0
	var found []string
	links, _ := filepath.Glob(filepath.Join(root, "proc/[0-9]*/fd/*")) // the pattern is well-formed
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != device {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		pid := filepath.Base(process)
		comm, err := os.ReadFile(filepath.Join(process, "comm"))
		if err != nil {
			continue // it has just ended
		}
		if pid == self {
			if own++; own == 1 {
				continue
			}
			comm = []byte("this program itself")
		}
		user := fmt.Sprintf("%s (process %s)", bytes.TrimSpace(comm), pid)
		if !slices.Contains(found, user) {
			found = append(found, user)
		}
	}
	return strings.Join(found, ", ")
}
