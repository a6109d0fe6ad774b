package partition

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// The part of the squashfs format that is needed here (Linux,
// fs/squashfs/squashfs_fs.h).
const (
	squashMagic     = 0x73717368
	superblockSize  = 96
	inodeHeaderSize = 16
	maxInodeTable   = 16 << 20 // bytes, of directories as well; a root file system of ours has 20 kB
	maxMetadata     = 8192     // bytes of a metadata block
	maxBlock        = 1 << 20  // bytes of a data block
	isUncompressed  = 0x8000   // in the header of a metadata block
	isStored        = 1 << 24  // in the size of a data block: not compressed
	noFragment      = 0xFFFFFFFF
)

// Types of inodes.
const (
	folder     = 1
	file       = 2
	link       = 3
	longFolder = 8
)

type superblock struct {
	Magic, Inodes, MkfsTime, BlockSize, Fragments uint32
	Compression, BlockLog, Flags, IDs             uint16
	Major, Minor                                  uint16
	RootInode, BytesUsed                          int64
	IDTable, XattrTable, InodeTable               int64
	DirectoryTable, FragmentTable, LookupTable    int64
}

// readSuperblock returns the superblock, and also the bytes of it.
func readSuperblock(r io.ReaderAt) (sb superblock, head []byte, err error) {
	head = make([]byte, superblockSize)
	if n, err := r.ReadAt(head, 0); n < len(head) {
		return sb, nil, fmt.Errorf("read superblock: %w", err)
	}
	if err := binary.Read(bytes.NewReader(head), binary.LittleEndian, &sb); err != nil {
		return sb, nil, err
	}
	size := sb.DirectoryTable - sb.InodeTable
	switch {
	case sb.Magic != squashMagic || sb.Major != 4:
		return sb, nil, errors.New("not a squashfs 4 file system")
	case sb.InodeTable < superblockSize || size < 0 || size > maxInodeTable || sb.BytesUsed < sb.DirectoryTable:
		return sb, nil, errors.New("the squashfs superblock is damaged")
	}
	return sb, head, nil
}

// metaBlock is where the content of a metadata block is in its table.
type metaBlock struct{ at, size int }

// metadata joins the contents of all metadata blocks of a table, and returns where in
// the table each is.
func metadata(table []byte) (content []byte, blocks []metaBlock, err error) {
	for at := 0; at < len(table); {
		if len(table)-at < 2 {
			return nil, nil, errors.New("the squashfs inode table is cut off")
		}
		header := binary.LittleEndian.Uint16(table[at:])
		size := int(header &^ isUncompressed)
		if header&isUncompressed == 0 {
			return nil, nil, errors.New("the squashfs inode table is compressed, which gok never did")
		}
		if at += 2; size == 0 || size > maxMetadata || size > len(table)-at {
			return nil, nil, errors.New("the squashfs inode table is damaged")
		}
		blocks = append(blocks, metaBlock{at, size})
		content = append(content, table[at:at+size]...)
		at += size
	}
	return content, blocks, nil
}

// metaTable is a table whose places are named elsewhere, in two numbers: block is the
// offset of a metadata block's header in the table, offset is one in that block's
// content.
type metaTable struct {
	content []byte
	blocks  []metaBlock
}

// from is the content from a place on.
func (t *metaTable) from(block int64, offset int) ([]byte, error) {
	start := 0
	for _, b := range t.blocks {
		if int64(b.at-2) == block && offset < b.size {
			return t.content[start+offset:], nil
		}
		start += b.size
	}
	return nil, errors.New("a place in a squashfs table does not exist")
}

// squashfs reads what gok writes: metadata that is not compressed, data that is,
// with zlib, and no fragments.
type squashfs struct {
	r                io.ReaderAt
	sb               superblock
	inodes, contents metaTable
}

