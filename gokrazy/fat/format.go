package fat

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"time"
)

// NewFile is a file that Format puts into a file system.
type NewFile struct {
	Path string // as loader/entries/gokrazy.conf; its folders are made
	Data []byte
	// ReadOnly keeps people from changing it by mistake. On the card it also tells
	// what belongs to the system from what belongs to the owner.
	ReadOnly bool
}

// The file system that Format makes. gokrazy's own reader knows only file systems with
// one copy of the table, and only files in one piece; a Pi 3 wants as many reserved
// sectors as a cluster has (gok's fat.Writer).
const (
	rootEntries = 512 // as nearly every FAT16 has
	minClusters = 4085
	maxCluster  = 32 << 10 // bytes
)

// Format makes a file system of size bytes in w, with these files, each in one piece,
// one after the other. All times are modified, so the same files make the same bytes. It
// writes from the beginning to where the last file ends, and returns how many bytes that
// is: the rest is free, whatever it has. label has up to 11 letters.
func Format(w io.WriterAt, size int64, label string, modified time.Time, files []NewFile) (used int64, err error) {
	b, err := newBuilder(size, modified)
	if err != nil {
		return 0, err
	}
	root := &folder{}
	for _, file := range files {
		dir, name := root, file.Path
		for {
			parent, rest, deeper := strings.Cut(name, "/")
			if !deeper {
				break
			}
			dir, name = dir.child(parent), rest
		}
		dir.files = append(dir.files, NewFile{name, file.Data, file.ReadOnly})
	}
	var volume shortName
	copy(volume[:], strings.ToUpper(label)+strings.Repeat(" ", len(volume)))
	head := rawEntry(volume, isLabel, modified, 0, 0)
	entries, err := b.entries(root, 0)
	if err != nil {
		return 0, err
	}
	if entries = append(head, entries...); len(entries) > rootEntries*entrySize {
		return 0, fmt.Errorf("%d files do not fit into a root folder", len(files))
	}
	if len(b.table)/2 > b.clusters+firstCluster {
		return 0, fmt.Errorf("files of %.1f MB do not fit into a file system of %.1f MB", float64(len(b.content))/1e6, float64(size)/1e6)
	}
	for at, part := range map[int64][]byte{
		0:        append(b.bootSector(volume), make([]byte, b.fat-sectorSize)...),
		b.fat:    append(b.table, make([]byte, b.root-b.fat-int64(len(b.table)))...),
		b.root:   append(entries, make([]byte, rootEntries*entrySize-len(entries))...),
		b.data(): b.content,
	} {
		if _, err := w.WriteAt(part, at); err != nil {
			return 0, err
		}
	}
	return b.data() + int64(len(b.content)), nil
}

// builder puts a file system together.
type builder struct {
	size      int64 // bytes
	modified  time.Time
	cluster   int64 // bytes
	clusters  int
	fat, root int64 // offsets
	table     []byte
	content   []byte // of the clusters
}

func newBuilder(size int64, modified time.Time) (*builder, error) {
	for cluster := int64(maxCluster); cluster >= sectorSize; cluster /= 2 {
		// What a cluster costs, with its two bytes of the table. A cluster that does
		// not fit any more is left over.
		fat := cluster
		room := size - fat - rootEntries*entrySize
		clusters := room / (cluster + 2)
		perCopy := roundUp(2*(clusters+firstCluster), sectorSize)
		clusters = (room - perCopy) / cluster
		// More clusters are smaller ones, which waste less; 2 KiB is what gok has.
		if clusters < minClusters || cluster > 2048 && (room-perCopy)/(cluster/2) <= maxClusters {
			continue
		}
		if clusters > maxClusters {
			break
		}
		b := &builder{size: size / sectorSize * sectorSize, modified: modified, cluster: cluster, clusters: int(clusters), fat: fat, root: fat + perCopy}
		b.table = binary.LittleEndian.AppendUint16(b.table, 0xFFF8) // a fixed disk
		b.table = binary.LittleEndian.AppendUint16(b.table, 0xFFFF) // that was unmounted well
		return b, nil
	}
	return nil, fmt.Errorf("a FAT16 file system cannot have %d bytes", size)
}

