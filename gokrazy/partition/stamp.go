package partition

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// StampRoot sets all times in a squashfs to t and returns its length in bytes.
// gok writes the time of the build there. Everything else in its file system
// depends on the files only, so this is what makes a root reproducible.
//
// It knows what gok writes: metadata that is not compressed, and the inode types
// of folders, files and links.
func StampRoot(rw interface {
	io.ReaderAt
	io.WriterAt
}, t time.Time) (length int64, err error) {
	stamp := t.Unix()
	if stamp < 0 || stamp > math.MaxUint32 {
		return 0, fmt.Errorf("a squashfs cannot hold the time %v", t)
	}
	sb, head, err := readSuperblock(rw)
	if err != nil {
		return 0, err
	}
	size := sb.DirectoryTable - sb.InodeTable
	table := make([]byte, size)
	if _, err := rw.ReadAt(table, sb.InodeTable); err != nil {
		return 0, fmt.Errorf("read inode table: %w", err)
	}
	if err := stampInodes(table, int(min(sb.Inodes, maxInodeTable)), uint32(stamp), sb.BlockSize); err != nil {
		return 0, err
	}
	if _, err := rw.WriteAt(table, sb.InodeTable); err != nil {
		return 0, fmt.Errorf("write inode table: %w", err)
	}
	binary.LittleEndian.PutUint32(head[8:], uint32(stamp))
	if _, err := rw.WriteAt(head, 0); err != nil {
		return 0, fmt.Errorf("write superblock: %w", err)
	}
	return sb.BytesUsed, nil
}

// stampInodes sets the time of all n inodes in a table of metadata blocks.
func stampInodes(table []byte, n int, stamp, blockSize uint32) error {
	inodes, origin, err := metadata(table)
	if err != nil {
		return err
	}
	rest := inodes
	for range n {
		size, err := inodeSize(rest, blockSize)
		if err != nil {
			return err
		}
		binary.LittleEndian.PutUint32(rest[8:], stamp)
		rest = rest[size:]
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes after the last squashfs inode", len(rest))
	}
	for _, block := range origin {
		inodes = inodes[copy(table[block.at:], inodes[:block.size]):]
	}
	return nil
}

// inodeSize is how many bytes the first inode in b has.
func inodeSize(b []byte, blockSize uint32) (int, error) {
	fixed := map[uint16]int{folder: 32, file: 32, link: 24, longFolder: 40}
	if len(b) < inodeHeaderSize {
		return 0, errors.New("the squashfs inode table ends inside an inode")
	}
	kind := binary.LittleEndian.Uint16(b)
	size, ok := fixed[kind]
	if !ok {
		return 0, fmt.Errorf("squashfs inode of type %d, which gok never wrote", kind)
	}
	if len(b) < size {
		return 0, errors.New("the squashfs inode table ends inside an inode")
	}
	more := int64(0)
	switch kind {
	case file: // and the size of each of its blocks
		if blockSize == 0 {
			return 0, errors.New("the squashfs superblock is damaged")
		}
		length := int64(binary.LittleEndian.Uint32(b[28:]))
		more = (length + int64(blockSize) - 1) / int64(blockSize) * 4
	case link: // and its target
		more = int64(binary.LittleEndian.Uint32(b[20:]))
	case longFolder:
		if binary.LittleEndian.Uint16(b[32:]) != 0 {
			return 0, errors.New("squashfs folder with an index, which gok never wrote")
		}
	}
	if more > int64(len(b)-size) {
		return 0, errors.New("the squashfs inode table ends inside an inode")
	}
	return size + int(more), nil
}
