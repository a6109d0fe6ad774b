//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseMeta(t *testing.T) {
	p, err := parseMeta("Package: linux-image-amd64\nVersion: 6.1.192-2\nDepends: linux-image-6.1.0-56-amd64 (= 6.1.192-2)\n")
	if err != nil {
		t.Fatal(err)
	}
	const headers = "linux-headers-6.1.0-56-amd64"
	if err := p.addHeaders(headers, "Depends: linux-headers-6.1.0-56-common (= 6.1.192-2), linux-kbuild-6.1 (>= 6.1.192-2), linux-compiler-gcc-12-x86, libc6\n"); err != nil {
		t.Fatal(err)
	}
	want := packages{
		Release: "6.1.0-56-amd64", Version: "6.1.192-2", Source: "linux-source-6.1", Compiler: "gcc-12",
		Names: []string{
			"linux-image-6.1.0-56-amd64=6.1.192-2", "linux-source-6.1=6.1.192-2",
			"linux-headers-6.1.0-56-amd64=6.1.192-2", "linux-headers-6.1.0-56-common=6.1.192-2",
			"linux-kbuild-6.1=6.1.192-2", "linux-compiler-gcc-12-x86=6.1.192-2",
		},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	for _, stanza := range []string{"", "Depends: linux-image-6.1.0-56-cloud (= 6.1)\n", "Depends: linux-image-6.1.0-56-amd64 (= 6)\n"} {
		if p, err := parseMeta(stanza); err == nil {
			t.Errorf("%q gave %+v", stanza, p)
		}
	}
	if err := new(packages).addHeaders(headers, "Depends: libc6\n"); err == nil || !strings.Contains(err.Error(), "no compiler") {
		t.Errorf("headers without a compiler: %v", err)
	}
}

func TestPatchIRQSim(t *testing.T) {
	got, err := patchIRQSim("a\n\t\thandle_simple_irq(irq_to_desc(irqnum));\nEXPORT_SYMBOL_GPL(x);\nb\n")
	if want := "a\n\t\tgeneric_handle_irq_safe(irqnum);\n\nb\n"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if _, err := patchIRQSim("another kernel's"); err == nil {
		t.Error("a source that it does not know was patched")
	}
}

// bzImage is one with the payload where the header says.
func bzImage(payload string) []byte {
	const setupSectors, offset = 2, 16
	image := make([]byte, (setupSectors+1)*512+offset, 4096)
	image[0x1f1] = setupSectors
	copy(image[0x202:], "HdrS")
	binary.LittleEndian.PutUint32(image[0x248:], offset)
	binary.LittleEndian.PutUint32(image[0x24c:], uint32(len(payload)+4))
	return append(image, payload+"size"...)
}

func TestBzImagePayload(t *testing.T) {
	const xz = "\xfd7zXZ\x00..."
	got, err := bzImagePayload(bzImage(xz))
	if err != nil || string(got) != xz {
		t.Errorf("%q, %v; want %q", got, err, xz)
	}
	outside := bzImage(xz)
	tests := map[string][]byte{
		"not a bzImage":     make([]byte, 4096),
		"not xz":            bzImage("\x28\xb5\x2f\xfd zstd"),
		"lies outside":      outside[:len(outside)-8],
		"outside: no bytes": nil,
	}
	for name, image := range tests {
		if got, err := bzImagePayload(image); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func FuzzBzImagePayload(f *testing.F) {
	good := bzImage("\xfd7zXZ\x00...")
	for _, image := range [][]byte{good, good[:len(good)-8], good[:0x210], bzImage("\x28\xb5\x2f\xfd zstd"), bzImage("")} {
		f.Add(image)
	}
	f.Fuzz(func(t *testing.T, image []byte) {
		if got, err := bzImagePayload(image); err == nil && !bytes.Contains(image, got) {
			t.Errorf("%q is not in the image", got)
		}
	})
}

func TestDeadline(t *testing.T) {
	tests := []struct {
		argv []string
		want time.Duration
	}{
		{[]string{"x.test", "-test.v", "-test.timeout=90s"}, 90 * time.Second},
		{[]string{"x.test", "-test.timeout=0s"}, defaultDeadline},
		{[]string{"x.test", "-test.timeout=soon"}, defaultDeadline},
		{[]string{"sh"}, defaultDeadline},
	}
	for _, test := range tests {
		if got := deadline(test.argv); got != test.want {
			t.Errorf("%q: %v, want %v", test.argv, got, test.want)
		}
	}
}

func TestTail(t *testing.T) {
	kept := tail{max: 8}
	for _, s := range []string{"one\r\n", "two\r\n", "three"} {
		if n, err := kept.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	if got, want := kept.String(), "o\nthree"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestCPIO has the archive read by the cpio program of the machine, if there is
// one; the kernel reads it in every run of the rig.
func TestCPIO(t *testing.T) {
	if _, err := exec.LookPath("cpio"); err != nil {
		t.Skip("no cpio program here")
	}
	var archive bytes.Buffer
	c := cpio{w: &archive}
	c.Add("dir", modeDir, nil)
	c.Add("dir/a", modeFile, []byte("12345"))
	c.Add("b", modeExec, bytes.Repeat([]byte{7}, 4096))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command("cpio", "--quiet", "-i")
	cmd.Dir, cmd.Stdin = dir, &archive
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	a, err := os.ReadFile(filepath.Join(dir, "dir/a"))
	if err != nil || string(a) != "12345" {
		t.Errorf("dir/a is %q, %v", a, err)
	}
	b, err := os.Stat(filepath.Join(dir, "b"))
	if err != nil || b.Size() != 4096 || b.Mode() != 0o755 {
		t.Errorf("b: %v, %v", b, err)
	}
}
