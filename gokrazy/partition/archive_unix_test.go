//go:build unix

package partition

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What is no plain file is refused before it is opened: to open a pipe would wait
// until somebody writes into it.
func TestOpenArchiveOddFiles(t *testing.T) {
	t.Attr("fault", "update | an image that is a named pipe or a device | it is refused before it is opened | –")
	pipe := filepath.Join(t.TempDir(), "pipe.gaf")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, os.DevNull} {
		if _, err := OpenArchive(path); err == nil || !strings.Contains(err.Error(), "is not an image for updates (.gaf)") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
