package card

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A card that fails is told from one that is shorter than it should be.
func TestReadFails(t *testing.T) {
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, make([]byte, sector+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		short:            io.ErrUnexpectedEOF,
		"/proc/self/mem": syscall.EIO, // nothing is mapped there
	} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		b := &block{f: f, buf: make([]byte, 8*sector)}
		_, err = b.ReadAt(make([]byte, 2*sector), 0)
		if !errors.Is(err, want) || want != io.ErrUnexpectedEOF && errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}
