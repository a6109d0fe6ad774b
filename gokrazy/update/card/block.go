package card

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// block is a partition, or a file that stands for one. Reads of a partition come from
// the card and not from the kernel's memory, and what is written is on the card once
// flush has returned. It is for one goroutine.
type block struct {
	f    *os.File
	size int64
	buf  []byte // aligned as O_DIRECT needs it
	free func() error
}

const (
	sector = 512
	// copySize is how much is read or written at a time, in bytes.
	copySize = 1 << 20
)

func openBlock(path string, write bool) (*block, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	flags := os.O_RDONLY
	if write {
		flags = os.O_RDWR
	}
	if info.Mode()&os.ModeDevice != 0 {
		flags |= directSync
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, err
	}
	b := &block{f: f}
	if b.size, err = f.Seek(0, io.SeekEnd); err == nil {
		b.buf, b.free, err = alignedBuffer(copySize)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return b, nil
}

func (b *block) close() error { return errors.Join(b.free(), b.f.Close()) }

func (b *block) flush() error { return b.f.Sync() }

// ReadAt reads whole sectors, as O_DIRECT needs it, and returns what was asked for.
func (b *block) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := (off + int64(n)) / sector * sector
		skip := int(off + int64(n) - at)
		want := min(len(b.buf), (skip+len(p)-n+sector-1)/sector*sector)
		got, err := b.f.ReadAt(b.buf[:want], at)
		if got > skip {
			n += copy(p[n:], b.buf[skip:got])
		}
		if n < len(p) && (err != nil || got <= skip) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF // of a read that failed nobody is to think that the card is short
			}
			return n, err
		}
	}
	return n, nil
}

// WriteAt writes whole sectors only.
func (b *block) WriteAt(p []byte, off int64) (n int, err error) {
	if off%sector != 0 || len(p)%sector != 0 || off+int64(len(p)) > b.size {
		return 0, fmt.Errorf("%s: %d bytes at %d are not whole sectors of it", b.f.Name(), len(p), off)
	}
	for n < len(p) && err == nil {
		piece := b.buf[:copy(b.buf, p[n:])]
		var wrote int
		wrote, err = b.f.WriteAt(piece, off+int64(n))
		n += wrote
	}
	return n, err
}