func openSquashfs(r io.ReaderAt) (*squashfs, error) {
	sb, _, err := readSuperblock(r)
	if err != nil {
		return nil, err
	}
	s := &squashfs{r: r, sb: sb}
	for _, t := range []struct {
		*metaTable
		start, end int64
	}{{&s.inodes, sb.InodeTable, sb.DirectoryTable}, {&s.contents, sb.DirectoryTable, sb.FragmentTable}} {
		if t.end < t.start || t.end-t.start > maxInodeTable || t.end > sb.BytesUsed {
			return nil, errors.New("the squashfs superblock is damaged")
		}
		table := make([]byte, t.end-t.start)
		if n, err := r.ReadAt(table, t.start); n < len(table) {
			return nil, fmt.Errorf("read squashfs table: %w", err)
		}
		if t.content, t.blocks, err = metadata(table); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// inode is the whole inode at a place of the inode table.
func (s *squashfs) inode(block int64, offset int) ([]byte, error) {
	b, err := s.inodes.from(block, offset)
	if err != nil {
		return nil, err
	}
	size, err := inodeSize(b, s.sb.BlockSize)
	if err != nil {
		return nil, err
	}
	return b[:size], nil
}

// entry is a name in a folder, and the place of its inode.
type entry struct {
	name   string
	block  int64
	offset int
}

// list returns the entries of the folder that inode is.
func (s *squashfs) list(inode []byte) ([]entry, error) {
	le := binary.LittleEndian
	var block int64
	var offset, size int
	switch le.Uint16(inode) {
	case folder:
		block, size, offset = int64(le.Uint32(inode[16:])), int(le.Uint16(inode[24:])), int(le.Uint16(inode[26:]))
	case longFolder:
		size, block, offset = int(le.Uint32(inode[20:])), int64(le.Uint32(inode[24:])), int(le.Uint16(inode[34:]))
	default:
		return nil, errors.New("not a folder")
	}
	if size -= 3; size <= 0 { // it counts 3 for . and .., which are not stored
		return nil, nil
	}
	b, err := s.contents.from(block, offset)
	if err != nil {
		return nil, err
	}
	if size > len(b) {
		return nil, errors.New("a squashfs folder is cut off")
	}
	var all []entry
	for b = b[:size]; len(b) > 0; {
		if len(b) < 12 {
			return nil, errors.New("a squashfs folder is cut off")
		}
		count, start := int(le.Uint32(b))+1, int64(le.Uint32(b[4:]))
		b = b[12:]
		for ; count > 0 && len(b) > 0; count-- {
			if len(b) < 8 || len(b) < 9+int(le.Uint16(b[6:])) {
				return nil, errors.New("a squashfs folder is cut off")
			}
			end := 9 + int(le.Uint16(b[6:]))
			all = append(all, entry{string(b[8:end]), start, int(le.Uint16(b))})
			b = b[end:]
		}
	}
	return all, nil
}

// find returns the inode of a path without a leading slash; "" is the root.
func (s *squashfs) find(path string) ([]byte, error) {
	inode, err := s.inode(s.sb.RootInode>>16, int(s.sb.RootInode&0xffff))
	for name := range strings.SplitSeq(path, "/") {
		if err != nil || path == "" {
			break
		}
		var all []entry
		if all, err = s.list(inode); err != nil {
			break
		}
		i := slices.IndexFunc(all, func(e entry) bool { return e.name == name })
		if i < 0 {
			return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
		}
		inode, err = s.inode(all[i].block, all[i].offset)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return inode, nil
}

// names are the names in a folder.
func (s *squashfs) names(path string) ([]string, error) {
	inode, err := s.find(path)
	if err != nil {
		return nil, err
	}
	all, err := s.list(inode)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var names []string
	for _, e := range all {
		names = append(names, e.name)
	}
	return names, nil
}

// read returns the first limit bytes of a file, or all of it if that is less.
func (s *squashfs) read(path string, limit int) ([]byte, error) {
	inode, err := s.find(path)
	if err != nil {
		return nil, err
	}
	b, err := s.content(inode, int64(limit))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// content returns the first limit bytes of the file that inode is.
func (s *squashfs) content(inode []byte, limit int64) ([]byte, error) {
	le := binary.LittleEndian
	if le.Uint16(inode) != file {
		return nil, errors.New("not a file")
	}
	at, size := int64(le.Uint32(inode[16:])), min(int64(le.Uint32(inode[28:])), limit)
	if size > 0 && (le.Uint32(inode[20:]) != noFragment || s.sb.BlockSize > maxBlock) {
		return nil, errNeverSo
	}
	b := make([]byte, 0, size)
	for blocks := inode[32:]; int64(len(b)) < size; blocks = blocks[4:] {
		if len(blocks) < 4 {
			return nil, errors.New("a squashfs file is cut off")
		}
		stored := int64(le.Uint32(blocks))
		block, err := s.block(at, stored, min(size-int64(len(b)), int64(s.sb.BlockSize)))
		if err != nil {
			return nil, err
		}
		b, at = append(b, block...), at+stored&^isStored
	}
	return b, nil
}

var errNeverSo = errors.New("a squashfs file is stored as gok never did")

// block returns the first n bytes of a block at an offset. stored is its length there,
// with isStored.
func (s *squashfs) block(at, stored, n int64) ([]byte, error) {
	length := stored &^ isStored
	if length > maxBlock {
		return nil, errNeverSo
	}
	b := make([]byte, n)
	if length == 0 { // a hole
		return b, nil
	}
	var r io.Reader = io.NewSectionReader(s.r, at, length)
	if stored&isStored == 0 {
		z, err := zlib.NewReader(r)
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	}
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("a squashfs block is damaged: %w", err)
	}
	return b, nil
}
