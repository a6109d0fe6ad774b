package partition

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/fat"
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

// A file of four blocks is read whole. Its digest is of its blocks as Python's zlib
// unpacks them.
func TestReadRootFile(t *testing.T) {
	gok := fixture(t, "gok-1.squashfs")
	if names, err := ReadRootDir(gok, "/"); err != nil || !slices.Contains(names, "blocks") {
		t.Fatalf("%q, %v", names, err)
	}
	const size, digest = 400_000, "ebf58cf89e27a032ea660ca39ddfaecaabbf37325b96b5569509093706c785a5"
	b, err := ReadRootFile(gok, "/blocks", size)
	if err != nil || fmt.Sprintf("%x", sha256.Sum256(b)) != digest {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := ReadRootFile(gok, "/blocks", size-1); err == nil || !strings.Contains(err.Error(), "more than 399999 bytes") {
		t.Errorf("a limit of one byte less: %v", err)
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
	f.Add([]byte(fixture(f, "gok-1.squashfs"))[:4096])
	f.Fuzz(func(t *testing.T, b []byte) {
		if root, err := InspectRoot(memory(b), int64(len(b))); err == nil && (root.Arch == "" || root.Size > int64(len(b))) {
			t.Errorf("%+v of %d bytes", root, len(b))
		}
	})
}

func TestSetNext(t *testing.T) {
	for name, image := range map[string][]byte{"ours": onDisk(partitiontest.Boot{Kernel: "6.12.47-v8"}), "gok's": partitiontest.Boot{Kernel: "6.12.47-v8"}.Gok()} {
		t.Run(name, func(t *testing.T) { testSetNext(t, image) })
	}
}

// onDisk is a boot partition with all that is free in it.
func onDisk(b partitiontest.Boot) memory {
	used := b.Bytes()
	return append(used, make([]byte, partitiontest.BootSize-len(used))...)
}

func text(t *testing.T, image memory, path string) string {
	t.Helper()
	f, err := fat.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.ReadFile(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func testSetNext(t *testing.T, image memory) {
	original := bytes.Clone(image)
	const uuid = "root=PARTUUID=00000000-1111-2222-3333-444444440001/PARTNROFF="
	set := func(next Next, cmdline string) (changed int) {
		t.Helper()
		before := bytes.Clone(image)
		if err := SetNext(image, next, cmdline); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadNext(image); err != nil || got != next {
			t.Errorf("next is %+v, %v, want %+v", got, err, next)
		}
		for at := 0; at < len(image); at += tableSector {
			if !bytes.Equal(image[at:at+tableSector], before[at:at+tableSector]) {
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
	line := text(t, image, cmdlineFile)
	at := bytes.Index(image, []byte(line))
	copy(image[at:], strings.ReplaceAll(line, tryFlag, "gokrazy.switch_on_boot=1")+"  ")
	if next, err := ReadNext(image); err != nil || next != (Next{Root: 2}) {
		t.Errorf("next is %+v, %v after init has seen the flag", next, err)
	}
	if n := set(Next{Root: 3}, partitiontest.Cmdline); n != 2 {
		t.Errorf("another root changed %d sectors, want two", n)
	}
	for _, path := range []string{cmdlineFile, loaderFile} {
		if got := text(t, image, path); !strings.Contains(got, "PARTNROFF=2 init=/gokrazy/init") || strings.Contains(got, "gokrazy.") {
			t.Errorf("%s: %q", path, got)
		}
	}
	set(Next{Root: 2}, partitiontest.Cmdline)
	if !bytes.Equal(image, original) {
		t.Error("not everything is as it was")
	}
	set(Next{Root: 3, Try: true}, uuid+"1 quiet")
	if got := text(t, image, loaderFile); !strings.Contains(got, uuid+"2 ") {
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

// An image from elsewhere starts what a pushcam starts, from where it does, and nothing
// else, however that is written.
func TestCheckCommandLines(t *testing.T) {
	t.Attr("fault", "update | a boot partition that starts another init | what runs goes on | refused with a sentence")
	const root, start = "root=PARTUUID=60c24cc1-f3f9-427a-8199-58466c240001/PARTNROFF=1", "init=/gokrazy/init"
	for _, tt := range []struct{ cmdline, want string }{
		{partitiontest.Cmdline + partitiontest.Padding, ""},
		{root + " " + start + " panic=10 gokrazy.try_boot_inactive=1", ""},
		{root + " init=/evil", `starts something else than a pushcam does, by "init=/evil"`},
		{root + " " + start + " init=/evil", `by "init=/evil"`},
		{root + " init=/evil " + start, `by "init=/evil"`},
		{root + " " + start + " " + start, "it has init= 2 times"},
		{root, "it has init= 0 times"},
		{root + "\tinit=/evil\t" + start, `no "\t"`},
		{root + " " + start + ` "init=/evil"`, "no \"\\\"\""},
		{root + " " + start + "\xa0init=/evil", "command line has no"},
		{root + " " + start + "\u00a0init=/evil", "command line has no"},
		{root + " " + start + " rdinit=/evil", `by "rdinit=/evil"`},
		{root + " " + start + " initrd=0x1000,1", `by "initrd=`},
		{root + " " + start + " root=/dev/sda", `starts from something else than the card, by "root=/dev/sda"`},
		{root + "x " + start, "starts from something else than the card"},
		{root + " " + root + " " + start, "it has root= 2 times"},
		{root + " " + start + "\nrdinit=/evil\n", `by "rdinit=/evil"`},
	} {
		boot := partitiontest.Boot{Cmdline: tt.cmdline}
		for name, image := range map[string][]byte{"ours": boot.Bytes(), "gok's": boot.Gok()} {
			err := CheckCommandLines(bytes.NewReader(image))
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%s: %q: error %v, want %q", name, tt.cmdline, err, tt.want)
			}
		}
	}
	if err := CheckCommandLines(bytes.NewReader(make([]byte, 4096))); err == nil {
		t.Error("zeros are checked")
	}
}

// What a kernel would start is what was checked: its own way to take a line apart finds
// no other init in one that is good.
func FuzzCheckCommandLine(f *testing.F) {
	for _, text := range []string{partitiontest.Cmdline, partitiontest.Cmdline + "\n", partitiontest.Cmdline + ` "init=/evil"`, partitiontest.Cmdline + "\xa0init=/evil"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if checkCommandLine(text) != nil {
			return
		}
		// lib/cmdline.c and lib/string.c: these are blanks, and quotes go.
		words := strings.FieldsFunc(strings.ReplaceAll(text, `"`, ""), func(r rune) bool { return strings.ContainsRune(" \t\n\v\f\r\u00a0\ufffd", r) })
		inits := 0
		for _, w := range words {
			if strings.HasPrefix(w, "init=") || strings.HasPrefix(w, "rdinit=") {
				inits++
			}
		}
		if inits != 1 || !slices.Contains(words, initWord) {
			t.Errorf("%q has %d", text, inits)
		}
	})
}

func FuzzSetNext(f *testing.F) {
	const upToTheKernel = 32 << 10 // bytes, which the fuzzer can change quickly
	f.Add(partitiontest.Boot{}.Gok()[:upToTheKernel], 3, true)
	f.Add(partitiontest.Boot{Cmdline: "root=PARTUUID=1/PARTNROFF=2 gokrazy.switch_on_boot=1\n"}.Gok()[:upToTheKernel], 2, false)
	f.Add(partitiontest.Boot{Cmdline: "root=PARTUUID=1/PARTNROFF=2 gokrazy.try_boot_inactive=1 quiet"}.Bytes()[:upToTheKernel], 3, true)
	f.Add(partitiontest.Boot{}.Gok()[:4096], 2, true)
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
	if used, err := BootUsed(image); err != nil || used != int64(len(image)) {
		t.Errorf("%d bytes of it are used, %v, want %d", used, err, len(image))
	}
}

// The owner's files come along, over templates, but not over what belongs to the image,
// from a card that has some, and from one of an older version, which has none.
func TestCarryOver(t *testing.T) {
	to := partitiontest.Boot{Kernel: "6.18", Owner: map[string]string{"pushcam.txt": "a template", "new.txt": "new"}}
	old := onDisk(partitiontest.Boot{Kernel: "6.12", Filler: "old", FillerName: "gone.bin", Owner: map[string]string{
		"pushcam.txt": "hostname=attic", "Notes of mine.md": "text", "large.jpg": strings.Repeat("x", maxCarriedBytes), "Cmdline.old": "mine"}})
	f, err := fat.Open(old)
	if err != nil {
		t.Fatal(err)
	}
	// An editor saves a file of the image's as a new one.
	if err := errors.Join(f.Remove("cmdline.txt"), f.WriteFile("CMDLINE.TXT", []byte("edited"), built)); err != nil {
		t.Fatal(err)
	}
	image := onDisk(to)
	left, err := CarryOver(old, image)
	if err != nil || !slices.Equal(left, []string{"large.jpg"}) {
		t.Errorf("left behind are %q, %v", left, err)
	}
	for path, want := range map[string]string{
		"pushcam.txt": "hostname=attic", "Notes of mine.md": "text", "Cmdline.old": "mine", "new.txt": "new",
		"cmdline.txt": partitiontest.Cmdline + partitiontest.Padding,
	} {
		if got := text(t, image, path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if f, err = fat.Open(image); err != nil {
		t.Fatal(err)
	}
	if _, err := f.File("gone.bin"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file of the old image: %v", err)
	}
	if release, err := KernelRelease(image); err != nil || release != "6.18" {
		t.Errorf("the kernel is %s, %v", release, err)
	}
	many := make(map[string]string)
	for i := range maxCarried + 3 {
		many[fmt.Sprint(i)] = "x"
	}
	if left, err := CarryOver(onDisk(partitiontest.Boot{Owner: many}), onDisk(to)); err != nil || len(left) != 3 {
		t.Errorf("%d of %d are left behind, %v", len(left), len(many), err)
	}
	gok := onDisk(to)
	if left, err := CarryOver(memory(partitiontest.Boot{Kernel: "6.12"}.Gok()), gok); err != nil || len(left) > 0 || !bytes.Equal(gok, onDisk(to)) {
		t.Errorf("an older card: %q, %v", left, err)
	}
	if _, err := CarryOver(make(memory, 4096), gok); err == nil {
		t.Error("no file system: no error")
	}
}

func TestRestorePadding(t *testing.T) {
	const line, imager = partitiontest.Cmdline, " systemd.run=/boot/firstrun.sh cfg80211.ieee80211_regdom=DE"
	long := strings.Repeat(" word", 300)
	for name, tt := range map[string]struct{ has, want string }{
		"as it was made":     {line + partitiontest.Padding, ""},
		"armed":              {line + " " + tryFlag + strings.Repeat(" ", 36), ""},
		"room enough":        {line + strings.Repeat(" ", 28), ""},
		"trimmed":            {line, line + partitiontest.Padding},
		"by Imager":          {line + imager + "\n", line + imager + partitiontest.Padding},
		"by an editor":       {line + partitiontest.Padding + "\r\n", line + partitiontest.Padding},
		"with a second line": {line + "\nother\n", line + partitiontest.Padding},
		"too long":           {line + long, (line + long)[:maxCmdline/2+1-(maxCmdline/2+1-len(line))%5] + partitiontest.Padding},
	} {
		t.Run(name, func(t *testing.T) {
			image := onDisk(partitiontest.Boot{Cmdline: tt.has})
			before := bytes.Clone(image)
			f, err := fat.Open(image)
			if err != nil {
				t.Fatal(err)
			}
			changed, err := RestorePadding(f, built)
			if err != nil || changed != (tt.want != "") {
				t.Fatalf("changed: %v, %v", changed, err)
			}
			if tt.want == "" {
				if !bytes.Equal(image, before) {
					t.Error("it was changed")
				}
			} else if got := text(t, image, cmdlineFile); got != tt.want {
				t.Errorf("it is  %q,\nwant %q", got, tt.want)
			}
			next := Next{Root: 2, Try: true}
			if err := SetNext(image, next, line); err != nil {
				t.Error(err)
			}
			if got, err := ReadNext(image); err != nil || got != next {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	image := onDisk(partitiontest.Boot{Cmdline: "quiet"})
	f, err := fat.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := RestorePadding(f, built); err == nil || changed {
		t.Errorf("a line without a root: %v, %v", changed, err)
	}
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
