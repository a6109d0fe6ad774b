//go:build linux

package e2e

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/fat"
)

// imager is what Raspberry Pi Imager appends to the kernel's command line, after it has
// taken the blanks at its end away.
const imager = " systemd.run=/boot/firstrun.sh cfg80211.ieee80211_regdom=DE\n"

// testBootPartition looks at an image's first partition as a PC does, and changes it as
// people and Raspberry Pi Imager do. like is another image of the same commit and name.
func testBootPartition(t *testing.T, path, like string) {
	t.Helper()
	need(t, "dosfsck", "mcopy", "mattrib", "sgdisk")
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		if err != nil {
			t.Errorf("%s %q: %v: %s", name, args, err, out)
		}
		return string(out)
	}
	if said := run("sgdisk", "-v", path); !strings.Contains(said, "No problems found") {
		t.Errorf("the partition table: %s", said)
	}
	if said := run("sgdisk", "-i", "1", path); !strings.Contains(said, "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7") {
		t.Errorf("the boot partition is not one that PCs show: %s", said)
	}
	if got, want := bootPartition(t, path), bootPartition(t, like); !bytes.Equal(got, want) {
		t.Error("the boot partitions of two builds of one commit differ")
	}
	const inMBR = 0x1BE + 4 // type of the first partition
	if head := make([]byte, 512); !readHead(t, path, head) || head[inMBR] != 0x0c {
		t.Errorf("a Pi finds a boot partition of type %#x", head[inMBR])
	}
	check := func() *fat.FS {
		t.Helper()
		file := filepath.Join(t.TempDir(), "boot.img")
		if err := os.WriteFile(file, bootPartition(t, path), 0o600); err != nil {
			t.Fatal(err)
		}
		run("dosfsck", "-nV", file)
		f, err := fat.Open(bytes.NewReader(bootPartition(t, path)))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := check()
	if free := f.Free(); free < 60<<20 || f.Size() != bootSize {
		t.Errorf("%d of %d bytes are free", free, f.Size())
	}
	line, err := f.ReadFile("cmdline.txt", 2048)
	if err != nil {
		t.Fatal(err)
	}
	boot, dir := path+"@@4M", t.TempDir()
	for name, text := range map[string]string{"cmdline.txt": strings.TrimSpace(string(line)) + imager, "Notes of mine.txt": "a note\r\n"} {
		from := filepath.Join(dir, name)
		if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if name == "cmdline.txt" {
			run("mattrib", "-r", "-i", boot, "::"+name)
		}
		run("mcopy", "-o", "-i", boot, from, "::"+name)
	}
	check()
}

const bootSize = 100 << 20 // bytes

func bootPartition(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, bootSize)
	if _, err := io.ReadFull(io.NewSectionReader(f, bootOffset, bootSize), b); err != nil {
		t.Fatal(err)
	}
	return b
}

func readHead(t *testing.T, path string, b []byte) bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = io.ReadFull(f, b)
	return err == nil
}

// noteStays looks whether what testBootPartition has written is there still, and whether
// the kernel's command line has its room for updates again.
func noteStays(t *testing.T, path string) {
	t.Helper()
	f, err := fat.Open(bytes.NewReader(bootPartition(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	if note, err := f.ReadFile("Notes of mine.txt", 100); err != nil || string(note) != "a note\r\n" {
		t.Errorf("the owner's note is %q, %v", note, err)
	}
	if line, err := f.ReadFile("cmdline.txt", 2048); err != nil || !strings.Contains(string(line), strings.TrimSpace(imager)+" ") || strings.Contains(string(line), "\n") {
		t.Errorf("the kernel's command line is %q, %v", line, err)
	}
}
