package partition

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
)

// sparseDisk is a card with only those sectors in memory that were written.
type sparseDisk struct {
	sectors map[int64][]byte
	order   []int64 // of what was written, from the first write on
	reverse bool    // a write's last sector is written first
	cut     int     // sectors that are written before the power is cut; -1: all
}

var errCut = errors.New("the power is cut")

func (d *sparseDisk) ReadAt(p []byte, off int64) (int, error) {
	for at := 0; at < len(p); at += tableSector {
		clear(p[at : at+tableSector])
		copy(p[at:], d.sectors[off/tableSector+int64(at/tableSector)])
	}
	return len(p), nil
}

func (d *sparseDisk) WriteAt(p []byte, off int64) (int, error) {
	var at []int
	for i := 0; i < len(p); i += tableSector {
		at = append(at, i)
	}
	if d.reverse {
		slices.Reverse(at)
	}
	for _, i := range at {
		if d.cut == len(d.order) {
			return 0, errCut
		}
		lba := off/tableSector + int64(i/tableSector)
		d.order = append(d.order, lba)
		d.sectors[lba] = bytes.Clone(p[i : i+tableSector])
	}
	return len(p), nil
}

func (d *sparseDisk) flush() error { return nil }

// newSparseDisk has the table that gok writes for an image of this size.
func newSparseDisk(t testing.TB, size int64) *sparseDisk {
	t.Helper()
	end := uint64(size/tableSector) - 1
	entries := make([]byte, entrySectors*tableSector)
	firsts := []uint64{8192, 212992, 1236992, 2260992}
	for i, first := range firsts {
		e := entries[i*entrySize:]
		copy(e, "type and name of a partition GUID")
		binary.LittleEndian.PutUint64(e[32:], first)
		last := end - entrySectors - 2
		if i+1 < len(firsts) {
			last = firsts[i+1] - 1
		}
		binary.LittleEndian.PutUint64(e[40:], last)
	}
	h := gptHeader{Revision: 0x10000, Size: 92, My: 1, Alternate: end, FirstUsable: 34, LastUsable: end - 33, Entries: 2, Count: 128, EntrySize: 128}
	copy(h.Signature[:], "EFI PART")
	d := &sparseDisk{sectors: map[int64][]byte{}, cut: -1}
	for lba, data := range map[uint64][]byte{1: h.bytes(entries), 2: entries} {
		if _, err := d.WriteAt(data, int64(lba)*tableSector); err != nil {
			t.Fatal(err)
		}
	}
	d.order = nil
	return d
}

// kernelSees is the last sector of /perm as a kernel finds it, which takes the primary
// table if its checksums are right, and else none (block/partitions/efi.c). Otherwise
// nothing may have changed.
func kernelSees(t *testing.T, d *sparseDisk) (last uint64) {
	t.Helper()
	h, entries, err := readTable(d)
	if err != nil {
		t.Fatalf("after %d sectors: %v", len(d.order), err)
	}
	if first := binary.LittleEndian.Uint64(entries[32:]); first != 8192 {
		t.Fatalf("after %d sectors: the boot partition begins at %d", len(d.order), first)
	}
	if last = binary.LittleEndian.Uint64(entries[3*entrySize+40:]); last > h.LastUsable {
		t.Fatalf("after %d sectors: /perm ends at %d, and the card at %d", len(d.order), last, h.LastUsable)
	}
	return last
}

