package partition

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf16"
)

const (
	sectorSize    = 512 // bytes, the only size that gok writes
	dirEntrySize  = 32
	maxDirEntries = 4096 // that are looked at in one folder
	unused        = 0xE5 // begins an entry of a file that was removed
)

// fat is a FAT16 file system as gok writes it, with every file in one piece.
// (Microsoft, FAT: General Overview of On-Disk Format, 1.03)
type fat struct {
	r       io.ReaderAt
	size    int64 // bytes
	cluster int64 // bytes
	table   int64 // offset of the table, which has 2 bytes for each cluster
	root    int64 // offset of the root folder
	entries int   // in the root folder
	data    int64 // offset of cluster 2
}

// fatFile is where a file is.
type fatFile struct{ offset, size int64 }

func openFAT(r io.ReaderAt) (*fat, error) {
	b := make([]byte, sectorSize)
	if n, err := r.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("read boot sector: %w", err)
	}
	le := binary.LittleEndian
	if le.Uint16(b[510:]) != 0xAA55 || le.Uint16(b[11:]) != sectorSize || string(b[54:62]) != "FAT16   " || b[13] == 0 {
		return nil, errors.New("not a FAT16 file system with sectors of 512 bytes")
	}
	reserved, tables, sectors := int64(le.Uint16(b[14:])), int64(b[16]), int64(le.Uint16(b[22:]))
	f := &fat{
		r:       r,
		size:    max(int64(le.Uint16(b[19:])), int64(le.Uint32(b[32:]))) * sectorSize,
		cluster: int64(b[13]) * sectorSize,
		table:   reserved * sectorSize,
		root:    (reserved + tables*sectors) * sectorSize,
		entries: int(le.Uint16(b[17:])),
	}
	f.data = f.root + (int64(f.entries)*dirEntrySize+sectorSize-1)/sectorSize*sectorSize
	return f, nil
}

// find looks for a file by its path, for instance loader/entries/gokrazy.conf.
func (f *fat) find(path string) (fatFile, error) {
	file, _, err := f.findEntry(path)
	return file, err
}

// findEntry is as find, and says where the file's entry in its folder is.
func (f *fat) findEntry(path string) (fatFile, dirEntry, error) {
	dir, entries := f.root, f.entries
	parts := strings.Split(path, "/")
	for i, name := range parts {
		entry, err := f.lookup(dir, entries, name)
		if err != nil {
			return fatFile{}, entry, fmt.Errorf("%s: %w", path, err)
		}
		const isFolder = 0x10
		e := entry.short
		cluster, size := int64(binary.LittleEndian.Uint16(e[26:])), int64(binary.LittleEndian.Uint32(e[28:]))
		at := f.data + (cluster-2)*f.cluster
		last := i == len(parts)-1
		switch {
		case (e[11]&isFolder == 0) != last:
			return fatFile{}, entry, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
		case cluster < 2:
			return fatFile{}, entry, fmt.Errorf("%s: it is empty", path)
		case last:
			return fatFile{at, size}, entry, nil
		}
		dir, entries = at, maxDirEntries
	}
	return fatFile{}, dirEntry{}, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
}

// dirEntry is what a folder says of a file: the pieces of its long name, and the
// entry with its short one.
type dirEntry struct {
	short   []byte
	at, end int64 // offsets, of the first piece and behind the short entry
}

// lookup finds a name in a folder of at most n entries, of which an empty one is the
// end.
func (f *fat) lookup(dir int64, n int, name string) (dirEntry, error) {
	var long []uint16
	var pieces int64
	for i := range min(n, maxDirEntries) {
		e, at := make([]byte, dirEntrySize), dir+int64(i)*dirEntrySize
		if n, err := f.r.ReadAt(e, at); n < len(e) {
			return dirEntry{}, err
		}
		const (
			attributes = 0x0F
			longName   = 0x0F
			label      = 0x08
		)
		switch {
		case e[0] == 0:
			return dirEntry{}, fs.ErrNotExist
		case e[0] == unused:
			long, pieces = nil, 0
			continue
		case e[11]&attributes == longName:
			// A long name's last piece comes first, and has the bit 0x40.
			if e[0]&0x40 != 0 {
				long, pieces = nil, 0
			}
			long = append(longPiece(e), long...)
			pieces++
			continue
		}
		if e[11]&label == 0 && (strings.EqualFold(shortName(e), name) || strings.EqualFold(string(utf16.Decode(long)), name)) {
			return dirEntry{short: e, at: at - pieces*dirEntrySize, end: at + dirEntrySize}, nil
		}
		long, pieces = nil, 0
	}
	return dirEntry{}, fs.ErrNotExist
}

func longPiece(e []byte) []uint16 {
	var piece []uint16
	for _, b := range slices.Collect(slices.Chunk(slices.Concat(e[1:11], e[14:26], e[28:32]), 2)) {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 || u == 0xFFFF {
			break
		}
		piece = append(piece, u)
	}
	return piece
}

func shortName(e []byte) string {
	name, extension := strings.TrimRight(string(e[:8]), " "), strings.TrimRight(string(e[8:11]), " ")
	if extension == "" {
		return name
	}
	return name + "." + extension
}

// read returns a file's place and content. The file has at most one cluster, so that
// it is in one piece whoever has written it.
func (f *fat) read(path string) (fatFile, []byte, error) {
	at, err := f.find(path)
	if err != nil {
		return at, nil, err
	}
	if at.size > f.cluster {
		return at, nil, fmt.Errorf("%s has %d bytes, more than are expected", path, at.size)
	}
	b := make([]byte, at.size)
	if n, err := f.r.ReadAt(b, at.offset); n < len(b) {
		return at, nil, fmt.Errorf("%s: %w", path, err)
	}
	return at, b, nil
}
