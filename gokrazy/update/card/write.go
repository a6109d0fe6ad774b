package card

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/partition"
)

// ErrNotFit is wrapped by errors that mean that an image is not for this
// appliance, whatever it may be good for elsewhere.
var ErrNotFit = errors.New("the image does not fit this pushcam")

// ErrDamaged is wrapped by errors that mean that what arrived is not what was
// sent, or that the card does not keep what is written.
var ErrDamaged = errors.New("the image is damaged")

// Running is what the running root file system says of itself.
func (c *Card) Running() (*partition.Root, error) {
	b, err := c.open(runningRoot, false)
	if err != nil {
		return nil, err
	}
	defer b.close()
	return partition.InspectRoot(b, b.size)
}

// Room is how many bytes a root file system and a boot partition may have.
func (c *Card) Room() (root, boot int64, err error) {
	for what, size := range map[role]*int64{otherRoot: &root, bootPartition: &boot} {
		b, err := c.open(what, false)
		if err != nil {
			return 0, 0, err
		}
		*size = b.size
		if err := b.close(); err != nil {
			return 0, 0, err
		}
	}
	return root, boot, nil
}

// WriteRoot writes a root file system of size bytes to the partition that does not
// run, reads it back from the card and compares. CheckRoot looks at what it is.
func (c *Card) WriteRoot(r io.Reader, size int64, sum [sha256.Size]byte) (err error) {
	b, err := c.open(otherRoot, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if size > b.size {
		return fmt.Errorf("%w: a root file system of %.1f MB has no room in %.1f MB", ErrNotFit, float64(size)/1e6, float64(b.size)/1e6)
	}
	arrived := sha256.New()
	piece := make([]byte, copySize)
	for at := int64(0); at < size; at += copySize {
		part := piece[:min(copySize, size-at)]
		if _, err := io.ReadFull(r, part); err != nil {
			return fmt.Errorf("the upload ended after %d of %d bytes: %w", at, size, err)
		}
		arrived.Write(part)
		whole := piece[:(len(part)+sector-1)/sector*sector]
		clear(whole[len(part):])
		if _, err := b.WriteAt(whole, at); err != nil {
			return err
		}
	}
	if err := b.flush(); err != nil {
		return err
	}
	if [sha256.Size]byte(arrived.Sum(nil)) != sum {
		return fmt.Errorf("%w: what arrived is not what was sent", ErrDamaged)
	}
	kept := sha256.New()
	if _, err := io.Copy(kept, io.NewSectionReader(b, 0, size)); err != nil {
		return err
	}
	if [sha256.Size]byte(kept.Sum(nil)) != sum {
		return fmt.Errorf("%w: the card does not keep what is written to it: it is worn out", ErrDamaged)
	}
	return nil
}

// CheckRoot looks into the root file system that does not run, of which size bytes
// were written: it must be a pushcam's, for this processor, and have the modules of
// the kernel that it will run with.
func (c *Card) CheckRoot(size int64, kernel string) (*partition.Root, error) {
	b, err := c.open(otherRoot, false)
	if err != nil {
		return nil, err
	}
	defer b.close()
	// What follows in the partition is left from an earlier update.
	root, err := partition.InspectRoot(io.NewSectionReader(b, 0, size), size)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: it is no root file system of a pushcam: %w", ErrNotFit, err)
	case root.Arch != runtime.GOARCH:
		return nil, fmt.Errorf("%w: it is for %s, and this is %s", ErrNotFit, root.Arch, runtime.GOARCH)
	case !slices.Contains(root.Kernels, kernel):
		return nil, fmt.Errorf("%w: it has modules for the kernel %s, and this would run %s", ErrNotFit, listed(root.Kernels), kernel)
	}
	return root, nil
}

// NewRoot lets use read the root file system that does not run, of which size bytes were
// written.
func (c *Card) NewRoot(size int64, use func(io.ReaderAt) error) error {
	b, err := c.open(otherRoot, false)
	if err != nil {
		return err
	}
	return errors.Join(use(io.NewSectionReader(b, 0, size)), b.close())
}

func listed(names []string) string {
	if len(names) == 0 {
		return "of no version"
	}
	return strings.Join(names, " and ")
}
