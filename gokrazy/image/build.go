// Package image makes the card image of the appliance and writes it to a card.
package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/identity"
	"github.com/pushcam/pushcam/gokrazy/network/firmware"
	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

// DefaultSize of an image in bytes. It fits every card that is sold, and QEMU's
// emulated Pi wants a power of two.
const DefaultSize = 2 << 30

const (
	// MinSize is the smallest image in bytes: gok's 1200 MiB for boot, two
	// roots and 100 MiB of /perm, and 4 MiB before the first partition.
	MinSize = 1204 << 20
	// maxSize in bytes: gok counts the sectors of /perm in 32 bits.
	maxSize = 1 << 40
)

// Builder makes a card image. The zero value of a field that is not required is
// useful.
type Builder struct {
	// Checkout is the root folder of a checkout of pushcam. Required.
	Checkout string
	// Hostname is the appliance's name on the network: one DNS label. Empty
	// means "pushcam".
	Hostname string
	// Password is the owner's. Only its hash is on the card, on /perm
	// (device.Owner), so a root file system holds no secret and can be given
	// to others. Empty makes an image for everybody: the camera asks for a
	// password at first sight (device.Ownership) and makes its own id, and two
	// builds of one commit are the same in every byte.
	Password string
	// Kernel is what the appliance runs on. Empty means PushcamKernel.
	Kernel Kernel
	// NoWiFi leaves out what the image has for Wi-Fi (firmware.Contents). With
	// StockKernel it has none in any case.
	NoWiFi bool
	// WiFiFirmware is a folder in which firmware for Wi-Fi is looked for first, and the
	// only one with that of chips for which Debian has none. Empty means none. The rest is of
	// this computer's /lib/firmware, or is downloaded with apt-get from Debian.
	WiFiFirmware string
	// Sign is the key that signs images for updates. A camera whose image has an owner
	// takes updates by it: its public half is on /perm. nil makes images for updates that
	// nobody has signed, and cameras that keep the first key they see (update.Server).
	Sign *signed.Signer
	// Release puts the public half of Sign into all root file systems as well, for
	// everybody's cameras.
	Release bool
	// Settings are in the image's pushcam.txt (setup.Text): name, country and networks.
	// The owner can change the file, and an update leaves it alone.
	Settings setup.Settings
	// Size of the image in bytes. 0 means DefaultSize.
	Size int64
	// Version and Time are what the image calls itself. Empty means those of
	// the checkout's commit, or, if files differ from it, "-dirty" and now.
	Version string
	Time    time.Time
	// Output gets what gok and the compiler print. nil discards it; the end of
	// it is in the error of a build that failed.
	Output io.Writer
	// Step is called with what begins, in a few words. nil is fine.
	Step func(what string)
}

// A Kernel is one that an image can be made with, by the name that people use.
type Kernel string

const (
	// PushcamKernel is that of this repository, with the driver of the Pi
	// camera.
	PushcamKernel Kernel = "pushcam"
	// StockKernel is gokrazy's, for USB webcams only, and for a Pi 5.
	StockKernel Kernel = "stock"
)

// kernelPackages are what gok calls them.
var kernelPackages = map[Kernel]string{
	PushcamKernel: "github.com/pushcam/pushcam/gokrazy/kernel",
	StockKernel:   "github.com/gokrazy/kernel.rpi",
}

// Image is what was built.
type Image struct {
	Path     string
	Hostname string
	ID       string // of the camera (device.ID), a new one; "" in one without a password and for updates
	// SetupCode is the password of the camera's set-up network; "" where ID is.
	SetupCode string
	// Key is by what the camera proves who it is; nil where ID is "".
	Key      *identity.Key
	Kernel   Kernel
	Version  string
	Time     time.Time // of the commit
	Size     int64     // bytes
	RootSize int64     // bytes of the root file system
	// UpdateKey is that by which its updates are signed; "" if nobody signs them.
	UpdateKey signed.Key
	// RootSum is the SHA-256 of the root file system: the same for builds of
	// one commit and host name with one version of Go and of the C compiler,
	// and with the CA certificates and the time zone of the computer that
	// builds, which gok copies into it.
	RootSum string
	// WiFi is what it has for Wi-Fi, and what it lacks. nil means nothing.
	WiFi *firmware.Contents
}

