//go:build unix

package image

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The /perm of an image for everybody is the same at every build of a version, whenever
// that is, and another one in another version.
func TestPermIsTheSame(t *testing.T) {
	mkfs, err := lookSbin("mkfs.ext4")
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("%v: sudo apt-get install e2fsprogs", err)
	} else if err != nil {
		t.Fatal(err)
	}
	format := func(img *Image) []byte {
		t.Helper()
		path := filepath.Join(t.TempDir(), "card")
		at := span{offset: 1 << 20, size: 8 << 20}
		if err := os.WriteFile(path, make([]byte, at.offset+at.size), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := formatPerm(t.Context(), mkfs, path, at, img, ""); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := format(&Image{Version: "v1", Time: stampTime})
	time.Sleep(1100 * time.Millisecond) // ext4 counts in seconds
	if !bytes.Equal(first, format(&Image{Version: "v1", Time: stampTime})) {
		t.Error("it is another one the second time")
	}
	if bytes.Equal(first, format(&Image{Version: "v2", Time: stampTime})) {
		t.Error("two versions have the same")
	}
}
