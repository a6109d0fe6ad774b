// Package fat makes, reads and changes FAT16 file systems as bytes, on a PC and on the
// appliance: that of the card's boot partition, which no kernel of the appliance may
// mount (package card says why).
//
// It is our own code because no library serves: go-diskfs v1.7.0 knows FAT32 and not
// FAT16, github.com/gokrazy/internal/fat cannot be imported and makes a file system
// without room, and none of them writes in an order that a power cut may end anywhere.
//
// # What a power cut leaves
//
// Writes must reach the card in their order, each whole sector old or new, as they do
// with O_SYNC. WriteFile first fills clusters that are free, then marks them as a chain
// in the table (in each copy of it), then writes the file's entry, which is in one
// sector of the root folder, and at last frees the chain of the old content. The entry
// is what decides: before its sector is written the old file is there, after it the new
// one. A cut may leave clusters that are marked and belong to no file: they are lost
// until a tool for disks frees them, and harm nothing.
//
// (Microsoft, FAT: General Overview of On-Disk Format, 1.03)
package fat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// sectorSize in bytes is the only one that is known.
const sectorSize = 512

// Entries of the table.
const (
	firstCluster = 2      // the entries before it are no clusters
	maxClusters  = 65524  // that FAT16 can have
	bad          = 0xFFF7 // a cluster that the disk does not keep
	endOfChain   = 0xFFF8 // and all above
)

// FS is a FAT16 file system that was opened. It has the table and the root folder in
// memory, so nobody else may change the file system meanwhile. It is for one goroutine.
type FS struct {
	r       io.ReaderAt
	w       io.WriterAt // nil: it is for reading only
	size    int64       // bytes
	cluster int64       // bytes
	fat     int64       // offset of the first copy of the table
	copies  int         // of the table
	perCopy int64       // bytes
	rootAt  int64       // offset of the root folder
	data    int64       // offset of the first cluster
	table   []byte      // 2 bytes for each cluster, and for the two that are none
	root    []byte
}

var (
	errWorn = errors.New("what was written is not what is read: the card is worn out")
	errLoop = errors.New("its chain of clusters is damaged")
)

// Open reads the file system in r, whose table and root folder must be whole. To write,
// r must be an io.WriterAt too; it is given whole sectors.
func Open(r io.ReaderAt) (*FS, error) {
	b := make([]byte, sectorSize)
	if n, err := r.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("read boot sector: %w", err)
	}
	le := binary.LittleEndian
	if le.Uint16(b[510:]) != 0xAA55 || le.Uint16(b[11:]) != sectorSize || string(b[54:62]) != "FAT16   " || b[13] == 0 {
		return nil, errors.New("not a FAT16 file system with sectors of 512 bytes")
	}
	f := &FS{
		r:       r,
		size:    max(int64(le.Uint16(b[19:])), int64(le.Uint32(b[32:]))) * sectorSize,
		cluster: int64(b[13]) * sectorSize,
		fat:     int64(le.Uint16(b[14:])) * sectorSize,
		copies:  int(b[16]),
		perCopy: int64(le.Uint16(b[22:])) * sectorSize,
	}
	f.w, _ = r.(io.WriterAt)
	entries := int64(le.Uint16(b[17:]))
	f.rootAt = f.fat + int64(f.copies)*f.perCopy
	f.data = f.rootAt + roundUp(entries*entrySize, sectorSize)
	clusters := min((f.size-f.data)/f.cluster, f.perCopy/2-firstCluster)
	if f.fat == 0 || f.copies == 0 || clusters < 1 || clusters > maxClusters || entries < 1 || entries > maxEntries {
		return nil, errors.New("the boot sector of the FAT16 file system is damaged")
	}
	f.table, f.root = make([]byte, 2*(clusters+firstCluster)), make([]byte, entries*entrySize)
	if err := f.read(f.table, f.fat); err != nil {
		return nil, fmt.Errorf("read the table: %w", err)
	}
	if err := f.read(f.root, f.rootAt); err != nil {
		return nil, fmt.Errorf("read the root folder: %w", err)
	}
	return f, nil
}

// Size is how many bytes the file system has.
func (f *FS) Size() int64 { return f.size }

// Used is where the last cluster ends that is not free, in bytes from the beginning: a
// copy of the file system up to there has all files.
func (f *FS) Used() int64 {
	for c := f.clusters() - 1; c >= 0; c-- {
		if f.next(c+firstCluster) != 0 {
			return f.offset(c+firstCluster) + f.cluster
		}
	}
	return f.data
}

