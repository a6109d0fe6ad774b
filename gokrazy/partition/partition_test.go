package partition

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/partition/partitiontest"
)

var built = time.Date(2026, 11, 28, 1, 2, 3, 0, time.UTC)

func testRoot() partitiontest.Root {
	return partitiontest.Root{Version: "v1.2", Hostname: "garden", Kernels: []string{"6.12.47-v8"}, Built: built, Size: 200_000}
}

func TestInspectRoot(t *testing.T) {
	image := memory(testRoot().Bytes())
	root, err := InspectRoot(image, int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	want := &Root{Version: "v1.2", Hostname: "garden", Built: built, Arch: "arm64", Kernels: []string{"6.12.47-v8"},
		Size: int64(binary.LittleEndian.Uint64(image[40:]))}
	if diff := cmp.Diff(want, root); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	// What gok itself wrote is read too, though it is no pushcam.
	gok := fixture(t, "gok-1.squashfs")
	s, err := openSquashfs(gok)
	if err != nil {
		t.Fatal(err)
	}
	top, err := s.names("")
	if err != nil || len(top) != 4 {
		t.Errorf("gok's own has %q, %v", top, err)
	}
	for _, name := range top {
		if names, err := s.names(name); err == nil && len(names) != 300 {
			t.Errorf("%s has %d files", name, len(names))
		}
	}
}

func TestInspectRootRefuses(t *testing.T) {
	without := func(path string) []byte { r := testRoot(); r.Without = path; return r.Bytes() }
	amd64 := testRoot()
	amd64.Machine = 62
	alpha := testRoot()
	alpha.Machine = 0x9026
	tests := []struct {
		name  string
		image []byte
		want  string
	}{
		{"nothing", nil, "superblock"},
		{"random bytes", bytes.Repeat([]byte("random"), 1000), "not a squashfs"},
		{"cut in half", testRoot().Bytes()[:100_000], "read squashfs table"},
		{"no init", without("gokrazy/init"), "gokrazy/init: file does not exist"},
		{"another program", without("user/pushcam"), "user/pushcam: file does not exist"},
		{"an unknown processor", alpha.Bytes(), "processor that is not known"},
		{"gok's, not a pushcam's", fixture(t, "gok-1.squashfs"), "gokrazy/init: file does not exist"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if root, err := InspectRoot(memory(tc.image), int64(len(tc.image))); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%+v, error %v, want %q in it", root, err, tc.want)
			}
		})
	}
	image := amd64.Bytes()
	if root, err := InspectRoot(memory(image), int64(len(image))); err != nil || root.Arch != "amd64" {
		t.Errorf("%+v, %v, want amd64", root, err)
	}
	if _, err := InspectRoot(memory(image), 5000); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("a root of more bytes than there are: %v", err)
	}
}

func FuzzInspectRoot(f *testing.F) {
	small := testRoot()
	small.Size = 0
	f.Add([]byte(small.Bytes()))
	f.Add([]byte(fixture(f, "gok-1.squashfs")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if root, err := InspectRoot(memory(b), int64(len(b))); err == nil && (root.Arch == "" || root.Size > int64(len(b))) {
			t.Errorf("%+v of %d bytes", root, len(b))
		}
	})
}

