package card_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/fat"
	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/partition/partitiontest"
	"github.com/pushcam/pushcam/gokrazy/update/card"
	"github.com/pushcam/pushcam/gokrazy/update/card/cardtest"
)

const kernel = cardtest.Kernel

var testRoot = cardtest.Root

func testCard(t *testing.T, running int) *card.Card { return cardtest.NewCard(t, running) }

// in is a path on the system of a card.
func in(c *card.Card, path string) string { return c.Root.Path(path) }

func TestBoot(t *testing.T) {
	tests := []struct {
		name    string
		running int
		next    partition.Next
		trial   bool
	}{
		{"normal", 2, partition.Next{Root: 2}, false},
		{"armed", 2, partition.Next{Root: 2, Try: true}, false},
		{"trial", 3, partition.Next{Root: 2}, true},
		{"trial that is committed", 3, partition.Next{Root: 3}, false},
		{"armed after a commit", 3, partition.Next{Root: 3, Try: true}, false},
		{"switched by somebody else", 2, partition.Next{Root: 3}, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := testCard(t, tc.running)
			if err := c.SetNext(tc.next); err != nil {
				t.Fatal(err)
			}
			b, err := c.Boot()
			if want := (card.Boot{tc.running, 2, tc.next}); err != nil || b != want || b.Trial() != tc.trial {
				t.Errorf("%+v, trial %v, %v; want %+v, trial %v", b, b.Trial(), err, want, tc.trial)
			}
		})
	}
}

func TestBootIsNotKnown(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(c *card.Card) error
		want  string
	}{
		{"no kernel command line", func(c *card.Card) error { return os.Remove(in(c, "proc/cmdline")) }, "cmdline"},
		{"a strange one", func(c *card.Card) error {
			return os.WriteFile(in(c, "proc/cmdline"), []byte("root=/dev/sda"), 0o644)
		}, "no root=PARTUUID"},
		{"/ is /perm", func(c *card.Card) error {
			return os.WriteFile(in(c, "sys/devices/platform/mmcblk0/mmcblk0p2/partition"), []byte("4"), 0o644)
		}, "/ is not on"},
		{"no boot partition", func(c *card.Card) error { return os.RemoveAll(in(c, "sys/devices/platform/mmcblk0/mmcblk0p1")) }, "no partition 1"},
		{"an empty one", func(c *card.Card) error { return os.Truncate(in(c, "dev/mmcblk0p1"), 0) }, "boot sector"},
		{"/ is a network's", func(c *card.Card) error { return os.RemoveAll(in(c, "sys/dev")) }, "sys/dev"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := testCard(t, 2)
			if err := tc.spoil(c); err != nil {
				t.Fatal(err)
			}
			if b, err := c.Boot(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%+v, error %v, want %q in it", b, err, tc.want)
			}
		})
	}
}

func TestWriteRoot(t *testing.T) {
	c := testCard(t, 2)
	large := testRoot("v2")
	large.Size = 1_500_000
	image := large.Bytes()
	image = image[:len(image)-100] // not whole sectors
	before, err := os.ReadFile(in(c, "dev/mmcblk0p2"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WriteRoot(bytes.NewReader(image), int64(len(image)), sha256.Sum256(image)); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(in(c, "dev/mmcblk0p3"))
	if err != nil || !bytes.Equal(got[:len(image)], image) || len(got) != 3<<20 {
		t.Errorf("the other partition has something else: %v", err)
	}
	if after, err := os.ReadFile(in(c, "dev/mmcblk0p2")); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the running one was changed: %v", err)
	}
	root, err := c.CheckRoot(int64(len(image)), kernel)
	if err != nil || root.Version != "v2" {
		t.Errorf("%+v, %v", root, err)
	}
	// The end of it is there, but not of what was written last.
	if root, err := c.CheckRoot(1<<20, kernel); !errors.Is(err, card.ErrNotFit) {
		t.Errorf("half of it is taken for %+v, %v", root, err)
	}
	if root, err := c.Running(); err != nil || root.Version != "v1" {
		t.Errorf("what runs is %+v, %v", root, err)
	}
	if root, boot, err := c.Room(); err != nil || root != 3<<20 || boot < 1<<20 {
		t.Errorf("room for %d and %d bytes, %v", root, boot, err)
	}
}

func TestWriteRootRefuses(t *testing.T) {
	large := testRoot("v2")
	large.Size = 1_500_000
	good := large.Bytes()
	tests := []struct {
		name string
		send []byte
		size int64
		want error
		says string
	}{
		{"too large", nil, 4 << 20, card.ErrNotFit, "no room"},
		{"cut off", good[:1<<20+5], int64(len(good)), nil, "ended after 1048576 of"},
		{"damaged on the way", append([]byte{1}, good[1:]...), int64(len(good)), card.ErrDamaged, "not what was sent"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			err := testCard(t, 2).WriteRoot(bytes.NewReader(tc.send), tc.size, sha256.Sum256(good))
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v, want %q in it", err, tc.says)
			}
		})
	}
}

