package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/fat"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// Flasher writes an image to a card and reads it back.
type Flasher struct {
	// System has the disks. nil means this computer's.
	System *System
	// Large allows disks larger than Large.
	Large bool
	// Text is written to the card as setup.TextFile, in the place of the image's. nil
	// leaves that as it is.
	Text []byte
	// Progress is called after each piece that was written, and then after each
	// that was compared, from the goroutine of Flash. nil is fine.
	Progress func(Progress)
}

// Progress is how far a card is.
type Progress struct {
	Checking bool // it was written, and is read back now
	Done     int64
	Total    int64 // bytes
	Elapsed  time.Duration
}

// piece is how much is written at a time, in bytes. Cards are fastest with whole
// erase blocks, which have 4 MiB (SD specification, AU_SIZE of most cards).
const piece = 4 << 20

// Target says whether an image can be written to the disk at path, by this user too.
func (f *Flasher) Target(image, path string) (*Disk, error) {
	img, err := openImage(image)
	if err != nil {
		return nil, err
	}
	defer img.Close()
	return f.target(img, path)
}

func (f *Flasher) target(img *imageFile, path string) (*Disk, error) {
	s := f.System
	if s == nil {
		s = new(System)
	}
	disk, err := s.Disk(path)
	if err != nil {
		return nil, err
	}
	if err := disk.fits(img.size, f.Large); err != nil {
		return nil, err
	}
	return disk, mayWrite(disk.node)
}

// ErrNotRoot is returned for disks that this user may not write to.
var ErrNotRoot = errors.New("only root may write to a disk")

// Flash writes the image to the disk at path, reads it back and compares. The
// first piece, which has the partition table, is written last, so that a card that is
// not complete has none and does not boot. Flash ends when ctx does.
func (f *Flasher) Flash(ctx context.Context, image, path string) error {
	img, err := openImage(image)
	if err != nil {
		return err
	}
	defer img.Close()
	disk, err := f.target(img, path)
	if err != nil {
		return err
	}
	card, err := openCard(disk.node)
	if err != nil {
		return err
	}
	defer card.Close()
	if err := f.write(ctx, img, card); err != nil {
		return fmt.Errorf("write to %s: %w; the card is not complete", disk, err)
	}
	if err := f.compare(ctx, img, card); err != nil {
		return fmt.Errorf("read back from %s: %w", disk, err)
	}
	if f.Text != nil {
		if err := writeText(card, img.size, f.Text); err != nil {
			return fmt.Errorf("%s is written, but not its %s: %w", disk, setup.TextFile, err)
		}
	}
	return card.Close()
}

// writeText makes text the file that the owner sets the camera with.
func writeText(card *os.File, size int64, text []byte) error {
	l, err := readLayout(card, size)
	if err != nil {
		return err
	}
	boot, err := fat.Open(newSection(card, l.boot))
	if err != nil {
		return err
	}
	if err := boot.WriteFile(setup.TextFile, text, time.Now()); err != nil {
		return err
	}
	return card.Sync()
}

func (f *Flasher) write(ctx context.Context, img *imageFile, card *os.File) error {
	started, buf := time.Now(), make([]byte, piece)
	if _, err := card.WriteAt(buf[:min(piece, img.size)], 0); err != nil {
		return err
	}
	// Each piece is synced before the next one. Otherwise the progress would
	// show what is in this computer's memory, and the last sync would take minutes.
	put := func(at int64) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(piece, img.size-at)]
		if _, err := img.ReadAt(b, at); err != nil {
			return fmt.Errorf("%s: %w", img.Name(), err)
		}
		if _, err := card.WriteAt(b, at); err != nil {
			return err
		}
		return card.Sync()
	}
	done := int64(0)
	for i := range img.pieces() {
		at := (i + 1) % img.pieces() * piece // the first piece last
		if err := put(at); err != nil {
			return err
		}
		done += min(piece, img.size-at)
		f.report(Progress{Done: done, Total: img.size, Elapsed: time.Since(started)})
	}
	return nil
}

func (f *Flasher) compare(ctx context.Context, img *imageFile, card *os.File) error {
	started := time.Now()
	if err := forget(card); err != nil {
		return err
	}
	want, got := make([]byte, piece), make([]byte, piece)
	for i := range img.pieces() {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := i * piece
		n := min(piece, img.size-at)
		if _, err := img.ReadAt(want[:n], at); err != nil {
			return fmt.Errorf("%s: %w", img.Name(), err)
		}
		if _, err := card.ReadAt(got[:n], at); err != nil {
			return err
		}
		if !bytes.Equal(want[:n], got[:n]) {
			return fmt.Errorf("it differs from what was written, after byte %d: the card is worn out, broken or a fake; use another one", at+firstDifference(want[:n], got[:n]))
		}
		f.report(Progress{Checking: true, Done: at + n, Total: img.size, Elapsed: time.Since(started)})
	}
	return nil
}

func (f *Flasher) report(p Progress) {
	if f.Progress != nil {
		f.Progress(p)
	}
}

func firstDifference(a, b []byte) int64 {
	for i := range a {
		if a[i] != b[i] {
			return int64(i)
		}
	}
	return int64(len(a))
}

// imageFile is a card image that is open for reading.
type imageFile struct {
	*os.File
	size int64 // bytes
}

func (i *imageFile) pieces() int64 { return (i.size + piece - 1) / piece }

func openImage(path string) (*imageFile, error) {
	info, err := os.Stat(path) // before it is opened: to open a pipe would wait
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no image %s; make one with: pushcamctl image -o %s", path, Quote(path))
	} else if err != nil {
		return nil, err
	}
	if err := isFile(path, info); err != nil {
		return nil, err
	}
	if strings.HasSuffix(path, ".gaf") {
		return nil, fmt.Errorf("%s is for updates over the network, with: pushcamctl update -image %s; for a card make an image with: pushcamctl image", path, Quote(path))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if _, err = readLayout(io.NewSectionReader(f, 0, info.Size()), info.Size()); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &imageFile{f, info.Size()}, nil
}
