// Package card is the card from which the appliance runs: what its partitions are,
// which one the next boot takes, and how an update gets onto it.
package card

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/partition"
)

// Card is the card from which the system runs. The zero value is the one of the
// system on which this program runs. One goroutine at a time may change the root
// partitions; for the boot partition the others wait, in other programs too.
//
// The boot partition must never be mounted, not even for a moment, so everything
// here reads and writes partitions as bytes. Before gokrazy's init tries an update,
// it notes in the boot partition, as bytes too, that the next boot takes the old
// root again, and relies on the kernel to write that when it closes the partition.
// Once the partition has been mounted in this boot, that close writes nothing: a
// root file system that ends at once would be tried at every boot, for ever.
type Card struct {
	// Root is where /sys, /proc and /dev are looked for.
	Root device.Root
	// Device returns the device numbers of what is mounted at "/". nil asks the system.
	Device func() (major, minor uint32, err error)

	freeze func(dir string) error // instead of the kernel
	kept   *block                 // the boot partition, which stays locked after Settle
}

// Boot says which root file system runs, and which one the next boot takes.
type Boot struct {
	Running int            // number of the partition at /
	Kernel  int            // of the one that the kernel started with
	Next    partition.Next // what is on the card
}

// Trial tells whether this boot tries an update: it runs another root file system
// than the kernel was started with, and the next boot does not take that. A trial
// that is committed is none any more, because the next boot takes what runs.
func (b Boot) Trial() bool { return b.Running != b.Kernel && b.Running != b.Next.Root }

// Started says which root partition runs, and which one the kernel was started
// with. It asks the kernel alone, so it does not wait for the card.
func (c *Card) Started() (running, kernel int, err error) {
	parts, err := c.partitions()
	if err != nil {
		return 0, 0, err
	}
	cmdline, err := c.cmdline()
	if err != nil {
		return parts.running, 0, err
	}
	if kernel, err = partition.RootPartition(cmdline); err != nil {
		return parts.running, 0, fmt.Errorf("/proc/cmdline: %w", err)
	}
	return parts.running, kernel, nil
}

// Boot returns what runs and what the next boot takes. It reads the card.
func (c *Card) Boot() (b Boot, err error) {
	if b.Running, b.Kernel, err = c.Started(); err != nil {
		return b, err
	}
	boot, err := c.open(bootPartition, false)
	if err != nil {
		return b, err
	}
	defer boot.close()
	if b.Next, err = partition.ReadNext(boot); err != nil {
		return b, fmt.Errorf("boot partition: %w", err)
	}
	return b, nil
}

// SetNext decides what the next boot takes. When it returns nil, that is on the card.
// After an error or a power cut the card has either the old or the new, and nothing
// else, because only one sector is written. On a machine with UEFI there is a second
// sector, the entry of its boot loader, which is written first.
func (c *Card) SetNext(next partition.Next) error {
	cmdline, err := c.cmdline()
	if err != nil {
		return err
	}
	boot, err := c.open(bootPartition, true)
	if err != nil {
		return err
	}
	err = partition.SetNext(boot, next, cmdline)
	if err == nil {
		err = boot.flush()
	}
	if err := errors.Join(err, boot.close()); err != nil {
		return fmt.Errorf("boot partition: %w", err)
	}
	return nil
}

// role is what a partition is used for.
type role int

const (
	bootPartition role = iota
	runningRoot
	otherRoot
)

// open opens a partition, which the caller must close. Who may write to the boot
// partition has it alone, and is waited for: others that only read do not wait.
func (c *Card) open(what role, write bool) (*block, error) {
	parts, err := c.partitions()
	if err != nil {
		return nil, err
	}
	number := partition.BootPartition
	switch what {
	case runningRoot:
		number = parts.running
	case otherRoot:
		number = partition.OtherRoot(parts.running)
	}
	b, err := openBlock(parts.path[number], write)
	if err == nil && what == bootPartition && write {
		if err = lock(b.f); err != nil {
			b.close()
		}
	}
	return b, err
}

// partitions are those of the card, by their numbers.
type partitions struct {
	running int
	path    map[int]string // below /dev
	disk    string         // all of the card, below /dev
	sys     string         // the card's folder in /sys, which has one for each partition
}

func (c *Card) partitions() (p partitions, err error) {
	device := c.Device
	if device == nil {
		device = rootDevice
	}
	major, minor, err := device()
	if err != nil {
		return p, err
	}
	// The link is for instance ../../devices/…/mmcblk0/mmcblk0p2.
	dir, err := filepath.EvalSymlinks(c.Root.Path("sys/dev/block", fmt.Sprintf("%d:%d", major, minor)))
	if err != nil {
		return p, err
	}
	number := func(dir string) int {
		text, err := os.ReadFile(filepath.Join(dir, "partition"))
		if err != nil {
			return 0 // it is no partition
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return 0
		}
		return n
	}
	if p.running = number(dir); p.running != partition.RootA && p.running != partition.RootB {
		return p, fmt.Errorf("/ is not on one of the card's two partitions for it but on %s", filepath.Base(dir))
	}
	p.sys = filepath.Dir(dir)
	p.disk = c.Root.Path("dev", filepath.Base(p.sys))
	entries, err := os.ReadDir(p.sys)
	if err != nil {
		return p, err
	}
	p.path = make(map[int]string)
	for _, e := range entries {
		if n := number(filepath.Join(p.sys, e.Name())); n > 0 {
			p.path[n] = c.Root.Path("dev", e.Name())
		}
	}
	for _, n := range []int{partition.BootPartition, partition.RootA, partition.RootB} {
		if p.path[n] == "" {
			return p, fmt.Errorf("the card has no partition %d", n)
		}
	}
	return p, nil
}

func (c *Card) cmdline() (string, error) {
	text, err := os.ReadFile(c.Root.Path("proc/cmdline"))
	return string(text), err
}
