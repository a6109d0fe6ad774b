package fat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"testing"
)

// small is a file system that a fuzzer can change quickly: with a short table, a short
// root folder and few files.
func small(t testing.TB) []byte {
	t.Helper()
	d := newDisk(make([]byte, diskSize))
	used, err := Format(d, diskSize, "small", made, []NewFile{
		{"cmdline.txt", []byte("quiet"), true},
		{"pushcam.txt", text(700), false},
		{"loader/entries/gokrazy.conf", []byte("title gokrazy"), true},
	})
	if err != nil {
		t.Fatal(err)
	}
	f := open(t, d)
	const entries = 32
	b := slices.Concat(d.b[:f.fat+sectorSize], d.b[f.rootAt:f.rootAt+entries*entrySize], d.b[f.data:used])
	le := binary.LittleEndian
	le.PutUint16(b[17:], entries)
	le.PutUint16(b[22:], 1)
	le.PutUint32(b[32:], uint32(len(b)/sectorSize+16))
	return b
}

func TestSmall(t *testing.T) {
	f := open(t, newDisk(small(t)))
	check(t, f, 0)
	if all := everything(t, f); len(all) != 3 || all["pushcam.txt"] != string(text(700)) {
		t.Errorf("it has %q", all)
	}
}

// Whatever is on a disk, reading it ends, and gives no more than the disk has.
func FuzzRead(f *testing.F) {
	f.Add(small(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		disk, err := Open(bytes.NewReader(b))
		if err != nil {
			return
		}
		if disk.Used() > disk.Size() || disk.Free() > disk.Size() {
			t.Errorf("%d of %d bytes are used, %d free", disk.Used(), disk.Size(), disk.Free())
		}
		for _, dir := range []string{"", "loader", "loader/entries"} {
			all, err := disk.ReadDir(dir)
			if err != nil {
				continue
			}
			for _, e := range all {
				path := e.Name
				if dir != "" {
					path = dir + "/" + e.Name
				}
				if b, err := disk.ReadFile(path, 64<<10); err == nil && len(b) > 64<<10 {
					t.Errorf("%s has %d bytes", path, len(b))
				}
			}
		}
	})
}

// Whatever is on a disk, what is written is what is read, in whole sectors of it.
func FuzzWrite(f *testing.F) {
	f.Add(small(f), "pushcam.txt", text(1500))
	f.Add(small(f), "pushcam-report.txt", text(10))
	f.Fuzz(func(t *testing.T, b []byte, name string, data []byte) {
		d := newDisk(append(bytes.Clone(b), make([]byte, 16*sectorSize-len(b)%sectorSize)...))
		disk, err := Open(d)
		if err != nil || len(b) > 64<<10 {
			return
		}
		if disk.WriteFile(name, data, changed) != nil {
			return
		}
		again, err := Open(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, disk := range []*FS{disk, again} {
			if got, err := disk.ReadFile(name, int64(len(data))); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%q is %q, %v", name, got, err)
			}
		}
		stars := bytes.Repeat([]byte("*"), len(data))
		if err := again.Overwrite(name, stars); err != nil {
			t.Error(err)
		}
		if _, _, err := again.ClearFree(t.Context(), 0); err != nil {
			return // a disk that says that it has more than there is
		}
		if got, err := again.ReadFile(name, int64(len(data))); err != nil || !bytes.Equal(got, stars) {
			t.Errorf("%q is %q afterwards, %v", name, got, err)
		}
		if err := again.Remove(name); err != nil {
			t.Error(err)
		}
		if _, err := again.File(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after it is removed: %v", err)
		}
	})
}
