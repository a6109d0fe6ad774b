package partition

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// PermPartition is the number of the last partition, /perm.
const PermPartition = 4

// The GUID partition table as gok writes it (UEFI specification, 5.3).
const (
	tableSector  = 512 // bytes
	headerLBA    = 1   // the sectors of its parts, by their numbers
	entriesLBA   = 2
	entrySize    = 128 // bytes
	entrySectors = 128 * entrySize / tableSector
	// spareLBA is where a second list of entries can be for a moment, in the 4 MiB
	// before the first partition, of which gok uses 34 sectors.
	spareLBA = entriesLBA + entrySectors
	// leastGrowth is the least number of sectors for which it is worth changing the
	// table: 4 MiB. It is more than the table at the end of the card has.
	leastGrowth = 4 << 20 / tableSector
)

// gptHeader is what is at the start of the header's sector.
type gptHeader struct {
	Signature        [8]byte
	Revision, Size   uint32
	CRC, Reserved    uint32
	My, Alternate    uint64 // sectors of this header and of the other one
	FirstUsable      uint64
	LastUsable       uint64
	GUID             [16]byte
	Entries          uint64 // first sector of the list
	Count, EntrySize uint32
	EntriesCRC       uint32
}

// The types of the boot partition, as they are in the table. gok makes it one for UEFI,
// which neither Linux desktops nor Macs show. Machines with UEFI start from one of
// Microsoft's data partitions as well, which are what PCs show as a drive.
var (
	efiSystem = [16]byte{0x28, 0x73, 0x2A, 0xC1, 0x1F, 0xF8, 0xD2, 0x11, 0xBA, 0x4B, 0x00, 0xA0, 0xC9, 0x3E, 0xC9, 0x3B}
	basicData = [16]byte{0xA2, 0xA0, 0xD0, 0xEB, 0xE5, 0xB9, 0x33, 0x44, 0x87, 0xC0, 0x68, 0xB6, 0xB7, 0x26, 0x99, 0xC7}
)

// FitTable has the last partition of a card, /perm, end where the card of size bytes
// does, and the boot partition be one that PCs show as a drive. It returns how many
// bytes /perm then has. flush has what was written be on the card.
//
// A power cut leaves the old table or the new one, each whole, because the change is
// one sector: the primary header, which is written when all that it points to is
// there. Since the list of entries must not change under a header that has its
// checksum, the new list is first put beside the old one, and then to its place in the
// same way.
func FitTable(disk ReaderWriterAt, size int64, flush func() error) (int64, error) {
	header, entries, err := readTable(disk)
	if err != nil {
		return 0, err
	}
	perm := entries[(PermPartition-1)*entrySize:][:entrySize]
	first, last := binary.LittleEndian.Uint64(perm[32:]), binary.LittleEndian.Uint64(perm[40:])
	end := uint64(size)/tableSector - 1
	if last < first || last > end || end-last < entrySectors+2 {
		return 0, errors.New("the card's partition table has no /perm, or one that ends behind the card")
	}
	for n := range header.Count {
		if e := entries[n*entrySize:][:entrySize]; n != PermPartition-1 && binary.LittleEndian.Uint64(e[40:]) >= first {
			return 0, fmt.Errorf("partition %d is behind /perm", n+1)
		}
	}
	if f := binary.LittleEndian.Uint64(entries[32:]); f < spareLBA+entrySectors {
		return 0, fmt.Errorf("the first partition begins at sector %d, where no room is left", f)
	}
	usable := end - entrySectors - 1
	retyped := bytes.Equal(entries[:len(efiSystem)], efiSystem[:])
	if retyped {
		copy(entries, basicData[:])
	}
	if to := (usable+1)/8*8 - 1; to >= last+leastGrowth { // whole blocks of a file system
		binary.LittleEndian.PutUint64(perm[40:], to)
		last = to
		header.Alternate, header.LastUsable = end, usable
	} else if header.Entries == entriesLBA && !retyped {
		return int64(last-first+1) * tableSector, nil
	}

	at := func(lba uint64, data []byte) error {
		if _, err := disk.WriteAt(data, int64(lba)*tableSector); err != nil {
			return err
		}
		return flush()
	}
	backup := header
	backup.My, backup.Alternate, backup.Entries = header.Alternate, headerLBA, header.Alternate-entrySectors
	err = errors.Join(at(backup.Entries, entries), at(backup.My, backup.bytes(entries)))
	for _, list := range []uint64{spareLBA, entriesLBA} {
		if err == nil && list != header.Entries {
			if err = at(list, entries); err == nil {
				header.Entries = list
				err = at(headerLBA, header.bytes(entries))
			}
		}
	}
	return int64(last-first+1) * tableSector, err
}

// readTable reads the primary table.
func readTable(disk ReaderWriterAt) (h gptHeader, entries []byte, err error) {
	sector := make([]byte, tableSector)
	if _, err := disk.ReadAt(sector, headerLBA*tableSector); err != nil {
		return h, nil, err
	}
	if err := binary.Read(bytes.NewReader(sector), binary.LittleEndian, &h); err != nil {
		return h, nil, err
	}
	if string(h.Signature[:]) != "EFI PART" || int(h.Size) != binary.Size(h) || h.My != headerLBA ||
		h.EntrySize != entrySize || h.Count*h.EntrySize != entrySectors*tableSector ||
		h.Entries != entriesLBA && h.Entries != spareLBA {
		return h, nil, errors.New("the card's partition table is not one of pushcamctl's")
	}
	entries = make([]byte, entrySectors*tableSector)
	if _, err := disk.ReadAt(entries, int64(h.Entries)*tableSector); err != nil {
		return h, nil, err
	}
	if !bytes.Equal(h.bytes(entries), sector) {
		return h, nil, errors.New("the card's partition table is damaged")
	}
	return h, entries, nil
}

// bytes are the header's sector, with the checksums of itself and of the entries.
func (h gptHeader) bytes(entries []byte) []byte {
	h.CRC, h.EntriesCRC = 0, crc32.ChecksumIEEE(entries)
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, h) // to memory
	size := b.Len()
	sector := append(b.Bytes(), make([]byte, tableSector-size)...)
	binary.LittleEndian.PutUint32(sector[16:], crc32.ChecksumIEEE(sector[:size]))
	return sector
}
