package durable

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk that fills up while a file is written leaves the old content and nothing
// else.
func TestFullDisk(t *testing.T) {
	t.Attr("fault", "system | the disk fills up while a file is written | the old content stays | when there is room")
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); errors.Is(err, unix.EPERM) {
		t.Skip("only root may mount")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(dir, "file")
	if err := WriteFile(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	f, err := Create(path, 10_000) // which is too little
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(bytes.Repeat([]byte("x"), 100_000))
	var full *NoRoomError
	if !errors.As(err, &full) {
		t.Errorf("error %v", err)
	}
	f.Discard()
	if got, err := ReadFile(path, 20); err != nil || string(got) != "old" {
		t.Errorf("%q, %v", got, err)
	}
	wantOnly(t, dir, "file")
	if err := WriteFile(filepath.Join(dir, "large"), make([]byte, 100_000)); !errors.As(err, &full) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "large"+partSuffix)); err == nil {
		t.Error("a part is left")
	}
}
