package card

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pushcam/pushcam/gokrazy/durable"
	"github.com/pushcam/pushcam/gokrazy/fat"
	"github.com/pushcam/pushcam/gokrazy/partition"
)

// EditBoot calls edit with the file system of the boot partition, for which it is the
// only one that writes to it meanwhile, of all programs. What edit has written is on the
// card when it returns nil.
func (c *Card) EditBoot(edit func(*fat.FS) error) error {
	boot, err := c.open(bootPartition, true)
	if err != nil {
		return err
	}
	f, err := fat.Open(boot)
	if err == nil {
		err = edit(f)
	}
	if err == nil {
		err = boot.flush()
	}
	if err := errors.Join(err, boot.close()); err != nil {
		return fmt.Errorf("boot partition: %w", err)
	}
	return nil
}

// CheckBoot looks into a boot partition's image and returns its kernel's release. sum is the
// SHA-256 that the image had in hex, or "" if that is not known.
func (c *Card) CheckBoot(image, sum string) (kernel string, err error) {
	if err := isStill(image, sum); err != nil {
		return "", err
	}
	return c.checkBoot(image, partition.CheckCommandLines)
}

// checkBoot looks for what every boot partition of a pushcam has, and for something more.
func (c *Card) checkBoot(image string, more func(io.ReaderAt) error) (kernel string, err error) {
	_, room, err := c.Room()
	if err != nil {
		return "", err
	}
	b, err := openBlock(image, false)
	if err != nil {
		return "", err
	}
	defer b.close()
	if err := bootFits(b, room); err != nil {
		return "", err
	}
	if _, err := partition.ReadNext(b); err != nil {
		return "", fmt.Errorf("%w: it is no boot partition of a pushcam: %w", ErrNotFit, err)
	}
	if err := more(b); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotFit, err)
	}
	if kernel, err = partition.KernelRelease(b); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotFit, err)
	}
	return kernel, nil
}

// bootFits looks whether an image has room in a boot partition of size bytes, with what
// it has free: it is not longer than what is used in it.
func bootFits(image *block, size int64) error {
	need := image.size
	if f, err := fat.Open(image); err == nil { // else it is refused for what it is
		need = max(need, f.Size())
	}
	if need > size {
		return fmt.Errorf("%w: a boot partition of %.1f MB has no room in %.1f MB", ErrNotFit, float64(need)/1e6, float64(size)/1e6)
	}
	return nil
}

// CheckCopy returns the release of the kernel in a file that is the copy that SaveBoot has
// made. sum is what SaveBoot returned, or "" if that is not known any more. If the file is
// something else, the error wraps ErrDamaged or ErrNotFit.
func (c *Card) CheckCopy(image, sum string) (kernel string, err error) {
	if err := isStill(image, sum); err != nil {
		return "", err
	}
	// What the owner has written into its command line is the owner's business.
	return c.checkBoot(image, func(io.ReaderAt) error { return nil })
}

// isStill returns nil if a file has the SHA-256 that it had; "" is any.
func isStill(file, sum string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	is := sha256.New()
	if _, err := io.Copy(is, f); err != nil {
		return err
	}
	if sum != "" && fmt.Sprintf("%x", is.Sum(nil)) != sum {
		return fmt.Errorf("%w: %s is not what was saved", ErrDamaged, file)
	}
	return nil
}

// WriteBoot writes an image to the boot partition, with next already in it. It writes
// only what differs, because it has to be quick: a power cut meanwhile may leave a
// card that does not boot.
func (c *Card) WriteBoot(image string, next partition.Next) error {
	_, err := c.writeBoot(image, next, false)
	return err
}

// ReplaceBoot is as WriteBoot, for an image that knows nothing of this card: the owner's
// files stay (partition.CarryOver). It returns the names of those for which there is no
// room. Should the power be cut, what SaveBoot has copied before has them all.
func (c *Card) ReplaceBoot(image string, next partition.Next) (left []string, err error) {
	return c.writeBoot(image, next, true)
}

func (c *Card) writeBoot(image string, next partition.Next, carry bool) (left []string, err error) {
	cmdline, err := c.cmdline()
	if err != nil {
		return nil, err
	}
	file, err := openBlock(image, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.close()) }()
	from := &overlay{image: file, end: file.size, sectors: make(map[int64][]byte)}
	if err := partition.SetNext(from, next, cmdline); err != nil {
		return nil, err
	}
	to, err := c.open(bootPartition, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	if err := bootFits(file, to.size); err != nil {
		return nil, err
	}
	if carry {
		if left, err = partition.CarryOver(to, from); err != nil {
			return nil, fmt.Errorf("the owner's files: %w", err)
		}
	}
	const piece = 64 << 10
	want, is := make([]byte, piece), make([]byte, piece)
	for at := int64(0); at < from.end; at += piece {
		n := min(piece, from.end-at)
		if _, err := from.ReadAt(want[:n], at); err != nil {
			return nil, err
		}
		for try := 0; ; try++ {
			if _, err := to.ReadAt(is[:n], at); err != nil {
				return nil, err
			}
			if string(is[:n]) == string(want[:n]) {
				break
			}
			if try > 0 {
				return nil, fmt.Errorf("%w: the card does not keep what is written to it: it is worn out", ErrDamaged)
			}
			if _, err := to.WriteAt(want[:n], at); err != nil {
				return nil, err
			}
		}
	}
	return left, to.flush()
}

// overlay is an image with some sectors changed. The image itself is not changed,
// because it may be needed again and is then checked by its sum. What is behind its end
// reads as zeros, and can be written to.
type overlay struct {
	image   *block
	end     int64            // of all that it has, in bytes
	sectors map[int64][]byte // by where they are
}

// WriteAt takes whole sectors.
func (o *overlay) WriteAt(p []byte, off int64) (int, error) {
	for at := 0; at < len(p); at += sector {
		o.sectors[off+int64(at)] = bytes.Clone(p[at : at+sector])
	}
	o.end = max(o.end, off+int64(len(p)))
	return len(p), nil
}

func (o *overlay) ReadAt(p []byte, off int64) (int, error) {
	n := int(min(int64(len(p)), max(0, o.image.size-off)))
	if _, err := o.image.ReadAt(p[:n], off); err != nil {
		return 0, err
	}
	clear(p[n:])
	for at := off / sector * sector; at < off+int64(len(p)); at += sector {
		if changed, ok := o.sectors[at]; ok {
			from := max(at, off)
			copy(p[from-off:], changed[from-at:])
		}
	}
	return len(p), nil
}

// BootUsed is how many bytes of the boot partition have something in them, and so how
// many SaveBoot copies.
func (c *Card) BootUsed() (size int64, err error) {
	b, err := c.open(bootPartition, false)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	return partition.BootUsed(b)
}

// SaveBoot copies the boot partition to a file, for WriteBoot, and returns the
// copy's SHA-256 in hex. The file is there only when it is whole.
func (c *Card) SaveBoot(image string) (sum string, err error) {
	from, err := c.open(bootPartition, true) // so that nobody writes to it meanwhile
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, from.close()) }()
	size, err := partition.BootUsed(from)
	if err != nil {
		return "", fmt.Errorf("boot partition: %w", err)
	}
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
