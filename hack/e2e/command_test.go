//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/identity"
	"github.com/pushcam/pushcam/gokrazy/image"
	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

// maxRoot is the size in MB that the root file system may have.
const maxRoot = 18

// TestImageCommand makes an image as the README says, of a second checkout of the
// commit: it has the same root file system as the product, which was built in
// another place at another time.
func TestImageCommand(t *testing.T) {
	t.Parallel()
	p := built(t)
	checkout, err := image.FindCheckout(".")
	if err != nil {
		t.Fatal(err)
	}
	clone, config, path := filepath.Join(t.TempDir(), "clone"), t.TempDir(), filepath.Join(t.TempDir(), "pushcam.img")
	if said, err := exec.CommandContext(t.Context(), "git", "clone", "-q", checkout, clone).CombinedOutput(); err != nil {
		t.Fatalf("git clone: %v: %s", err, said)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", "go build ./cmd/pushcamctl && ./pushcamctl image -o '"+path+"' -size 1204MiB")
	cmd.Dir, cmd.Env = clone, append(os.Environ(), "XDG_CONFIG_HOME="+config)
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("pushcamctl image: %v: %s", err, said)
	}
	root := regexp.MustCompile(`root file system: ([0-9.]+) MB, SHA-256 ([0-9a-f]{64})\n`).FindSubmatch(said)
	shown := regexp.MustCompile(`owner's password: (\S+)\n`).FindSubmatch(said)
	if root == nil || shown == nil {
		t.Fatalf("pushcamctl image says neither what it made nor the password:\n%s", said)
	}
	if size, err := strconv.ParseFloat(string(root[1]), 64); err != nil || size > maxRoot {
		t.Errorf("the root file system has %s MB, want at most %d", root[1], maxRoot)
	}
	if strings.HasSuffix(p.Version, "-dirty") {
		t.Logf("this checkout differs from its commit: its root file system is not compared with the commit's")
	} else if string(root[2]) != p.RootSum {
		t.Errorf("two builds of one commit differ: %s and %s", root[2], p.RootSum)
	} else if at := firstDifference(t, p.Path, path); at < firstPartitions {
		t.Errorf("two builds of one commit differ at byte %d of the image", at)
	}
	if changed, err := exec.CommandContext(t.Context(), "git", "-C", clone, "status", "--porcelain").Output(); err != nil || len(changed) > 0 {
		t.Errorf("the build changed its checkout: %v: %s", err, changed)
	}

	// /perm as the camera finds it.
	var id string
	perm(t, path, func(_ *os.File, offset int64, _ []byte) {
		tool := func(name string, args ...string) string {
			need(t, name)
			out, err := exec.CommandContext(t.Context(), name, append(args, path+"?offset="+strconv.FormatInt(offset-1024, 10))...).Output()
			if err != nil {
				t.Fatalf("%s: %v: %s", name, err, out)
			}
			return string(out)
		}
		tool("e2fsck", "-fn")
		if stat := tool("debugfs", "-R", "stat /"+device.OwnerFile); !strings.Contains(stat, "Mode:  0600") {
			t.Errorf("others may read the owner's password: %s", stat)
		}
		if stat := tool("debugfs", "-R", "stat /pushcam/"+identity.File); !strings.Contains(stat, "Mode:  0600") {
			t.Errorf("others may read the camera's key: %s", stat)
		}
		if signer, err := signed.LoadSigner(filepath.Join(config, "pushcam", "update-key")); err != nil || tool("debugfs", "-R", "cat /pushcam/"+signed.KeysFile) != string(signer.Key())+"\n" {
			t.Errorf("the camera does not take updates from this computer: %v", err)
		}
		id = strings.TrimSpace(tool("debugfs", "-R", "cat /"+device.IDFile))
		at := t.TempDir()
		file := filepath.Join(at, "perm", device.OwnerFile)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(tool("debugfs", "-R", "cat /"+device.OwnerFile)), 0o600); err != nil {
			t.Fatal(err)
		}
		if ok, err := device.ReadOwner(device.Root(at)).Verify(string(shown[1])); !ok || err != nil {
			t.Errorf("the owner's password: %v, %v", ok, err)
		}
	})
	kept, err := os.ReadFile(filepath.Join(config, "pushcam", "pushcam."+id+".password"))
	if err != nil || string(kept) != string(shown[1])+"\n" || !device.IsID(id) {
		t.Errorf("the password that is kept for the camera %q is %q, %v", id, kept, err)
	}
	testBootFiles(t, fmt.Sprintf("%s@@%d", path, bootOffset))
	testBootPartition(t, path, p.Path)
	testKeptPassword(t, p, path, config, id)
}

