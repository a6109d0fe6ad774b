package fat

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
)

const (
	entrySize  = 32
	maxEntries = 4096 // of a folder that are looked at
	unused     = 0xE5 // begins an entry of a file that was removed
)

// Attributes of an entry.
const (
	isReadOnly = 0x01
	isLabel    = 0x08
	isFolder   = 0x10
	isArchive  = 0x20
	isLong     = 0x0F // a piece of a long name
	longMask   = 0x3F
)

// Entry is a file, or a folder, as its folder says.
type Entry struct {
	Name     string // the long one, if there is one
	Size     int64  // bytes; 0 for a folder
	Dir      bool
	ReadOnly bool
	Modified time.Time // UTC stands for the local time that the disk has

	short      shortName
	first      int // cluster
	start, end int // numbers of its entries in the folder, with the pieces of its name
}

// ReadDir lists a folder, as loader/entries; "" is the root. The names are those of
// the disk, whatever they are, without . and .. .
func (f *FS) ReadDir(path string) ([]Entry, error) {
	raw := f.root
	for at := 0; path != "" && at <= len(path); {
		name, _, _ := strings.Cut(path[at:], "/")
		at += len(name) + 1
		e, err := find(list(raw), name)
		if err == nil && !e.Dir {
			err = fs.ErrNotExist
		}
		if err == nil {
			raw, err = f.folder(e)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return list(raw), nil
}

// folder reads the entries of a folder.
func (f *FS) folder(e Entry) ([]byte, error) {
	chain, err := f.chain(e.first, -1)
	if err != nil {
		return nil, err
	}
	chain = chain[:min(len(chain), int(roundUp(maxEntries*entrySize, f.cluster)/f.cluster))]
	raw := make([]byte, int64(len(chain))*f.cluster)
	for i, c := range chain {
		if err := f.read(raw[int64(i)*f.cluster:][:f.cluster], f.offset(c)); err != nil {
			return nil, err
		}
	}
	return raw, nil
}

// list makes sense of the entries of a folder, of which an empty one is the end.
func list(raw []byte) []Entry {
	var all []Entry
	var pieces pieceReader
	for i := range min(len(raw)/entrySize, maxEntries) {
		e := raw[i*entrySize:][:entrySize]
		switch {
		case e[0] == 0:
			return all
		case e[0] == unused:
			pieces = pieceReader{}
			continue
		case e[11]&longMask == isLong:
			pieces.add(e)
			continue
		}
		short := shortName(e)
		name, count := pieces.name(short)
		pieces = pieceReader{}
		if e[11]&isLabel != 0 || e[0] == '.' {
			continue
		}
		if name == "" {
			name = short.text(e[12])
		}
		le := binary.LittleEndian
		entry := Entry{Name: name, Size: int64(le.Uint32(e[28:])), Dir: e[11]&isFolder != 0, ReadOnly: e[11]&isReadOnly != 0,
			Modified: readTime(le.Uint16(e[24:]), le.Uint16(e[22:])), short: short, first: int(le.Uint16(e[26:])), start: i - count, end: i + 1}
		if entry.Dir {
			entry.Size = 0
		}
		all = append(all, entry)
	}
	return all
}

// find looks for a name, which a disk has once in whatever case.
func find(all []Entry, name string) (Entry, error) {
	for _, e := range all {
		if strings.EqualFold(e.Name, name) || strings.EqualFold(e.short.String(), name) {
			return e, nil
		}
	}
	return Entry{}, fs.ErrNotExist
}

// A File is the content of a file. It can be read as long as its FS is not written to.
type File struct {
	fs    *FS
	size  int64
	chain []int
}

// File opens a file by its path, as loader/entries/gokrazy.conf, in any case. The
// error wraps fs.ErrNotExist if there is none.
func (f *FS) File(path string) (*File, error) {
	file, _, err := f.file(path)
	return file, err
}

func (f *FS) file(path string) (*File, Entry, error) {
	dir, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, name = path[:i], path[i+1:]
	}
	all, err := f.ReadDir(dir)
	if err != nil {
		return nil, Entry{}, err
	}
	e, err := find(all, name)
	if err == nil && e.Dir {
		err = fs.ErrNotExist
	}
	var chain []int
	if err == nil {
		chain, err = f.chain(e.first, e.Size)
	}
	if err != nil {
		return nil, Entry{}, fmt.Errorf("%s: %w", path, err)
	}
	return &File{f, e.Size, chain}, e, nil
}

// Size in bytes.
func (f *File) Size() int64 { return f.size }

// ReadAt reads clusters that follow each other at once.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off >= f.size {
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), f.size-off))
	for n < want {
		i := int((off + int64(n)) / f.fs.cluster)
		skip := (off + int64(n)) % f.fs.cluster
		run := 1
		for i+run < len(f.chain) && f.chain[i+run] == f.chain[i]+run {
			run++
		}
		piece := p[n:min(int64(want), int64(n)+int64(run)*f.fs.cluster-skip)]
		if err := f.fs.read(piece, f.fs.offset(f.chain[i])+skip); err != nil {
			return n, err
		}
		n += len(piece)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// ReadFile returns the content of a file of at most limit bytes, by its path as File
// takes it. A longer one is an error.
func (f *FS) ReadFile(path string, limit int64) ([]byte, error) {
	file, err := f.File(path)
	if err != nil {
		return nil, err
	}
	if file.size > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than are expected", path, file.size)
	}
	b := make([]byte, file.size)
	if _, err := file.ReadAt(b, 0); err != nil && len(b) > 0 {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

func readTime(date, clock uint16) time.Time {
	return time.Date(1980+int(date>>9), time.Month(date>>5&15), int(date&31), int(clock>>11), int(clock>>5&63), int(clock&31)*2, 0, time.UTC)
}

// writeTime is a time as a disk has it: from 1980 to 2107, every two seconds.
func writeTime(t time.Time) (date, clock uint16) {
	t = t.UTC()
	if t.Year() < 1980 {
		t = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	} else if t.Year() > 2107 {
		t = time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC)
	}
	return uint16(t.Year()-1980)<<9 | uint16(t.Month())<<5 | uint16(t.Day()), uint16(t.Hour())<<11 | uint16(t.Minute())<<5 | uint16(t.Second())/2
}

// newEntry is an entry with its long name before it. Each has one, because it is also
// what keeps the case, and what is left of another name before it from being taken for
// the name of this.
func newEntry(name string, attributes byte, t time.Time, first int, size int64, taken map[shortName]bool) ([]byte, error) {
	short, ok := fits(name)
	if !ok || taken[short] {
		var err error
		if short, err = shorten(name, taken); err != nil {
			return nil, err
		}
	}
	taken[short] = true
	return append(longName(name, short), rawEntry(short, attributes, t, first, size)...), nil
}

func rawEntry(short shortName, attributes byte, t time.Time, first int, size int64) []byte {
	e := append(short[:], make([]byte, entrySize-len(short))...)
	e[11] = attributes
	date, clock := writeTime(t)
	le := binary.LittleEndian
	le.PutUint16(e[14:], clock) // made
	le.PutUint16(e[16:], date)
	le.PutUint16(e[18:], date)  // read
	le.PutUint16(e[22:], clock) // changed
	le.PutUint16(e[24:], date)
	le.PutUint16(e[26:], uint16(first))
	le.PutUint32(e[28:], uint32(size))
	return e
}
