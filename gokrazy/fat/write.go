package fat

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

const perSector = sectorSize / entrySize // entries of a folder

// WriteFile makes data the content of a file in the root folder, or makes a new file of
// it, which can be written to by others. A power cut leaves the old file or the new one,
// each whole (the package says how). The old content stays in clusters that are free
// then: ClearFree is for those. If there is no room, the error wraps syscall.ENOSPC.
func (f *FS) WriteFile(name string, data []byte, modified time.Time) error {
	if err := f.writeFile(name, data, modified); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func (f *FS) writeFile(name string, data []byte, modified time.Time) error {
	all := list(f.root)
	old, err := find(all, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = checkName(name)
	case err == nil && old.Dir:
		err = errors.New("it is a folder")
	}
	if err != nil {
		return err
	}
	chain, err := f.allocate(int64(len(data)))
	if err != nil {
		return err
	}
	for i, c := range chain {
		b := make([]byte, f.cluster)
		copy(b, data[int64(i)*f.cluster:])
		if err := f.put(b, f.offset(c)); err != nil {
			return err
		}
	}
	if err := f.link(chain); err != nil {
		return err
	}
	first := 0
	if len(chain) > 0 {
		first = chain[0]
	}
	if old.Name == "" {
		return f.enter(name, modified, first, int64(len(data)), all)
	}
	e := f.root[(old.end-1)*entrySize:][:entrySize]
	changed := rawEntry(old.short, e[11], modified, first, int64(len(data)))
	copy(changed[12:18], e[12:18]) // the case of its name, and when it was made
	copy(e, changed)
	if err := f.putRoot((old.end - 1) / perSector); err != nil {
		return err
	}
	return f.release(old)
}

// enter makes the entry of a new file. It is there once its sector is written, or, if
// the folder gets longer by it beyond a sector, once the sector before that is.
func (f *FS) enter(name string, modified time.Time, first int, size int64, all []Entry) error {
	taken := make(map[shortName]bool)
	for _, e := range all {
		taken[e.short] = true
	}
	entry, err := newEntry(name, isArchive, modified, first, size, taken)
	if err != nil {
		return err
	}
	need := len(entry) / entrySize
	at, end, err := f.room(need)
	if err != nil {
		return err
	}
	copy(f.root[at*entrySize:], entry)
	// An empty entry ends the folder; what is behind it may be anything.
	if after := at + need; at >= end && after*entrySize < len(f.root) {
		f.root[after*entrySize] = 0
		if after%perSector == 0 {
			if err := f.putRoot(after / perSector); err != nil {
				return err
			}
		}
	}
	if err := f.putRoot(at / perSector); err != nil {
		return err
	}
	if at <= end {
		return nil
	}
	for i := end; i < at; i++ {
		f.root[i*entrySize] = unused
	}
	return f.putRoot(end / perSector)
}

// room finds place for as many entries in one sector of the root folder, and returns
// where the folder ends now. The place is behind that, or of files that were removed.
func (f *FS) room(need int) (at, end int, err error) {
	count := len(f.root) / entrySize
	begins := func(i int) byte { return f.root[i*entrySize] }
	for end < count && begins(end) != 0 {
		end++
	}
	for run := 0; at < end; at++ {
		if at%perSector == 0 {
			run = 0
		}
		if run++; begins(at) != unused {
			run = 0
		}
		if run == need {
			return at + 1 - need, end, nil
		}
	}
	at = end
	if at%perSector+need > perSector {
		at = (at/perSector + 1) * perSector
	}
	if at+need > count {
		return 0, end, errors.New("the boot partition has too many files in it")
	}
	return at, end, nil
}

func (f *FS) putRoot(sector int) error {
	b := make([]byte, sectorSize)
	copy(b, f.root[sector*sectorSize:])
	if err := f.put(b, f.rootAt+int64(sector)*sectorSize); err != nil {
		return fmt.Errorf("the root folder: %w", err)
	}
	return nil
}

// Remove removes a file from the root folder. Its content stays in clusters that are
// free then. A power cut leaves it or not; if there is no such file, the error wraps
// fs.ErrNotExist.
func (f *FS) Remove(name string) error {
	_, e, err := f.file(name)
	if err == nil && strings.Contains(name, "/") {
		err = errors.New("it is not in the root folder")
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	// The entry itself is the last of them, and without it the others mean nothing.
	for i := e.end - 1; i >= e.start; i-- {
		f.root[i*entrySize] = unused
		if i == e.start || i%perSector == 0 {
			if err := f.putRoot(i / perSector); err != nil {
				return fmt.Errorf("remove %s: %w", name, err)
			}
		}
	}
	return f.release(e)
}

// release frees the clusters of a file that is gone. Those of a chain that is not as
// long as the file was are lost: it may lead into another file.
func (f *FS) release(e Entry) error {
	chain, err := f.chain(e.first, e.Size)
	if err != nil || len(chain) == 0 || f.next(chain[len(chain)-1]) < endOfChain {
		return nil
	}
	return f.unlink(chain)
}

// Overwrite replaces the content of a file where it stands, by data of the same length.
// It writes only the sectors that differ, one after the other, so nothing of what was
// there can be found in them. A power cut leaves each sector old or new.
func (f *FS) Overwrite(path string, data []byte) error {
	file, err := f.File(path)
	if err != nil {
		return err
	}
	if int64(len(data)) != file.size {
		return fmt.Errorf("%s: %d bytes do not replace its %d in their place", path, len(data), file.size)
	}
	cluster := make([]byte, f.cluster)
	for i, c := range file.chain {
		if err := f.read(cluster, f.offset(c)); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		was := slices.Clone(cluster)
		copy(cluster, data[int64(i)*f.cluster:])
		for at := 0; at < len(cluster); at += sectorSize {
			if bytes.Equal(was[at:][:sectorSize], cluster[at:][:sectorSize]) {
				continue
			}
			if err := f.put(cluster[at:][:sectorSize], f.offset(c)+int64(at)); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return nil
}