var hostname = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`) // RFC 1123, one label

// Check says what is wrong with the name, the kernel, Wi-Fi or the size, in one
// sentence.
func (b *Builder) Check() error {
	switch size := b.size(); {
	case !hostname.MatchString(b.hostname()):
		return fmt.Errorf("the host name %q is not one: use up to 63 letters a-z, digits and hyphens", b.Hostname)
	case kernelPackages[b.kernel()] == "":
		return fmt.Errorf("there is no kernel %q: it is %s or %s", b.Kernel, PushcamKernel, StockKernel)
	case b.WiFiFirmware != "" && !b.hasWiFi():
		return errors.New("firmware for Wi-Fi is given for an image without Wi-Fi: take only one of -wifi-firmware and -no-wifi, and the kernel pushcam")
	case size < MinSize:
		return fmt.Errorf("an image of %d bytes is too small: it needs at least %d MiB", size, MinSize>>20)
	case size > maxSize:
		return fmt.Errorf("an image of %d bytes is too large: at most %d GiB", size, maxSize>>30)
	case size%sectorSize != 0:
		return fmt.Errorf("the image's size is a multiple of %d bytes, not %d", sectorSize, size)
	}
	return nil
}

// Build writes the image to path, or to what is linked there. It is written beside
// that and renamed, so what was there stays if the build fails. What is no plain file
// is refused, before anything is built.
func (b *Builder) Build(ctx context.Context, path string) (*Image, error) {
	return b.build(ctx, path, true, func(inst *instance, img *Image, part, mkfs string) error {
		full, size := "--full="+part, "--target_storage_bytes="+strconv.FormatInt(img.Size, 10)
		if err := b.gok(ctx, inst, img, full, size); err != nil {
			return fmt.Errorf("build the image: %w", err)
		}
		if err := b.finish(ctx, img, part, mkfs); err != nil {
			return fmt.Errorf("finish the image: %w", err)
		}
		return nil
	})
}

// BuildArchive is as Build, for an image for updates (partition.Archive): without
// /perm, and so without a password, and for cameras of any name that keep theirs
// (update.Status).
func (b *Builder) BuildArchive(ctx context.Context, path string) (*Image, error) {
	return b.build(ctx, path, false, func(inst *instance, img *Image, part, _ string) error {
		defer os.Remove(part + ".gok")
		if err := b.gok(ctx, inst, img, "--gaf="+part+".gok"); err != nil {
			return fmt.Errorf("build the image: %w", err)
		}
		if err := b.finishArchive(img, part+".gok", part); err != nil {
			return fmt.Errorf("finish the image: %w", err)
		}
		return nil
	})
}

// build has write make what is then renamed to path. mkfs is for /perm, if it is to
// have one.
func (b *Builder) build(ctx context.Context, path string, perm bool, write func(inst *instance, img *Image, part, mkfs string) error) (*Image, error) {
	if err := b.Check(); err != nil {
		return nil, err
	}
	file, err := target(path)
	if err != nil {
		return nil, err
	}
	inst, err := b.instance()
	if err != nil {
		return nil, err
	}
	mkfs, err := checkTools(ctx, inst.compiler(), perm)
	if err != nil {
		return nil, err
	}
	if err := checkSpace(filepath.Dir(file), os.TempDir()); err != nil {
		return nil, err
	}
	if inst.licenses, err = b.licenses(ctx, inst); err != nil {
		return nil, err
	}
	if inst.wifi, err = b.wifi(ctx); err != nil {
		return nil, err
	}
	img := &Image{Path: path, Hostname: b.hostname(), Kernel: b.kernel(), Version: b.Version, Time: b.Time, Size: b.size()}
	if b.Sign != nil {
		img.UpdateKey = b.Sign.Key()
	}
	if b.Release {
		inst.updateKey = img.UpdateKey
	}
	if inst.wifi != nil {
		img.WiFi = &inst.wifi.Contents
	}
	if img.Version == "" || img.Time.IsZero() {
		img.Version, img.Time = b.commit(ctx)
	}
	return img, replace(file, func(part string) error {
		b.step("building pushcam %s; the first time takes minutes", img.Version)
		return write(inst, img, part, mkfs)
	})
}

// finish does what gok leaves to others.
func (b *Builder) finish(ctx context.Context, img *Image, path, mkfs string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if b.Password != "" { // its hash is not for others either
		img.ID, img.SetupCode = device.NewID(), device.NewSetupCode()
		if img.Key, err = identity.New(); err != nil {
			return err
		}
		if err := f.Chmod(0o600); err != nil {
			return err
		}
	}
	l, err := readLayout(f, img.Size)
	if err != nil {
		return err
	}
	if _, err := b.makeBoot(newSection(f, l.boot), l.boot.size, img.Time); err != nil {
		return err
	}
	if _, err := partition.FitTable(f, img.Size, func() error { return nil }); err != nil {
		return fmt.Errorf("partition table: %w", err)
	}
	if err := img.finishRoot(newSection(f, l.rootA)); err != nil {
		return fmt.Errorf("root file system: %w", err)
	}
	b.step("formatting /perm, %d MB", l.perm.size/1e6)
	if err := formatPerm(ctx, mkfs, path, l.perm, img, b.Password); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// finishRoot stamps a root file system and notes its size and its digest.
func (i *Image) finishRoot(root partition.ReaderWriterAt) (err error) {
	if i.RootSize, err = partition.StampRoot(root, i.Time); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(root, 0, i.RootSize)); err != nil {
		return err
	}
	i.RootSum = hex.EncodeToString(sum.Sum(nil))
	return nil
}

func (b *Builder) hostname() string {
	if b.Hostname == "" {
		return "pushcam"
	}
	return b.Hostname
}

func (b *Builder) kernel() Kernel {
	if b.Kernel == "" {
		return PushcamKernel
	}
	return b.Kernel
}

func (b *Builder) size() int64 {
	if b.Size == 0 {
		return DefaultSize
	}
	return b.Size
}

func (b *Builder) step(format string, args ...any) {
	if b.Step != nil {
		b.Step(fmt.Sprintf(format, args...))
	}
}

// section is a part of a file, with offsets of its own.
type section struct {
	io.ReaderAt
	io.WriterAt
}

func newSection(f *os.File, s span) section {
	return section{io.NewSectionReader(f, s.offset, s.size), io.NewOffsetWriter(f, s.offset)}
}
