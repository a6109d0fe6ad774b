//go:build linux

package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pushcam/pushcam/gokrazy/image"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// scratch is a folder for all tests, with a short name: a socket's path has 107
// bytes.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "e2e"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(scratch)
		// Debian does not put the tools of file systems into the PATH of users.
		os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
		if code := m.Run(); code != 0 {
			return code
		}
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}())
}

// packages are Debian's, for all tests.
const packages = "qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross e2fsprogs mtools dosfstools gdisk device-tree-compiler chromium ffmpeg curl"

// need fails or skips a test for which a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		const say = "%s is not installed: sudo apt-get install %s"
		if os.Getenv("CI") != "" {
			t.Fatalf(say, p, packages)
		}
		t.Skipf(say, p, packages)
	}
}

// A product is a card image, and what a boot loader takes from its first
// partition.
type product struct {
	*image.Image
	kernel   string // its file
	cmdline  string
	firmware string // the file of an UEFI for QEMU, which gok brings along
	settings string // what its owner adds to a card's pushcam.txt; may be empty
}

// direct are QEMU's options to load the card's kernel without a boot loader, with the
// image's command line and a few words more. Words that the kernel does not know become
// environment variables of all programs.
func (p *product) direct() []string {
	return []string{"-kernel", p.kernel, "-append", fmt.Sprintf("%s console=ttyAMA0,115200 loglevel=7 sysrq_always_enabled "+
		"PUSHCAM_GPIO_CHIP=9030000.pl061 PUSHCAM_LED_GPIO=%d PUSHCAM_BUTTON_GPIO=%d PUSHCAM_BUTTON_HOLD=%v",
		p.cmdline, ledLine, buttonLine, buttonHold)}
}

// uefi are QEMU's options to boot by the card's own boot loader.
func (p *product) uefi() []string { return []string{"-bios", p.firmware} }

const (
	password     = "correct horse" // of the image's owner
	bootOffset   = 4 << 20         // bytes in front of the boot partition
	buildTimeout = time.Hour
)

// builds make the images of this checkout, each once for all tests.
var builds = map[image.Kernel]func() (*product, error){
	image.PushcamKernel: sync.OnceValues(func() (*product, error) { return build(image.PushcamKernel) }),
	image.StockKernel:   sync.OnceValues(func() (*product, error) { return build(image.StockKernel) }),
}

func build(kernel image.Kernel) (*product, error) {
	checkout, err := image.FindCheckout(".")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	b := &image.Builder{Checkout: checkout, Password: password, Kernel: kernel, Size: image.MinSize}
	p := &product{kernel: filepath.Join(scratch, string(kernel)+"-vmlinuz")}
	if p.Image, err = b.Build(ctx, filepath.Join(scratch, string(kernel)+".img")); err != nil {
		return nil, err
	}
	copyOut := func(file, to string) *exec.Cmd {
		return exec.CommandContext(ctx, "mcopy", "-n", "-i", fmt.Sprintf("%s@@%d", p.Path, bootOffset), "::"+file, to)
	}
	if said, err := copyOut("vmlinuz", p.kernel).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the image's kernel: %w: %s", err, said)
	}
	cmdline, err := copyOut("cmdline.txt", "-").Output()
	if err != nil {
		return nil, fmt.Errorf("the image's command line: %w", err)
	}
	p.cmdline = strings.TrimSpace(string(cmdline))
	tools := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/gokrazy/tools")
	tools.Dir = filepath.Join(checkout, "gokrazy/pushcam/builddir")
	dir, err := tools.Output()
	if err != nil {
		return nil, fmt.Errorf("where gok is: %w", err)
	}
	found, err := filepath.Glob(strings.TrimSpace(string(dir)) + "/third_party/edk2-*/QEMU_EFI.fd")
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("gok in %s brings %d UEFIs along, not one", dir, len(found))
	}
	p.firmware = found[0]
	return p, nil
}

// each runs a test with the product's image and with that of the stock kernel.
func each(t *testing.T, test func(t *testing.T, p *product)) {
	for _, kernel := range []image.Kernel{image.PushcamKernel, image.StockKernel} {
		t.Run(string(kernel), func(t *testing.T) { test(t, builtWith(t, kernel)) })
	}
}

// built is the product, for a test that boots it.
func built(t *testing.T) *product {
	t.Helper()
	return builtWith(t, image.PushcamKernel)
}

func builtWith(t *testing.T, kernel image.Kernel) *product {
	t.Helper()
	need(t, "qemu-system-aarch64", "aarch64-linux-gnu-gcc", "mkfs.ext4", "mcopy")
	began := time.Now()
	p, err := builds[kernel]()
	if err != nil {
		t.Fatalf("build the image: %v", err)
	}
	t.Logf("pushcam %s, its image of %d MB (root %.1f MB), after %v",
		p.Version, p.Size>>20, float64(p.RootSize)/1e6, time.Since(began).Round(time.Second))
	return p
}

// card is a copy of the image that takes only as much room as what is written in it.
func (p *product) card(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "card.img")
	if said, err := exec.Command("cp", "--sparse=always", "--reflink=auto", p.Path, path).CombinedOutput(); err != nil {
		t.Fatalf("copy the image: %v: %s", err, said)
	}
	p.set(t, bootOf(path))
	return path
}

// set adds the product's settings to the file for them in a card's boot partition, as an
// editor on a PC does: it writes the whole file anew.
func (p *product) set(t *testing.T, boot string) {
	t.Helper()
	if p.settings == "" {
		return
	}
	writeBootFile(t, boot, setup.TextFile, readBootFile(t, boot, setup.TextFile)+p.settings)
}

// bootOf is the boot partition of a card's image, as mtools know it.
func bootOf(card string) string { return fmt.Sprintf("%s@@%d", card, bootOffset) }

// writeBootFile writes a file to a card's boot partition, as a PC does.
func writeBootFile(t *testing.T, boot, name, text string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "mcopy", "-o", "-i", boot, "-", "::"+name)
	cmd.Stdin = strings.NewReader(text)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("write %s: %v: %s", name, err, said)
	}
}

// readBootFile reads a file of a card's boot partition.
func readBootFile(t *testing.T, boot, name string) string {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), "mtype", "-i", boot, "::"+name).Output()
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	return string(text)
}

// perm calls use with the superblock of the card's /perm, and with the offset of /perm
// on the card. /perm is ext4 (Documentation/filesystems/ext4/super.rst).
func perm(t *testing.T, card string, use func(f *os.File, offset int64, super []byte)) {
	t.Helper()
	f, err := os.OpenFile(card, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const entry4, firstSector = 2*512 + 3*128, 32 // of the GPT
	var first [8]byte
	if _, err := f.ReadAt(first[:], entry4+firstSector); err != nil {
		t.Fatal(err)
	}
	offset := int64(binary.LittleEndian.Uint64(first[:]))*512 + 1024
	super := make([]byte, 1024)
	if _, err := f.ReadAt(super, offset); err != nil {
		t.Fatal(err)
	}
	if binary.LittleEndian.Uint16(super[0x38:]) != 0xef53 {
		t.Fatal("there is no ext4 in the card's fourth partition")
	}
	use(f, offset, super)
}
