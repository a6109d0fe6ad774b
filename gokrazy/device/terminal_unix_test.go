//go:build unix

package device

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWriteTerminal(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	root := Root(dir)
	if err := root.WriteTerminal("tty1", "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a terminal: %v", err)
	}
	path := filepath.Join(dir, "dev", "tty1")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := root.WriteTerminal("tty1", "x"); err == nil {
		t.Error("a terminal that nobody has open took something")
	}
	end, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	if err := root.WriteTerminal("tty1", "hello"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(end, got); err != nil || string(got) != "hello" {
		t.Errorf("the terminal got %q, %v", got, err)
	}
	// It is full and takes nothing: that must not hold up for ever who writes.
	if err := root.WriteTerminal("tty1", string(make([]byte, 1<<20))); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a terminal that takes nothing: %v", err)
	}
}