func TestSetNext(t *testing.T) {
	image := memory(partitiontest.Boot{Kernel: "6.12.47-v8"}.Bytes())
	original := bytes.Clone(image)
	const uuid = "root=PARTUUID=00000000-1111-2222-3333-444444440001/PARTNROFF="
	text := func(path string) string {
		t.Helper()
		f, err := openFAT(image)
		if err != nil {
			t.Fatal(err)
		}
		_, b, err := f.read(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	set := func(next Next, cmdline string) (changed int) {
		t.Helper()
		before := bytes.Clone(image)
		if err := SetNext(image, next, cmdline); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadNext(image); err != nil || got != next {
			t.Errorf("next is %+v, %v, want %+v", got, err, next)
		}
		for at := 0; at < len(image); at += sectorSize {
			if !bytes.Equal(image[at:at+sectorSize], before[at:at+sectorSize]) {
				changed++
			}
		}
		return changed
	}
	if n := set(Next{Root: 2, Try: true}, partitiontest.Cmdline); n != 1 {
		t.Errorf("the flag changed %d sectors, want one", n)
	}
	if n := set(Next{Root: 2, Try: true}, partitiontest.Cmdline); n != 0 {
		t.Errorf("the flag that was there changed %d sectors", n)
	}
	// As gokrazy's init does when the trial begins.
	f, err := openFAT(image)
	if err != nil {
		t.Fatal(err)
	}
	at, _, err := f.read(cmdlineFile)
	if err != nil {
		t.Fatal(err)
	}
	line := image[at.offset : at.offset+at.size]
	line = append(bytes.ReplaceAll(line, []byte(tryFlag), []byte("gokrazy.switch_on_boot=1")), ' ', ' ')
	copy(image[at.offset:at.offset+at.size], line)
	if next, err := ReadNext(image); err != nil || next != (Next{Root: 2}) {
		t.Errorf("next is %+v, %v after init has seen the flag", next, err)
	}
	if n := set(Next{Root: 3}, partitiontest.Cmdline); n != 2 {
		t.Errorf("another root changed %d sectors, want two", n)
	}
	for _, path := range []string{cmdlineFile, loaderFile} {
		if got := text(path); !strings.Contains(got, "PARTNROFF=2 init=/gokrazy/init") || strings.Contains(got, "gokrazy.") {
			t.Errorf("%s: %q", path, got)
		}
	}
	set(Next{Root: 2}, partitiontest.Cmdline)
	if !bytes.Equal(image, original) {
		t.Error("not everything is as it was")
	}
	set(Next{Root: 3, Try: true}, uuid+"1 quiet")
	if got := text(loaderFile); !strings.Contains(got, uuid+"2 ") {
		t.Errorf("the boot loader's entry is not of this card: %q", got)
	}
}

func TestSetNextRefuses(t *testing.T) {
	good := partitiontest.Boot{Kernel: "6.12"}.Bytes()
	tests := []struct {
		name, cmdline string
		image         []byte
		want          string
	}{
		{"no file system", partitiontest.Cmdline, make([]byte, 4096), "not a FAT16"},
		{"empty", partitiontest.Cmdline, nil, "boot sector"},
		{"a kernel with another root", "root=/dev/sda1", good, "no root=PARTUUID"},
		{"a card with another root", partitiontest.Cmdline, partitiontest.Boot{Cmdline: "root=/dev/mmcblk0p2"}.Bytes(), "no root=PARTUUID"},
		{"no room", partitiontest.Cmdline, partitiontest.Boot{Cmdline: partitiontest.Cmdline + "   "}.Bytes(), "do not fit"},
		{"more than a cluster", partitiontest.Cmdline, partitiontest.Boot{Cmdline: partitiontest.Cmdline + strings.Repeat(" ", 3000)}.Bytes(), "more than are expected"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			image := memory(bytes.Clone(tc.image))
			if err := SetNext(image, Next{Root: 2, Try: true}, tc.cmdline); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
			if !bytes.Equal(image, tc.image) {
				t.Error("it was changed all the same")
			}
		})
	}
}

// forgetful is a card that does not keep what is written.
type forgetful struct{ memory }

func (f forgetful) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

func TestSetNextReadsBack(t *testing.T) {
	image := forgetful{partitiontest.Boot{}.Bytes()}
	if err := SetNext(image, Next{Root: 2, Try: true}, partitiontest.Cmdline); err == nil || !strings.Contains(err.Error(), "worn out") {
		t.Errorf("error %v", err)
	}
}

func FuzzSetNext(f *testing.F) {
	const upToTheKernel = 32 << 10 // bytes, which the fuzzer can change quickly
	f.Add(partitiontest.Boot{}.Bytes()[:upToTheKernel], 3, true)
	f.Add(partitiontest.Boot{Cmdline: "root=PARTUUID=1/PARTNROFF=2 gokrazy.switch_on_boot=1\n"}.Bytes()[:upToTheKernel], 2, false)
	f.Fuzz(func(t *testing.T, b []byte, root int, try bool) {
		image, next := memory(bytes.Clone(b)), Next{2 + root&1, try}
		if SetNext(image, next, partitiontest.Cmdline) != nil {
			return
		}
		if got, err := ReadNext(image); err != nil || got != next {
			t.Errorf("%+v became %+v, %v", next, got, err)
		}
	})
}

// rewrite keeps all words but those that it is about, whatever they are.
func FuzzRewrite(f *testing.F) {
	f.Add(partitiontest.Cmdline+partitiontest.Padding, true)
	f.Add("a root=PARTUUID=1/PARTNROFF=2 gokrazy.switch_on_boot=1 b\n", true)
	f.Fuzz(func(t *testing.T, text string, try bool) {
		const root = "root=PARTUUID=1/PARTNROFF=1"
		got, err := rewrite([]byte(text), root, try)
		if err != nil {
			return
		}
		if len(got) != len(text) {
			t.Fatalf("%q became %q", text, got)
		}
		again, err := rewrite(got, root, try)
		if err != nil || !bytes.Equal(again, got) {
			t.Errorf("%q became %q and then %q, %v", text, got, again, err)
		}
	})
}

func TestKernelRelease(t *testing.T) {
	image := memory(partitiontest.Boot{Kernel: "6.12.47-v8"}.Bytes())
	if release, err := KernelRelease(image); err != nil || release != "6.12.47-v8" {
		t.Errorf("%q, %v", release, err)
	}
	if release, err := KernelRelease(memory(partitiontest.Boot{Kernel: "%s"}.Bytes())); err == nil {
		t.Errorf("a kernel without a release is %q", release)
	}
	if size, err := BootSize(image); err != nil || size != int64(len(image)) {
		t.Errorf("its size is %d, %v, want %d", size, err, len(image))
	}
}

// A file that is removed is gone with its content, and the others stay.
func TestRemoveFile(t *testing.T) {
	const secret = "the content"
	for _, tt := range []struct{ path, gone string }{
		{"filler.bin", secret},
		{"vmlinuz", "6.12.47-v8"}, // has many clusters
		{"loader/entries/gokrazy.conf", "title gokrazy"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			image := memory(partitiontest.Boot{Kernel: "6.12.47-v8", Filler: secret}.Bytes())
			before := bytes.Clone(image)
			if err := RemoveFile(image, tt.path); err != nil {
				t.Fatal(err)
			}
			f, err := openFAT(image)
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"filler.bin", "vmlinuz", "cmdline.txt", "loader/entries/gokrazy.conf"} {
				if _, err := f.find(path); (err == nil) == (path == tt.path) {
					t.Errorf("%s: %v", path, err)
				}
			}
			if bytes.Contains(image, []byte(tt.gone)) {
				t.Error("its content is there still")
			}
			if free, want := freeClusters(t, image)-freeClusters(t, before), clustersOf(t, before, tt.path); free != want {
				t.Errorf("it gave back %d clusters, want %d", free, want)
			}
			again := bytes.Clone(image)
			if err := RemoveFile(image, tt.path); err != nil || !bytes.Equal(image, again) {
				t.Errorf("removed once more: %v", err)
			}
		})
	}
	image := memory(partitiontest.Boot{Kernel: "6.12.47-v8"}.Bytes())
	f, err := openFAT(image)
	if err != nil {
		t.Fatal(err)
	}
	clear(image[f.table : f.table+100])
	before := bytes.Clone(image)
	if err := RemoveFile(image, "vmlinuz"); err == nil || !strings.Contains(err.Error(), "one piece") || !bytes.Equal(image, before) {
		t.Errorf("a table that says otherwise: %v", err)
	}
}