// Whenever the power is cut, the table is the old one or the new one, and the next
// boot makes it the new one.
func TestFitTableIsSafe(t *testing.T) {
	const image, card = 2 << 30, 32_000_000_000 - 512
	whole := newSparseDisk(t, image)
	old := kernelSees(t, whole)
	size, err := FitTable(whole, card, whole.flush)
	if err != nil {
		t.Fatal(err)
	}
	grown := kernelSees(t, whole)
	if want := int64(card)/tableSector - 34; int64(grown) > want || int64(grown) < want-8 || size != int64(grown-2260992+1)*tableSector {
		t.Errorf("/perm ends at %d, want %d; it has %d bytes", grown, want, size)
	}
	checkBackup(t, whole, card/tableSector-1)
	for _, reverse := range []bool{false, true} {
		for cut := range len(whole.order) {
			d := newSparseDisk(t, image)
			d.cut, d.reverse = cut, reverse
			if _, err := FitTable(d, card, d.flush); !errors.Is(err, errCut) {
				t.Fatalf("cut after %d sectors: %v", cut, err)
			}
			if last := kernelSees(t, d); last != old && last != grown {
				t.Fatalf("cut after %d sectors: /perm ends at %d, want %d or %d", cut, last, old, grown)
			}
			d.cut = -1
			if again, err := FitTable(d, card, d.flush); err != nil || again != size || kernelSees(t, d) != grown {
				t.Fatalf("after a cut after %d sectors it has %d bytes, %v", cut, again, err)
			}
			if h, _, err := readTable(d); err != nil || h.Entries != entriesLBA {
				t.Fatalf("after a cut after %d sectors the list is at %d, %v", cut, h.Entries, err)
			}
			checkBackup(t, d, card/tableSector-1)
		}
	}
	written := len(whole.order)
	if again, err := FitTable(whole, card, whole.flush); err != nil || again != size || len(whole.order) != written {
		t.Errorf("once more: %d bytes, %v, and %d sectors are written", again, err, len(whole.order)-written)
	}
}

// The boot partition becomes one that PCs show as a drive, on a card and in an image,
// in both tables, and it is either of the two whenever the power is cut.
func TestFitTableMakesADrive(t *testing.T) {
	const image = 2 << 30
	withType := func() *sparseDisk {
		d := newSparseDisk(t, image)
		h, entries, err := readTable(d)
		if err != nil {
			t.Fatal(err)
		}
		copy(entries, efiSystem[:])
		d.WriteAt(entries, entriesLBA*tableSector)
		d.WriteAt(h.bytes(entries), headerLBA*tableSector)
		d.order = nil
		return d
	}
	whole := withType()
	size, err := FitTable(whole, image, whole.flush)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range append(whole.order, 0) {
		d := withType()
		d.cut = cut
		if _, err := FitTable(d, image, d.flush); !errors.Is(err, errCut) && cut < len(whole.order) {
			t.Fatalf("cut after %d sectors: %v", cut, err)
		}
		_, entries, err := readTable(d)
		if err != nil {
			t.Fatalf("cut after %d sectors: %v", cut, err)
		}
		is := [16]byte(entries)
		if is != efiSystem && is != basicData {
			t.Fatalf("cut after %d sectors: its type is %x", cut, is)
		}
		d.cut = -1
		again, err := FitTable(d, image, d.flush)
		if _, entries, _ := readTable(d); err != nil || again != size || [16]byte(entries) != basicData {
			t.Errorf("after a cut after %d sectors: %d bytes, %v, type %x", cut, again, err, entries[:16])
		}
		checkBackup(t, d, image/tableSector-1)
	}
	d := withType() // a cut between the two lists is mended too
	d.cut = len(whole.order) - 1
	FitTable(d, image, d.flush)
	d.cut = -1
	if _, err := FitTable(d, image, d.flush); err != nil {
		t.Fatal(err)
	}
	if h, _, err := readTable(d); err != nil || h.Entries != entriesLBA {
		t.Errorf("the list is at %d, %v", h.Entries, err)
	}
}

