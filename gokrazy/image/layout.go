package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	sectorSize = 512       // bytes
	bootSize   = 100 << 20 // bytes of the boot partition, as gok makes it
)

// layout is where the partitions of a card image are.
type layout struct {
	boot, rootA, rootB, perm span
}

// span is a range of bytes.
type span struct{ offset, size int64 }

// readLayout reads the partition table of a card image (GPT, UEFI
// specification 5.3) and checks that it is one of gokrazy's.
func readLayout(r io.ReaderAt, size int64) (*layout, error) {
	const entrySize, entries = 128, 4
	header := make([]byte, 2*sectorSize+entries*entrySize)
	if n, err := r.ReadAt(header, 0); n < len(header) {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("too short for a card image")
		}
		return nil, err
	}
	gpt, table := header[sectorSize:2*sectorSize], header[2*sectorSize:]
	if header[510] != 0x55 || header[511] != 0xAA || string(gpt[:8]) != "EFI PART" {
		return nil, errors.New("not a card image: it has no partition table")
	}
	if binary.LittleEndian.Uint64(gpt[72:]) != 2 || binary.LittleEndian.Uint32(gpt[84:]) != entrySize {
		return nil, errors.New("not an image of pushcam: its partition table is laid out in another way")
	}
	l := new(layout)
	for i, s := range []*span{&l.boot, &l.rootA, &l.rootB, &l.perm} {
		first := binary.LittleEndian.Uint64(table[i*entrySize+32:])
		last := binary.LittleEndian.Uint64(table[i*entrySize+40:])
		if first < 6 || last < first || last >= uint64(size)/sectorSize {
			return nil, fmt.Errorf("not an image of pushcam: partition %d is missing, or beyond its end", i+1)
		}
		s.offset, s.size = int64(first)*sectorSize, int64(last-first+1)*sectorSize
	}
	return l, nil
}
