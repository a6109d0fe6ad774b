package partition

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// memory is a file in memory that does not grow.
type memory []byte

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m).ReadAt(p, off)
}

func (m memory) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(m)) {
		return 0, errors.New("written beyond the end")
	}
	return copy(m[off:], p), nil
}

func fixture(t testing.TB, name string) memory {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var stampTime = time.Date(2026, 11, 21, 2, 50, 17, 0, time.UTC)

// What was written at two times is the same after stamping.
func TestStampRoot(t *testing.T) {
	a, b := fixture(t, "gok-1.squashfs"), fixture(t, "gok-2.squashfs")
	if bytes.Equal(a, b) {
		t.Fatal("the files are the same before")
	}
	unchanged := bytes.Clone(a)
	for _, m := range []memory{a, b} {
		length, err := StampRoot(m, stampTime)
		if err != nil {
			t.Fatal(err)
		}
		if want := int64(binary.LittleEndian.Uint64(m[40:])); length != want {
			t.Errorf("length is %d, want %d", length, want)
		}
	}
	if !bytes.Equal(a, b) {
		t.Error("the files differ after")
	}
	const inodes = 305 // 1 file, 1 empty one, 300 in a folder, a link, 2 folders
	var changed int
	for i := range a {
		if a[i] != unchanged[i] {
			changed++
		}
	}
	if changed == 0 || changed > 4*(inodes+1) {
		t.Errorf("%d bytes were changed, more than are of times", changed)
	}
}

func TestStampRootRefuses(t *testing.T) {
	inodeTable := func(m memory) []byte { return m[binary.LittleEndian.Uint64(m[64:]):] }
	tests := []struct {
		name   string
		damage func(memory) memory
		time   time.Time
		want   string
	}{
		{"cut off in the superblock", func(m memory) memory { return m[:50] }, stampTime, "superblock"},
		{"not a squashfs", func(m memory) memory { m[0]++; return m }, stampTime, "not a squashfs"},
		{"cut off in the inodes", func(m memory) memory { return m[:binary.LittleEndian.Uint64(m[64:])+100] }, stampTime, "read inode table"},
		{"tables in the wrong order", func(m memory) memory { binary.LittleEndian.PutUint64(m[72:], 96); return m }, stampTime, "damaged"},
		{"compressed inodes", func(m memory) memory { inodeTable(m)[1] &^= 0x80; return m }, stampTime, "compressed"},
		{"inode of another type", func(m memory) memory { inodeTable(m)[2] = 4; return m }, stampTime, "type 4"},
		{"fewer inodes than there are", func(m memory) memory { m[4]--; return m }, stampTime, "after the last"},
		{"more inodes than there are", func(m memory) memory { m[4]++; return m }, stampTime, "ends inside"},
		{"no block size", func(m memory) memory { clear(m[12:16]); return m }, stampTime, "damaged"},
		{"before 1970", func(m memory) memory { return m }, time.Unix(-1, 0), "cannot hold the time"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			m := tc.damage(fixture(t, "gok-1.squashfs"))
			before := bytes.Clone(m)
			if _, err := StampRoot(m, tc.time); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
			if !bytes.Equal(m, before) {
				t.Error("it was changed all the same")
			}
		})
	}
}

func FuzzStampRoot(f *testing.F) {
	good := fixture(f, "gok-1.squashfs")
	f.Add([]byte(good))
	f.Add([]byte(good[:200]))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := memory(bytes.Clone(b))
		if _, err := StampRoot(m, stampTime); err != nil {
			if !bytes.Equal(m, b) {
				t.Errorf("changed, and yet: %v", err)
			}
			return
		}
		once := bytes.Clone(m)
		if _, err := StampRoot(m, stampTime); err != nil || !bytes.Equal(m, once) {
			t.Errorf("the second time is not as the first: %v", err)
		}
	})
}
