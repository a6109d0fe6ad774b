package card

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/durable"
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

func listed(names []string) string {
	if len(names) == 0 {
		return "of no version"
	}
	return strings.Join(names, " and ")
}

// CheckBoot looks into a boot partition's image and returns its kernel's release.
func (c *Card) CheckBoot(image string) (kernel string, err error) {
	_, room, err := c.Room()
	if err != nil {
		return "", err
	}
	b, err := openBlock(image, false)
	if err != nil {
		return "", err
	}
	defer b.close()
	if b.size > room {
		return "", fmt.Errorf("%w: a boot partition of %.1f MB has no room in %.1f MB", ErrNotFit, float64(b.size)/1e6, float64(room)/1e6)
	}
	if _, err := partition.ReadNext(b); err != nil {
		return "", fmt.Errorf("%w: it is no boot partition of a pushcam: %w", ErrNotFit, err)
	}
	if kernel, err = partition.KernelRelease(b); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotFit, err)
	}
	return kernel, nil
}

// CheckCopy returns nil if a file is the copy that SaveBoot has made. sum is what
// SaveBoot returned, or "" if that is not known any more. If the file is something
// else, the error wraps ErrDamaged or ErrNotFit.
func (c *Card) CheckCopy(image, sum string) error {
	f, err := os.Open(image)
	if err != nil {
		return err
	}
	defer f.Close()
	is := sha256.New()
	if _, err := io.Copy(is, f); err != nil {
		return err
	}
	if sum != "" && fmt.Sprintf("%x", is.Sum(nil)) != sum {
		return fmt.Errorf("%w: %s is not what was saved", ErrDamaged, image)
	}
	_, err = c.CheckBoot(image)
	return err
}

// WriteBoot writes an image to the boot partition, with next already in it. It writes
// only what differs, because it has to be quick: a power cut meanwhile may leave a
// card that does not boot.
func (c *Card) WriteBoot(image string, next partition.Next) (err error) {
	cmdline, err := c.cmdline()
	if err != nil {
		return err
	}
	file, err := openBlock(image, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.close()) }()
	from := &overlay{ReaderAt: file, sectors: make(map[int64][]byte)}
	if err := partition.SetNext(from, next, cmdline); err != nil {
		return err
	}
	to, err := c.open(bootPartition, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	if file.size > to.size {
		return fmt.Errorf("%w: a boot partition of %d bytes has no room in %d", ErrNotFit, file.size, to.size)
	}
	const piece = 64 << 10
	want, is := make([]byte, piece), make([]byte, piece)
	for at := int64(0); at < file.size; at += piece {
		n := min(piece, file.size-at)
		if _, err := from.ReadAt(want[:n], at); err != nil {
			return err
		}
		for try := 0; ; try++ {
			if _, err := to.ReadAt(is[:n], at); err != nil {
				return err
			}
			if string(is[:n]) == string(want[:n]) {
				break
			}
			if try > 0 {
				return fmt.Errorf("%w: the card does not keep what is written to it: it is worn out", ErrDamaged)
			}
			if _, err := to.WriteAt(want[:n], at); err != nil {
				return err
			}
		}
	}
	return to.flush()
}

// overlay is an image with some sectors changed. The image itself is not changed,
// because it may be needed again and is then checked by its sum.
type overlay struct {
	io.ReaderAt
	sectors map[int64][]byte // by where they are
}

// WriteAt takes whole sectors.
func (o *overlay) WriteAt(p []byte, off int64) (int, error) {
	for at := 0; at < len(p); at += sector {
		o.sectors[off+int64(at)] = bytes.Clone(p[at : at+sector])
	}
	return len(p), nil
}

func (o *overlay) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.ReaderAt.ReadAt(p, off)
	for at, changed := range o.sectors {
		if from := max(at, off); from < min(at+sector, off+int64(n)) {
			copy(p[from-off:n], changed[from-at:])
		}
	}
	return n, err
}

// BootSize is how many bytes the boot partition's file system has, and so how many
// SaveBoot copies.
func (c *Card) BootSize() (size int64, err error) {
	b, err := c.open(bootPartition, false)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	return partition.BootSize(b)
}

// SaveBoot copies the boot partition to a file, for WriteBoot, and returns the
// copy's SHA-256 in hex. The file is there only when it is whole.
func (c *Card) SaveBoot(image string) (sum string, err error) {
	size, err := c.BootSize()
	if err != nil {
		return "", fmt.Errorf("boot partition: %w", err)
	}
	from, err := c.open(bootPartition, false)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, from.close()) }()
	to, err := durable.Create(image, size)
	if err != nil {
		return "", err
	}
	defer to.Discard()
	copied := sha256.New()
	if _, err := io.Copy(io.MultiWriter(to, copied), io.NewSectionReader(from, 0, size)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", copied.Sum(nil)), to.Commit()
}
