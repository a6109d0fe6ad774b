package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// What of the squashfs format is needed here. (Linux,
// fs/squashfs/squashfs_fs.h)
const (
	squashMagic     = 0x73717368
	superblockSize  = 96
	inodeHeaderSize = 16
	maxInodeTable   = 16 << 20 // bytes; a root file system of ours has 20 kB
	maxMetadata     = 8192     // bytes of a metadata block
	isUncompressed  = 0x8000   // in the header of a metadata block
)

type superblock struct {
	Magic, Inodes, MkfsTime, BlockSize, Fragments uint32
	Compression, BlockLog, Flags, IDs             uint16
	Major, Minor                                  uint16
	RootInode, BytesUsed                          int64
	IDTable, XattrTable, InodeTable               int64
	DirectoryTable, FragmentTable, LookupTable    int64
}

// stampRoot sets all times in a squashfs to t and returns its length in bytes.
// gok writes the time of the build there. Everything else in its file system
// depends on the files only, so this is what makes a root reproducible.
//
// It knows what gok writes: metadata that is not compressed, and the inode types
// of folders, files and links.
func stampRoot(rw interface {
	io.ReaderAt
	io.WriterAt
}, t time.Time) (length int64, err error) {
	stamp := t.Unix()
	if stamp < 0 || stamp > math.MaxUint32 {
		return 0, fmt.Errorf("a squashfs cannot hold the time %v", t)
	}
	head := make([]byte, superblockSize)
	if _, err := rw.ReadAt(head, 0); err != nil {
		return 0, fmt.Errorf("read superblock: %w", err)
	}
	var sb superblock
	if err := binary.Read(bytes.NewReader(head), binary.LittleEndian, &sb); err != nil {
		return 0, err
	}
	size := sb.DirectoryTable - sb.InodeTable
	switch {
	case sb.Magic != squashMagic || sb.Major != 4:
		return 0, errors.New("not a squashfs 4 file system")
	case sb.InodeTable < superblockSize || size < 0 || size > maxInodeTable || sb.BytesUsed < sb.DirectoryTable:
		return 0, errors.New("the squashfs superblock is damaged")
	}
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
	blocks := table
	var inodes []byte   // the blocks' content, one after the other
	var origin [][]byte // where in table each block's content is
	for len(blocks) > 0 {
		if len(blocks) < 2 {
			return errors.New("the squashfs inode table is cut off")
		}
		header := binary.LittleEndian.Uint16(blocks)
		size := int(header &^ isUncompressed)
		if header&isUncompressed == 0 {
			return errors.New("the squashfs inode table is compressed, which gok never did")
		}
		if size == 0 || size > maxMetadata || size > len(blocks)-2 {
			return errors.New("the squashfs inode table is damaged")
		}
		origin = append(origin, blocks[2:2+size])
		inodes = append(inodes, blocks[2:2+size]...)
		blocks = blocks[2+size:]
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
		inodes = inodes[copy(block, inodes):]
	}
	return nil
}

// inodeSize is how long the first inode in b is.
func inodeSize(b []byte, blockSize uint32) (int, error) {
	const (
		folder     = 1
		file       = 2
		link       = 3
		longFolder = 8
	)
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