// freeClusters is how many the table says are free of those that it has.
func freeClusters(t *testing.T, image memory) (free int64) {
	t.Helper()
	f, err := openFAT(image)
	if err != nil {
		t.Fatal(err)
	}
	for at := f.table; at < f.root; at += 2 {
		if image[at] == 0 && image[at+1] == 0 {
			free++
		}
	}
	return free
}

func clustersOf(t *testing.T, image memory, path string) int64 {
	t.Helper()
	f, err := openFAT(image)
	if err != nil {
		t.Fatal(err)
	}
	at, err := f.find(path)
	if err != nil {
		t.Fatal(err)
	}
	return (at.size + f.cluster - 1) / f.cluster
}

func TestOpenArchive(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, method uint16, files map[string][]byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z := zip.NewWriter(f)
		for name, content := range files {
			w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(content); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	root, boot := testRoot().Bytes(), partitiontest.Boot{Kernel: "6.12.47-v8"}.Bytes()
	a, err := OpenArchive(write("good.gaf", zip.Store, map[string][]byte{"root.img": root, "boot.img": boot, "sbom.json": nil}))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if a.RootInfo.Version != "v1.2" || a.BootKernel != "6.12.47-v8" || a.Root.Size() != int64(len(root)) {
		t.Errorf("%+v", a)
	}
	text := filepath.Join(dir, "text.gaf")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.gaf"): "there is no image",
		text:                           "not an image for updates",
		dir:                            "not an image for updates",
		write("noroot.gaf", zip.Store, map[string][]byte{"boot.img": boot}):                        "no root.img",
		write("small.gaf", zip.Deflate, map[string][]byte{"root.img": root, "boot.img": boot}):     "compressed",
		write("bad.gaf", zip.Store, map[string][]byte{"root.img": []byte("x"), "boot.img": boot}):  "root.img: read superblock",
		write("bad2.gaf", zip.Store, map[string][]byte{"root.img": root, "boot.img": []byte("x")}): "boot.img: read boot sector",
	} {
		if _, err := OpenArchive(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q in it", filepath.Base(path), err, want)
		}
	}
}
