//go:build unix

package image

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// maxRoot is the size in bytes that the root file system may have.
const maxRoot = 32e6

// TestImage builds the commit's image for real, twice, in two places.
func TestImage(t *testing.T) {
	if os.Getenv("PUSHCAM_IMAGE") == "" {
		t.Skip("takes minutes: run it with \"PUSHCAM_IMAGE=1 go test -run TestImage ./gokrazy/image\"")
	}
	const password = "the owner's own"
	var images []*Image
	for i := range 2 {
		clone := filepath.Join(t.TempDir(), fmt.Sprint("checkout-", i))
		if out, err := exec.Command("git", "clone", "-q", checkout(t), clone).CombinedOutput(); err != nil {
			t.Fatalf("git clone: %v: %s", err, out)
		}
		b := &Builder{Checkout: clone, Hostname: "cam-1", Password: password, Size: MinSize, Output: t.Output()}
		img, err := b.Build(t.Context(), filepath.Join(t.TempDir(), "pushcam.img"))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("root file system: %d bytes, SHA-256 %s", img.RootSize, img.RootSum)
		images = append(images, img)
		if out, err := exec.Command("git", "-C", clone, "status", "--porcelain").Output(); err != nil || len(out) > 0 {
			t.Errorf("the build changed its checkout: %v: %s", err, out)
		}
	}
	first, second := images[0], images[1]
	if first.RootSum != second.RootSum || first.Version != second.Version {
		t.Errorf("two builds of one commit differ:\n%+v\n%+v", first, second)
	}
	if first.RootSize > maxRoot {
		t.Errorf("the root file system has %d bytes, more than %d", first.RootSize, int(maxRoot))
	}

	f, err := os.Open(first.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := readLayout(f, first.Size)
	if err != nil {
		t.Fatal(err)
	}
	// /perm as the device finds it.
	perm := fmt.Sprintf("%s?offset=%d", first.Path, l.perm.offset)
	debugfs := func(request string) string {
		t.Helper()
		tool, err := lookSbin("debugfs")
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(tool, "-R", request, perm).Output()
		if err != nil {
			t.Fatalf("debugfs %s: %v", request, err)
		}
		return string(out)
	}
	if stat := debugfs("stat /" + device.OwnerFile); !strings.Contains(stat, "Mode:  0600") {
		t.Errorf("others may read the owner's password: %s", stat)
	}
	root := t.TempDir()
	file := filepath.Join(root, "perm", device.OwnerFile)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(debugfs("cat /"+device.OwnerFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	if ok, err := (&device.Owner{Root: root}).Verify(password); !ok || err != nil {
		t.Errorf("the owner's password: %v, %v", ok, err)
	}
	fsck, err := lookSbin("e2fsck")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(fsck, "-fn", perm).CombinedOutput(); err != nil {
		t.Errorf("/perm: %v: %s", err, out)
	}
}