// firstPartitions is in bytes what an image has up to the end of what is written in its
// first root: the partition table, the boot partition, and that root.
const firstPartitions = bootOffset + 100<<20 + maxRoot*1e6

// firstDifference is the offset of the first of firstPartitions bytes in which two images
// differ.
func firstDifference(t *testing.T, a, b string) int64 {
	t.Helper()
	var files [2]*os.File
	for i, path := range []string{a, b} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	var pieces [2][1 << 20]byte
	for at := int64(0); at < firstPartitions; at += int64(len(pieces[0])) {
		for i := range files {
			if _, err := files[i].ReadAt(pieces[i][:], at); err != nil {
				t.Fatal(err)
			}
		}
		if pieces[0] == pieces[1] {
			continue
		}
		for i := range pieces[0] {
			if pieces[0][i] != pieces[1][i] {
				return at + int64(i)
			}
		}
	}
	return firstPartitions
}

// testBootFiles looks at what mtools finds in a boot partition: what boards and
// virtual machines boot with, and nothing else.
func testBootFiles(t *testing.T, boot string) {
	t.Helper()
	list := func(glob string) []string {
		out, err := exec.CommandContext(t.Context(), "mdir", "-b", "-i", boot, glob).Output()
		if err != nil {
			t.Errorf("mdir %s: %v", glob, err)
		}
		return strings.Fields(strings.ReplaceAll(string(out), "::/", ""))
	}
	firmware := []string{"start.elf", "start_cd.elf", "start_x.elf", "start4.elf", "start4cd.elf", "start4x.elf"}
	for glob, want := range map[string][]string{"::*.elf": firmware, "::EFI/BOOT": {"EFI/BOOT/BOOTAA64.EFI"}, "::fixup*": {"fixup.dat", "fixup_cd.dat", "fixup_x.dat", "fixup4.dat", "fixup4cd.dat", "fixup4x.dat"}} {
		got := list(glob)
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s in the boot partition (-want +got):\n%s", glob, diff)
		}
	}
}

// licenses are parts of the text about what is on a card: of the kernel, the
// firmware, a Go module, and what is in none.
var licenses = []string{"GNU GENERAL PUBLIC LICENSE", "Broadcom Corporation", "github.com/gokrazy/gokrazy", "GNU LESSER GENERAL PUBLIC LICENSE"}

func containsAll(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// testKeptPassword boots a card of which this computer has kept the password, and
// does what is its owner's without being asked for that, by the address that find
// prints. It updates as the README says.
func testKeptPassword(t *testing.T, p *product, card, config, id string) {
	tool, err := pushcamctl()
	if err != nil {
		t.Fatal(err)
	}
	m := boot(t, card, p.uefi())
	m.is(t, "the id of the card and its first name", func(s state) bool { return s.ID == id && s.Hostname == "pushcam" && s.Update.Phase == update.Idle })
	texts, ok := m.resolve(t, "pushcam."+service, dnsmessage.TypeTXT).(*dnsmessage.TXTResource)
	if !ok || !slices.Contains(texts.TXT, "id="+id) {
		t.Errorf("what is announced is %v, without the id %s", texts, id)
	}
	owner := func(args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), buildTimeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, tool, append(args, "https://"+m.tls+"/")...)
		cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+config) // and there is no terminal
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("pushcamctl %s: %v: %s", strings.Join(args, " "), err, said)
		}
	}
	if code, _, text, err := m.get("/licenses", getTimeout); err != nil || code != http.StatusOK || !containsAll(string(text), licenses...) {
		t.Errorf("the licences: status %d, %v, %d bytes; want %q in them", code, err, len(text), licenses)
	}
	owner("logs", "-follow=false")
	a, err := partition.OpenArchive(good(t))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	bootFiles := filepath.Join(t.TempDir(), "boot.img")
	f, err := os.Create(bootFiles)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(f, a.Boot)
	if err := errors.Join(err, f.Truncate(bootSize), f.Close()); err != nil {
		t.Fatal(err)
	}
	testBootFiles(t, bootFiles)
	noteStays(t, card)      // and so an update can be tried
	owner("update", "-yes") // it builds this checkout; -yes: there is no camera
	m.is(t, "the same camera", func(s state) bool { return s.ID == id && s.Hostname == "pushcam" && s.Update.Phase == update.Idle })
	owner("logs", "-follow=false")
}