// checkBackup looks at the table at the end of the card.
func checkBackup(t *testing.T, d *sparseDisk, end int64) {
	t.Helper()
	sector := make([]byte, tableSector)
	d.ReadAt(sector, end*tableSector)
	var h gptHeader
	if err := binary.Read(bytes.NewReader(sector), binary.LittleEndian, &h); err != nil {
		t.Fatal(err)
	}
	entries, primary := make([]byte, entrySectors*tableSector), make([]byte, entrySectors*tableSector)
	d.ReadAt(entries, int64(h.Entries)*tableSector)
	d.ReadAt(primary, entriesLBA*tableSector)
	if h.My != uint64(end) || h.Alternate != 1 || int64(h.Entries) != end-32 || !bytes.Equal(h.bytes(entries), sector) || !bytes.Equal(entries, primary) {
		t.Errorf("the table at the end of the card is wrong: %+v", h)
	}
}

func TestFitTableRefuses(t *testing.T) {
	const image, card = 2 << 30, 8 << 30
	change := func(lba int64, at int, value byte) func(*sparseDisk) {
		return func(d *sparseDisk) { d.sectors[lba][at] = value }
	}
	entry := func(n, at int, value uint64) func(*sparseDisk) { // with the right checksums
		return func(d *sparseDisk) {
			h, entries, err := readTable(d)
			if err != nil {
				t.Fatal(err)
			}
			binary.LittleEndian.PutUint64(entries[n*entrySize+at:], value)
			d.WriteAt(entries, entriesLBA*tableSector)
			d.WriteAt(h.bytes(entries), headerLBA*tableSector)
			d.order = nil
		}
	}
	for name, tc := range map[string]struct {
		spoil func(*sparseDisk)
		want  string
	}{
		"no table":                  {func(d *sparseDisk) { clear(d.sectors) }, "not one of pushcamctl's"},
		"a list elsewhere":          {change(1, 72, 9), "not one of pushcamctl's"},
		"a damaged header":          {change(1, 40, 35), "damaged"},
		"a damaged list":            {change(2, 40, 1), "damaged"},
		"no fourth partition":       {entry(3, 40, 0), "no /perm"},
		"one beyond the card":       {entry(3, 32, 1<<40), "no /perm"},
		"a fifth partition":         {entry(4, 40, 1<<23), "partition 5 is behind"},
		"no room before the first":  {entry(0, 32, 40), "no room is left"},
		"the third is behind /perm": {entry(2, 40, 1<<23), "partition 3 is behind"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newSparseDisk(t, image)
			tc.spoil(d)
			if size, err := FitTable(d, card, d.flush); err == nil || !strings.Contains(err.Error(), tc.want) || len(d.order) > 0 {
				t.Errorf("%d bytes, %v, %d sectors written; want %q", size, err, len(d.order), tc.want)
			}
		})
	}
	for name, size := range map[string]int64{"the image's own size": image, "hardly larger": image + 3<<20} {
		d := newSparseDisk(t, image)
		if _, err := FitTable(d, size, d.flush); err != nil || len(d.order) > 0 {
			t.Errorf("%s: %v, %d sectors written", name, err, len(d.order))
		}
	}
}

// Whatever is on a card, the table is not changed to what cannot be read.
func FuzzFitTable(f *testing.F) {
	f.Add([]byte("EFI PART"), int64(1<<31))
	real := make([]byte, 34*tableSector)
	if _, err := newSparseDisk(f, 2<<30).ReadAt(real, 0); err != nil {
		f.Fatal(err)
	}
	for _, size := range []int64{2 << 30, 4 << 30, 1 << 30, 4<<30 + 5} {
		f.Add(real, size)
	}
	f.Fuzz(func(t *testing.T, table []byte, size int64) {
		if len(table) > 34*tableSector || size < tableSector || size > 1<<45 {
			return
		}
		d := &sparseDisk{sectors: map[int64][]byte{}, cut: -1}
		padded := append(bytes.Clone(table), make([]byte, 34*tableSector-len(table))...)
		d.WriteAt(padded, 0)
		d.order = nil
		if _, err := FitTable(d, size, d.flush); err == nil {
			if _, _, err := readTable(d); err != nil {
				t.Error(err)
			}
		} else if len(d.order) > 0 {
			t.Errorf("something was written in spite of: %v", err)
		}
	})
}