func (b *builder) data() int64 { return b.root + rootEntries*entrySize }

func (b *builder) bootSector(label shortName) []byte {
	s := make([]byte, sectorSize)
	le := binary.LittleEndian
	copy(s, "\xEB\x3C\x90MSWIN4.1") // as Microsoft asks for, for old readers
	le.PutUint16(s[11:], sectorSize)
	s[13] = byte(b.cluster / sectorSize)
	le.PutUint16(s[14:], uint16(b.fat/sectorSize))
	s[16] = 1 // copy of the table
	le.PutUint16(s[17:], rootEntries)
	s[21] = 0xF8 // a fixed disk
	le.PutUint16(s[22:], uint16((b.root-b.fat)/sectorSize))
	le.PutUint16(s[24:], 63) // sectors of a track, and heads, which nobody has
	le.PutUint16(s[26:], 255)
	le.PutUint32(s[32:], uint32(b.size/sectorSize))
	s[36], s[38] = 0x80, 0x29
	le.PutUint32(s[39:], uint32(b.modified.Unix())) // a serial number
	copy(s[43:], label[:])
	copy(s[54:], "FAT16   ")
	s[510], s[511] = 0x55, 0xAA
	return s
}

// store puts content into the next clusters, and returns the first.
func (b *builder) store(content []byte) (first int) {
	if len(content) == 0 {
		return 0
	}
	first = len(b.table) / 2
	for at := int64(0); at < int64(len(content)); at += b.cluster {
		next := uint16(len(b.table)/2 + 1)
		if at+b.cluster >= int64(len(content)) {
			next = 0xFFFF
		}
		b.table = binary.LittleEndian.AppendUint16(b.table, next)
	}
	b.content = append(b.content, content...)
	b.content = append(b.content, make([]byte, roundUp(int64(len(b.content)), b.cluster)-int64(len(b.content)))...)
	return first
}

// folder is one that is not written yet.
type folder struct {
	files   []NewFile // by their names in it
	folders []*folder
	name    string
}

func (d *folder) child(name string) *folder {
	for _, c := range d.folders {
		if strings.EqualFold(c.name, name) {
			return c
		}
	}
	c := &folder{name: name}
	d.folders = append(d.folders, c)
	return c
}

// entries stores what is in a folder whose own cluster is first, and returns its
// entries, without . and .. .
func (b *builder) entries(d *folder, first int) (all []byte, err error) {
	taken := make(map[shortName]bool)
	add := func(name string, attributes byte, first int, size int64) error {
		if err := checkName(name); err != nil {
			return err
		}
		if _, err := find(list(append(all, make([]byte, entrySize)...)), name); err == nil {
			return fmt.Errorf("there are two files %s", name)
		}
		e, err := newEntry(name, attributes, b.modified, first, size, taken)
		all = append(all, e...)
		return err
	}
	for _, file := range d.files {
		attributes := byte(isArchive)
		if file.ReadOnly {
			attributes = isReadOnly
		}
		if err := add(file.Path, attributes, b.store(file.Data), int64(len(file.Data))); err != nil {
			return nil, err
		}
	}
	for _, c := range d.folders {
		at, err := b.folder(c, first)
		if err == nil {
			err = add(c.name, isFolder, at, 0)
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// folder stores a folder, and returns its first cluster. Its own clusters are kept free
// for it, because those below it have to name the first.
func (b *builder) folder(d *folder, parent int) (first int, err error) {
	at := len(b.content)
	first = b.store(make([]byte, d.size()))
	below, err := b.entries(d, first)
	if err != nil {
		return 0, err
	}
	copy(b.content[at:], rawEntry(shortName([]byte(".          ")), isFolder, b.modified, first, 0))
	copy(b.content[at+entrySize:], rawEntry(shortName([]byte("..         ")), isFolder, b.modified, parent, 0))
	copy(b.content[at+2*entrySize:], below)
	return first, nil
}

// size is how many bytes the entries of a folder have, with . and .. .
func (d *folder) size() int {
	n := 2 * entrySize
	for _, f := range d.files {
		n += len(longName(f.Path, shortName{})) + entrySize
	}
	for _, c := range d.folders {
		n += len(longName(c.name, shortName{})) + entrySize
	}
	return n
}