func TestCheckRootRefuses(t *testing.T) {
	other := testRoot("v2")
	other.Machine = 243
	old := testRoot("v2")
	old.Kernels = []string{"6.1.0"}
	none := testRoot("v2")
	none.Kernels = nil
	for name, tc := range map[string]struct {
		image []byte
		want  string
	}{
		"another processor": {other.Bytes(), "it is for riscv64, and this is " + runtime.GOARCH},
		"another kernel":    {old.Bytes(), "modules for the kernel 6.1.0, and this would run " + kernel},
		"no modules":        {none.Bytes(), "modules for the kernel of no version"},
		"a text":            {bytes.Repeat([]byte("text"), 1000), "no root file system of a pushcam"},
	} {
		t.Run(name, func(t *testing.T) {
			c := testCard(t, 2)
			if err := c.WriteRoot(bytes.NewReader(tc.image), int64(len(tc.image)), sha256.Sum256(tc.image)); err != nil {
				t.Fatal(err)
			}
			if root, err := c.CheckRoot(int64(len(tc.image)), kernel); !errors.Is(err, card.ErrNotFit) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%+v, error %v, want %q in it", root, err, tc.want)
			}
		})
	}
}

func TestWriteBoot(t *testing.T) {
	c := testCard(t, 2)
	dir := t.TempDir()
	saved, image := filepath.Join(dir, "old"), filepath.Join(dir, "new")
	original, err := os.ReadFile(in(c, "dev/mmcblk0p1"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := c.SaveBoot(saved)
	if err != nil {
		t.Fatal(err)
	}
	// Made for another card, with a file more.
	foreign := partitiontest.Boot{Kernel: "6.18", Filler: strings.Repeat("filler", 20_000),
		Cmdline: "quiet root=PARTUUID=00000000-1111-2222-3333-444444440001/PARTNROFF=2 init=/gokrazy/init" + partitiontest.Padding}
	if err := os.WriteFile(image, foreign.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if release, err := c.CheckBoot(image, ""); err != nil || release != "6.18" {
		t.Errorf("its kernel is %q, %v", release, err)
	}
	next := partition.Next{Root: 2, Try: true}
	if err := c.WriteBoot(image, next); err != nil {
		t.Fatal(err)
	}
	if b, err := c.Boot(); err != nil || b.Next != next {
		t.Errorf("%+v, %v, want %+v", b, err, next)
	}
	if release, err := c.CheckBoot(in(c, "dev/mmcblk0p1"), ""); err != nil || release != "6.18" {
		t.Errorf("the card's kernel is %q, %v", release, err)
	}
	if err := c.WriteBoot(saved, partition.Next{Root: 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CheckCopy(saved, sum); err != nil {
		t.Errorf("the copy is not what it was: %v", err)
	}
	restored, err := os.ReadFile(in(c, "dev/mmcblk0p1"))
	if err != nil {
		t.Fatal(err)
	}
	size, err := c.BootUsed()
	if err != nil || !bytes.Equal(restored[:size], original[:size]) {
		t.Error("what was saved is not what is back")
	}
	huge := partitiontest.Boot{Kernel: kernel}.Bytes()
	binary.LittleEndian.PutUint16(huge[19:], 0)
	binary.LittleEndian.PutUint32(huge[32:], 1<<32-1)
	for name, content := range map[string][]byte{
		"no room": make([]byte, len(original)+512), "no boot partition": make([]byte, 4096), "of 4 billion sectors": huge,
		"another init": partitiontest.Boot{Kernel: kernel, Cmdline: strings.Replace(partitiontest.Cmdline, "/gokrazy/init", "/evil", 1)}.Bytes(),
	} {
		if err := os.WriteFile(image, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if release, err := c.CheckBoot(image, ""); !errors.Is(err, card.ErrNotFit) {
			t.Errorf("%s: %q, %v", name, release, err)
		}
	}
}

// What the owner has put into the boot partition stays when it is replaced, also by one
// that is made in another way, and is back with the old one.
func TestReplaceBoot(t *testing.T) {
	settings := func(c *card.Card) (text string) {
		t.Helper()
		err := c.EditBoot(func(f *fat.FS) error {
			b, err := f.ReadFile("pushcam.txt", 1000)
			text = string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	c := testCard(t, 2)
	dir := t.TempDir()
	saved, image := filepath.Join(dir, "old"), filepath.Join(dir, "new")
	if _, err := c.SaveBoot(saved); err != nil {
		t.Fatal(err)
	}
	newer := partitiontest.Boot{Kernel: "6.18", Owner: map[string]string{"pushcam.txt": "# a template\n"}}
	if err := os.WriteFile(image, newer.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	next := partition.Next{Root: 2, Try: true}
	for range 2 { // once more after a cut is the same
		if left, err := c.ReplaceBoot(image, next); err != nil || len(left) > 0 {
			t.Fatalf("%q, %v", left, err)
		}
		if got := settings(c); got != cardtest.Settings {
			t.Errorf("its settings are %q", got)
		}
	}
	if b, err := c.Boot(); err != nil || b.Next != next {
		t.Errorf("%+v, %v, want %+v", b, err, next)
	}
	if err := c.WriteBoot(saved, partition.Next{Root: 2}); err != nil {
		t.Fatal(err)
	}
	if got := settings(c); got != cardtest.Settings {
		t.Errorf("its settings are %q when the old one is back", got)
	}

	// From a card of an older version, which has no file of an owner's, and back.
	old := cardtest.Boot(partitiontest.Boot{Kernel: kernel}.Gok())
	if err := os.WriteFile(in(c, "dev/mmcblk0p1"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	sum, err := c.SaveBoot(saved)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := c.ReplaceBoot(image, next); err != nil || len(left) > 0 {
		t.Fatalf("%q, %v", left, err)
	}
	if got := settings(c); got != "# a template\n" {
		t.Errorf("its settings are %q", got)
	}
	if release, err := c.CheckBoot(in(c, "dev/mmcblk0p1"), ""); err != nil || release != "6.18" {
		t.Errorf("the card's kernel is %q, %v", release, err)
	}
	_, err = c.CheckCopy(saved, sum)
	if err := errors.Join(err, c.WriteBoot(saved, partition.Next{Root: 2})); err != nil {
		t.Fatal(err)
	}
	size := len(partitiontest.Boot{Kernel: kernel}.Gok())
	if back, err := os.ReadFile(in(c, "dev/mmcblk0p1")); err != nil || !bytes.Equal(back[:size], old[:size]) {
		t.Errorf("the old one is not back: %v", err)
	}

	// An image may be short, and still be of a file system that has no room.
	if err := os.Truncate(in(c, "dev/mmcblk0p1"), partitiontest.BootSize-512); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CheckBoot(image, ""); !errors.Is(err, card.ErrNotFit) {
		t.Errorf("it fits into less than it has: %v", err)
	}
	if _, err := c.ReplaceBoot(image, next); !errors.Is(err, card.ErrNotFit) {
		t.Errorf("it is written to less than it has: %v", err)
	}
}

func TestCheckCopy(t *testing.T) {
	c := testCard(t, 2)
	dir := t.TempDir()
	saved, text := filepath.Join(dir, "saved"), filepath.Join(dir, "text")
	sum, err := c.SaveBoot(saved)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(text, []byte("no file system"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		image, sum string
		want       error
	}{
		{saved, sum, nil},
		{saved, "", nil},
		{saved, strings.Repeat("0", 64), card.ErrDamaged},
		{text, "", card.ErrNotFit},
		{filepath.Join(dir, "none"), sum, os.ErrNotExist},
	} {
		release, err := c.CheckCopy(tc.image, tc.sum)
		if !errors.Is(err, tc.want) || err == nil && release != kernel {
			t.Errorf("%s with the sum %q: kernel %q, error %v, want %v", filepath.Base(tc.image), tc.sum, release, err, tc.want)
		}
	}
}

// Nothing is taken for done when the card, or the image for it, is not there or not
// of the right size, and the card stays what it is.
func TestCardRefuses(t *testing.T) {
	dir := t.TempDir()
	good, large := filepath.Join(dir, "good"), filepath.Join(dir, "large")
	image := partitiontest.Boot{Kernel: kernel}.Bytes()
	for path, content := range map[string][]byte{good: image, large: append(image, make([]byte, 4<<20)...)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(c *card.Card) error { return os.RemoveAll(in(c, "dev")) }
	noDisk := func(c *card.Card) error { return os.RemoveAll(in(c, "sys")) }
	noProc := func(c *card.Card) error { return os.RemoveAll(in(c, "proc")) }
	noFAT := func(c *card.Card) error {
		return os.WriteFile(in(c, "dev/mmcblk0p1"), make([]byte, 4<<20), 0o600)
	}
	nothing := func(*card.Card) error { return nil }
	next := partition.Next{Root: 3}
	for _, tc := range []struct {
		name  string
		spoil func(*card.Card) error
		does  func(*card.Card) error
	}{
		{"Running without a card", gone, func(c *card.Card) error { _, err := c.Running(); return err }},
		{"Room without a card", gone, func(c *card.Card) error { _, _, err := c.Room(); return err }},
		{"WriteRoot without a card", noDisk, func(c *card.Card) error { return c.WriteRoot(bytes.NewReader(image), 1, sha256.Sum256(image)) }},
		{"CheckRoot without a card", gone, func(c *card.Card) error { _, err := c.CheckRoot(4096, kernel); return err }},
		{"CheckBoot without a card", noDisk, func(c *card.Card) error { _, err := c.CheckBoot(good, ""); return err }},
		{"CheckBoot without an image", nothing, func(c *card.Card) error { _, err := c.CheckBoot(filepath.Join(dir, "none"), ""); return err }},
		{"SetNext without a card", gone, func(c *card.Card) error { return c.SetNext(next) }},
		{"SetNext without a kernel", noProc, func(c *card.Card) error { return c.SetNext(next) }},
		{"SetNext without a file system", noFAT, func(c *card.Card) error { return c.SetNext(next) }},
		{"WriteBoot without a card", gone, func(c *card.Card) error { return c.WriteBoot(good, next) }},
		{"WriteBoot without a kernel", noProc, func(c *card.Card) error { return c.WriteBoot(good, next) }},
		{"WriteBoot without an image", nothing, func(c *card.Card) error { return c.WriteBoot(filepath.Join(dir, "none"), next) }},
		{"WriteBoot of too large an image", nothing, func(c *card.Card) error { return c.WriteBoot(large, next) }},
		{"BootUsed without a card", gone, func(c *card.Card) error { _, err := c.BootUsed(); return err }},
		{"EditBoot without a card", gone, func(c *card.Card) error { return c.EditBoot(func(*fat.FS) error { return nil }) }},
		{"ReplaceBoot without a file system", noFAT, func(c *card.Card) error { _, err := c.ReplaceBoot(good, next); return err }},
		{"SaveBoot without a file system", noFAT, func(c *card.Card) error { _, err := c.SaveBoot(filepath.Join(dir, "saved")); return err }},
		{"SaveBoot to where a file is in the way", nothing, func(c *card.Card) error { _, err := c.SaveBoot(filepath.Join(good, "saved")); return err }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := testCard(t, 2)
			before, err := os.ReadFile(in(c, "dev/mmcblk0p1"))
			if err != nil {
				t.Fatal(err)
			}
			if err := tc.spoil(c); err != nil {
				t.Fatal(err)
			}
			if err := tc.does(c); err == nil {
				t.Error("no error")
			}
			if after, err := os.ReadFile(in(c, "dev/mmcblk0p1")); err == nil && !strings.Contains(tc.name, "file system") && !bytes.Equal(before, after) {
				t.Error("the boot partition was changed")
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "saved")); err == nil {
		t.Error("a copy is there that was not made")
	}
}
