//go:build cgo

package camera

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// users names the programs that have a device file open, as far as this program
// may look into their descriptors in /proc.
func users(root, device string) string {
	var found []string
	links, _ := filepath.Glob(filepath.Join(root, "proc/[0-9]*/fd/*")) // the pattern is well-formed
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != device {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		comm, err := os.ReadFile(filepath.Join(process, "comm"))
		if err != nil {
			continue // it has just ended
		}
		user := fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(comm)), filepath.Base(process))
		if !slices.Contains(found, user) {
			found = append(found, user)
		}
	}
	if len(found) == 0 {
		return "a program that this one may not look at"
	}
	return strings.Join(found, ", ")
}
