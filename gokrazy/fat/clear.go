package fat

import (
	"context"
	"fmt"
	"slices"
)

// maxRun is how much of the disk ClearFree looks at at once, in bytes.
const maxRun = 1 << 20

// ClearFree overwrites with zeros what is in free clusters, and what files of the root
// folder that can be written to have behind their end: there are older copies of what an
// editor has saved, or WriteFile has replaced. It returns how many bytes it has
// overwritten, also when ctx is done before the end; then next is what to give as from for
// the rest, which is 0 at first. It reads all that is free, which takes a card some seconds;
// clusters that have nothing in them are not written.
//
// Names of files that were removed stay in the root folder, and so does all that lost
// clusters have, and what is behind the end of a file that shares clusters with another.
func (f *FS) ClearFree(ctx context.Context, from int) (cleared int64, next int, err error) {
	buf := make([]byte, maxRun)
	zero := func(at, size int64) error {
		for end := at + size; at < end; at += maxRun {
			if err := ctx.Err(); err != nil {
				return err
			}
			b := buf[:min(maxRun, end-at)]
			if err := f.read(b, at); err != nil {
				return fmt.Errorf("clear what is free: %w", err)
			}
			first, last := filled(b)
			if first == last {
				continue
			}
			if err := f.put(make([]byte, last-first), at+int64(first)); err != nil {
				return fmt.Errorf("clear what is free: %w", err)
			}
			cleared += int64(last - first)
		}
		return nil
	}
	longest := max(1, int(maxRun/f.cluster))
	for next = max(firstCluster, from); f.isCluster(next); {
		run := 0
		for run < longest && f.isCluster(next+run) && f.next(next+run) == 0 {
			run++
		}
		if err := zero(f.offset(next), int64(run)*f.cluster); err != nil {
			return cleared, next, err
		}
		next += max(1, run)
	}
	leads := f.leads()
	for _, e := range list(f.root) {
		chain, err := f.chain(e.first, e.Size)
		if e.Dir || e.ReadOnly || err != nil {
			continue
		}
		rest := f.rest(chain, e.first)
		if slices.ContainsFunc(slices.Concat(chain, rest), func(c int) bool { return leads[c] > 1 }) {
			continue // another file has a part of it
		}
		if err := f.clearTail(e, chain, &cleared); err != nil {
			return cleared, next, err
		}
		for _, c := range rest {
			if err := zero(f.offset(c), f.cluster); err != nil {
				return cleared, next, err
			}
		}
	}
	return cleared, 0, nil
}

// leads are how many files and clusters lead to each cluster: more than one only if the
// table is damaged.
func (f *FS) leads() []int {
	leads := make([]int, len(f.table)/2)
	for c := firstCluster; f.isCluster(c); c++ {
		if next := f.next(c); f.isCluster(next) {
			leads[next]++
		}
	}
	var count func(raw []byte)
	count = func(raw []byte) {
		for _, e := range list(raw) {
			if !f.isCluster(e.first) {
				continue
			}
			if leads[e.first]++; leads[e.first] > 1 || !e.Dir {
				continue // a folder is looked at once, also if it is in itself
			}
			if below, err := f.folder(e); err == nil {
				count(below)
			}
		}
	}
	count(f.root)
	return leads
}

// clearTail is for the last cluster of a file, behind its end.
func (f *FS) clearTail(e Entry, chain []int, cleared *int64) error {
	used := e.Size % f.cluster
	if used == 0 {
		return nil
	}
	at := f.offset(chain[len(chain)-1])
	b := make([]byte, f.cluster)
	if err := f.read(b, at); err != nil {
		return fmt.Errorf("clear what is behind %s: %w", e.Name, err)
	}
	if first, last := filled(b[used/sectorSize*sectorSize:]); first == last {
		return nil
	}
	n := int64(0)
	for i := used; i < f.cluster; i++ {
		if b[i] != 0 {
			n++
		}
		b[i] = 0
	}
	if n == 0 {
		return nil
	}
	*cleared += n
	from := used / sectorSize * sectorSize
	return f.put(b[from:], at+from)
}

// filled is the sectors from the first to the last that have something in them.
func filled(b []byte) (from, to int) {
	for at := 0; at < len(b); at += sectorSize {
		for _, c := range b[at:min(at+sectorSize, len(b))] {
			if c != 0 {
				if to == 0 {
					from = at
				}
				to = min(at+sectorSize, len(b))
				break
			}
		}
	}
	return from, to
}