// Free is how many bytes more files can have.
func (f *FS) Free() int64 {
	free := int64(0)
	for c := range f.clusters() {
		if f.next(c+firstCluster) == 0 {
			free += f.cluster
		}
	}
	return free
}

func (f *FS) clusters() int { return len(f.table)/2 - firstCluster }

// next is what the table says of a cluster.
func (f *FS) next(cluster int) int { return int(binary.LittleEndian.Uint16(f.table[2*cluster:])) }

func (f *FS) offset(cluster int) int64 { return f.data + int64(cluster-firstCluster)*f.cluster }

func (f *FS) isCluster(n int) bool { return n >= firstCluster && n < f.clusters()+firstCluster }

// chain returns the clusters of a file with the first one and size bytes. A size below
// zero is that of a folder, which ends where its chain does.
func (f *FS) chain(first int, size int64) ([]int, error) {
	want := int((size + f.cluster - 1) / f.cluster)
	if size < 0 {
		want = f.clusters()
	} else if want > f.clusters() {
		return nil, errLoop
	}
	var chain []int
	for at := first; len(chain) < want; at = f.next(at) {
		if size < 0 && at >= endOfChain {
			return chain, nil
		}
		if !f.isCluster(at) {
			return nil, errLoop
		}
		chain = append(chain, at)
	}
	if size < 0 {
		return nil, errLoop // it has as many as there are, and goes on
	}
	return chain, nil
}

// rest returns the clusters that follow a chain's, which a file may have beyond its
// size. first is that of the file, for a chain without any.
func (f *FS) rest(chain []int, first int) []int {
	at := first
	if len(chain) > 0 {
		at = f.next(chain[len(chain)-1])
	}
	var rest []int
	for ; f.isCluster(at) && len(chain)+len(rest) < f.clusters(); at = f.next(at) {
		rest = append(rest, at)
	}
	return rest
}

func (f *FS) read(b []byte, at int64) error {
	if n, err := f.r.ReadAt(b, at); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}

// put writes whole sectors and reads them back.
func (f *FS) put(b []byte, at int64) error {
	if f.w == nil {
		return errors.New("the file system is open for reading only")
	}
	if _, err := f.w.WriteAt(b, at); err != nil {
		return err
	}
	back := make([]byte, len(b))
	if err := f.read(back, at); err != nil {
		return err
	}
	if !bytes.Equal(back, b) {
		return errWorn
	}
	return nil
}

// allocate finds free clusters for size bytes. It marks none.
func (f *FS) allocate(size int64) ([]int, error) {
	want := int((size + f.cluster - 1) / f.cluster)
	var free []int
	for c := firstCluster; f.isCluster(c) && len(free) < want; c++ {
		if f.next(c) == 0 {
			free = append(free, c)
		}
	}
	if len(free) < want {
		return nil, fmt.Errorf("%d bytes do not fit into the %d that are free in the boot partition: %w", size, f.Free(), syscall.ENOSPC)
	}
	return free, nil
}

// link marks clusters as a chain, in their order, and unlink as free.
func (f *FS) link(chain []int) error {
	return f.mark(chain, func(i int) uint16 {
		if i+1 < len(chain) {
			return uint16(chain[i+1])
		}
		return 0xFFFF
	})
}

func (f *FS) unlink(chain []int) error { return f.mark(chain, func(int) uint16 { return 0 }) }

func (f *FS) mark(chain []int, entry func(i int) uint16) error {
	changed := make(map[int64]bool) // sectors, from the beginning of the table
	var order []int64
	for i, c := range chain {
		binary.LittleEndian.PutUint16(f.table[2*c:], entry(i))
		if sector := int64(2 * c / sectorSize); !changed[sector] {
			changed[sector] = true
			order = append(order, sector)
		}
	}
	for copy := range int64(f.copies) {
		for _, sector := range order {
			if err := f.putTable(sector, f.fat+copy*f.perCopy); err != nil {
				return fmt.Errorf("the table: %w", err)
			}
		}
	}
	return nil
}

// putTable writes a sector of the table to the copy at an offset. The last sector may
// have more than the table.
func (f *FS) putTable(sector, table int64) error {
	b := make([]byte, sectorSize)
	part := f.table[sector*sectorSize:]
	if len(part) < sectorSize {
		if err := f.read(b, table+sector*sectorSize); err != nil {
			return err
		}
	}
	copy(b, part)
	return f.put(b, table+sector*sectorSize)
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }
