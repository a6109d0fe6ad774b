// Package cardtest has an appliance's card for tests.
package cardtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/partition/partitiontest"
	"github.com/pushcam/pushcam/gokrazy/update/card"
)

// Kernel is the release of the running kernel, and of the one on the card.
const Kernel = "6.12.47-v8"

// Major and Minor are the numbers of what is mounted at /.
const Major, Minor = 179, 7

// NewCard is a card whose partitions are files, of a system that runs from the
// root partition with this number and was started with the second one. The other
// is empty.
func NewCard(t *testing.T, running int) *card.Card {
	t.Helper()
	root := t.TempDir()
	write := func(path string, content []byte) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const disk = "sys/devices/platform/mmcblk0"
	write("proc/sys/kernel/osrelease", []byte(Kernel+"\n"))
	write("proc/cmdline", []byte(partitiontest.Cmdline+"\n"))
	write(disk+"/size", []byte("4194304"))
	for n, content := range map[int][]byte{
		1: Boot(partitiontest.Boot{Kernel: Kernel, Owner: map[string]string{"pushcam.txt": Settings}}.Bytes()),
		2: append(Root("v1").Bytes(), make([]byte, 2<<20)...),
		3: make([]byte, 3<<20),
		4: make([]byte, 4096),
	} {
		name := fmt.Sprint("mmcblk0p", n)
		write("dev/"+name, content)
		write(filepath.Join(disk, name, "partition"), []byte(fmt.Sprintln(n)))
	}
	if err := os.MkdirAll(filepath.Join(root, "sys/dev/block"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := &card.Card{Root: device.Root(root), Device: func() (uint32, uint32, error) { return Major, Minor, nil }}
	Run(t, c, running)
	return c
}

// Settings is what the owner has written on the card.
const Settings = "hostname=garden\n"

// Boot is a boot partition that begins with an image.
func Boot(image []byte) []byte {
	return append(image, make([]byte, partitiontest.BootSize-len(image))...)
}

// Run makes the system one that runs from the root partition with this number.
func Run(t *testing.T, c *card.Card, number int) {
	t.Helper()
	link := c.Root.Path("sys/dev/block/179:7")
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.Symlink(fmt.Sprint("../../devices/platform/mmcblk0/mmcblk0p", number), link); err != nil {
		t.Skip("no links here:", err)
	}
}

// Root is a root file system for this computer.
func Root(version string) partitiontest.Root {
	machine := map[string]uint16{"arm64": 183, "amd64": 62}[runtime.GOARCH]
	return partitiontest.Root{Version: version, Hostname: "garden", Machine: machine, Kernels: []string{Kernel}, Built: time.Unix(1e9, 0)}
}
