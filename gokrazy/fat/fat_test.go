package fat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// disk is a disk in memory that does not grow, and can lose its power.
type disk struct {
	b       []byte
	sectors int  // that were written
	cut     int  // sectors that are written before the power is cut; -1: all
	reverse bool // a write's last sector is written first
}

func newDisk(b []byte) *disk { return &disk{b: b, cut: -1} }

var errCut = errors.New("the power is cut")

func (d *disk) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(d.b).ReadAt(p, off) }

func (d *disk) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off%sectorSize != 0 || len(p)%sectorSize != 0 || off+int64(len(p)) > int64(len(d.b)) {
		return 0, fmt.Errorf("%d bytes at %d are not whole sectors of it", len(p), off)
	}
	var at []int
	for i := 0; i < len(p); i += sectorSize {
		at = append(at, i)
	}
	if d.reverse {
		slices.Reverse(at)
	}
	for _, i := range at {
		if d.sectors == d.cut {
			return 0, errCut
		}
		d.sectors++
		copy(d.b[off+int64(i):], p[i:i+sectorSize])
	}
	return len(p), nil
}

var (
	made    = time.Date(2026, 11, 28, 1, 2, 4, 0, time.UTC)
	changed = time.Date(2026, 12, 24, 18, 0, 2, 0, time.UTC)
)

const diskSize = 3 << 20

func text(size int) []byte { return bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size] }

var testFiles = []NewFile{
	{"vmlinuz", text(9_999), true},
	{"cmdline.txt", []byte("quiet"), true},
	{"config.txt", nil, true},
	{"loader/entries/gokrazy.conf", []byte("title gokrazy"), true},
	{"EFI/BOOT/BOOTAA64.EFI", text(512), true},
	{"a file of the owner's.txt", []byte("secret"), false},
}

// format is a disk with testFiles.
func format(t testing.TB) *disk {
	t.Helper()
	d := newDisk(make([]byte, diskSize))
	used, err := Format(d, diskSize, "pushcam", made, testFiles)
	if err != nil {
		t.Fatal(err)
	}
	if f := open(t, d); used != f.Used() || f.Size() != diskSize || used+f.Free() > diskSize || used+f.Free() < diskSize-int64(f.cluster) {
		t.Fatalf("%d bytes are used; it finds %d, and %d free", used, f.Used(), f.Free())
	}
	return d
}

func open(t testing.TB, d *disk) *FS {
	t.Helper()
	f, err := Open(d)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// everything is the content of all files, by their paths.
func everything(t testing.TB, f *FS) map[string]string {
	t.Helper()
	all := make(map[string]string)
	var walk func(dir string)
	walk = func(dir string) {
		entries, err := f.ReadDir(strings.TrimSuffix(dir, "/"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Dir {
				walk(dir + e.Name + "/")
				continue
			}
			b, err := f.ReadFile(dir+e.Name, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			all[dir+e.Name] = string(b)
		}
	}
	walk("")
	return all
}

func wanted(files ...NewFile) map[string]string {
	all := make(map[string]string)
	for _, f := range append(slices.Clone(testFiles), files...) {
		all[f.Path] = string(f.Data)
	}
	return all
}

func TestFormat(t *testing.T) {
	d := format(t)
	if again := format(t); !bytes.Equal(again.b, d.b) {
		t.Error("the same files make other bytes")
	}
	f := open(t, d)
	if diff := cmp.Diff(wanted(), everything(t, f)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	root, err := f.ReadDir("")
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{Name: "vmlinuz", Size: 9999, ReadOnly: true, Modified: made},
		{Name: "cmdline.txt", Size: 5, ReadOnly: true, Modified: made},
		{Name: "config.txt", ReadOnly: true, Modified: made},
		{Name: "a file of the owner's.txt", Size: 6, Modified: made},
		{Name: "loader", Dir: true, Modified: made},
		{Name: "EFI", Dir: true, Modified: made},
	}
	if diff := cmp.Diff(want, root, cmpopts.IgnoreUnexported(Entry{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, path := range []string{"CMDLINE.TXT", "efi/boot/bootaa64.efi", "AFILEO~1.TXT", "loader/entries/GOKRAZ~1.CON"} {
		if _, err := f.File(path); err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{"", "cmdline", "loader", "loader/entries", "loader/", "vmlinuz/x", "none/x", "PUSHCAM"} {
		if file, err := f.File(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %+v, %v", path, file, err)
		}
	}
	if _, err := f.ReadFile("vmlinuz", 9998); err == nil || !strings.Contains(err.Error(), "more than are expected") {
		t.Errorf("a file that is too long: %v", err)
	}
	part := make([]byte, 100)
	if file, err := f.File("vmlinuz"); err != nil {
		t.Error(err)
	} else if n, err := file.ReadAt(part, 9950); n != 49 || !bytes.Equal(part[:n], text(9999)[9950:]) {
		t.Errorf("the end of a file is %q, %v", part[:n], err)
	}
}

// A folder may need more than a cluster, as that of the stock kernel's overlays.
func TestFormatLargeFolder(t *testing.T) {
	var files []NewFile
	want := make(map[string]string)
	for i := range 300 {
		f := NewFile{Path: fmt.Sprintf("overlays/overlay-number-%d.dtbo", i), Data: []byte{byte(i)}}
		files = append(files, f)
		want[f.Path] = string(f.Data)
	}
	files = append(files, NewFile{Path: "overlays/below/x", Data: []byte("x")})
	want["overlays/below/x"] = "x"
	d := newDisk(make([]byte, diskSize))
	if _, err := Format(d, diskSize, "x", made, files); err != nil {
		t.Fatal(err)
	}
	f := open(t, d)
	if diff := cmp.Diff(want, everything(t, f)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	check(t, f, 0)
}

// The card's own size has the clusters that gok's file systems have, and none of the
// sizes has a number of clusters that another FAT would have.
func TestFormatSizes(t *testing.T) {
	for _, tt := range []struct{ size, cluster int64 }{
		{100 << 20, 2048}, {diskSize, 512}, {6 << 20, 1024}, {20 << 20, 2048}, {512 << 20, 8192}, {2047 << 20, 32768},
	} {
		b, err := newBuilder(tt.size, made)
		if err != nil {
			t.Fatal(err)
		}
		if b.cluster != tt.cluster || b.clusters < minClusters || b.clusters > maxClusters || b.data()+int64(b.clusters)*b.cluster > tt.size {
			t.Errorf("%d bytes have %d clusters of %d bytes", tt.size, b.clusters, b.cluster)
		}
	}
	for name, tt := range map[string]struct {
		size  int64
		files []NewFile
		want  string
	}{
		"too small":           {1 << 20, nil, "cannot have"},
		"too large":           {4 << 30, nil, "cannot have"},
		"more than there is":  {diskSize, []NewFile{{Path: "x", Data: make([]byte, diskSize)}}, "do not fit"},
		"the same name twice": {diskSize, []NewFile{{Path: "x.txt"}, {Path: "X.TXT"}}, "two files X.TXT"},
		"a file as a folder":  {diskSize, []NewFile{{Path: "x"}, {Path: "x/y"}}, "two files x"},
		"a name":              {diskSize, []NewFile{{Path: "a:b"}}, "cannot be the name"},
		"too many":            {diskSize, many(256), "do not fit into a root folder"},
	} {
		if _, err := Format(newDisk(make([]byte, diskSize)), tt.size, "x", made, tt.files); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q in it", name, err, tt.want)
		}
	}
}

func many(n int) (all []NewFile) {
	for i := range n {
		all = append(all, NewFile{Path: fmt.Sprintf("file%d", i)})
	}
	return all
}

func TestNames(t *testing.T) {
	taken := map[shortName]bool{pad("LONGNA~1", "TXT"): true}
	for name, want := range map[string]string{
		"cmdline.txt":            "CMDLINE.TXT",
		"EFI":                    "EFI",
		"long name.txt":          "LONGNA~2.TXT",
		".profile":               "PROFIL~1",
		"._pushcam.txt":          "_PUSHC~1.TXT",
		"pushcam.txt.txt":        "PUSHCA~1.TXT",
		"grün.toml":              "GR_N~1.TOM",
		"a+b.c":                  "A_B~1.C",
		"ひと":                     "__~1",
		"x.":                     "",
		"a/b":                    "",
		"a\x00":                  "",
		"\xff":                   "",
		strings.Repeat("x", 196): "",
	} {
		if err := checkName(name); (err == nil) != (want != "") {
			t.Errorf("checkName(%q): %v", name, err)
		} else if err != nil {
			continue
		}
		short, ok := fits(name)
		if !ok {
			var err error
			if short, err = shorten(name, taken); err != nil {
				t.Fatal(err)
			}
		}
		if short.String() != want {
			t.Errorf("%q is %q, want %q", name, short, want)
		}
	}
	e := rawEntry(pad("README", "TXT"), 0, made, 0, 0)
	e[12] = lowerBase
	if all := list(e); len(all) != 1 || all[0].Name != "readme.TXT" {
		t.Errorf("a name in small letters by its bits is %+v", all)
	}
}

func TestWriteFile(t *testing.T) {
	d := format(t)
	f := open(t, d)
	long := NewFile{Path: strings.Repeat("x", maxName), Data: text(3000)}
	steps := []NewFile{
		{Path: "pushcam-report.txt", Data: text(700)},
		{Path: "a file of the owner's.txt", Data: text(5000)},
		{Path: "a file of the owner's.txt", Data: nil},
		long,
		{Path: "CMDLINE.TXT", Data: []byte("other")},
	}
	want := wanted()
	for _, s := range steps {
		if err := f.WriteFile(s.Path, s.Data, changed); err != nil {
			t.Fatal(err)
		}
		if s.Path == "CMDLINE.TXT" { // keeps the name that it has
			s.Path = "cmdline.txt"
		}
		want[s.Path] = string(s.Data)
		for _, f := range []*FS{f, open(t, d)} {
			if diff := cmp.Diff(want, everything(t, f)); diff != "" {
				t.Fatalf("after %s: -want +got\n%s", s.Path, diff)
			}
			check(t, f, 0)
		}
	}
	for _, name := range []string{"pushcam-report.txt", strings.ToUpper(long.Path)} {
		if err := f.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	delete(want, "pushcam-report.txt")
	delete(want, long.Path)
	if diff := cmp.Diff(want, everything(t, open(t, d))); diff != "" {
		t.Errorf("after they are removed: -want +got\n%s", diff)
	}
	check(t, open(t, d), 0)

	before := bytes.Clone(d.b)
	for name, err := range map[string]error{
		"a folder":      f.WriteFile("loader", nil, changed),
		"a bad name":    f.WriteFile("a?", nil, changed),
		"no room":       f.WriteFile("large", make([]byte, diskSize), changed),
		"in a folder":   f.Remove("loader/entries/gokrazy.conf"),
		"nothing":       f.Remove("none"),
		"a length":      f.Overwrite("cmdline.txt", []byte("longer")),
		"for reading":   open(t, d).readOnly().WriteFile("x", []byte("x"), changed),
		"a worn card":   worn(t, d).WriteFile("x", []byte("x"), changed),
		"nothing there": f.Overwrite("none", nil),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if name == "no room" && !errors.Is(err, syscall.ENOSPC) || name == "nothing" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !bytes.Equal(d.b, before) {
		t.Error("it was changed all the same")
	}
}

func (f *FS) readOnly() *FS { f.w = nil; return f }

// forgetful is a card that does not keep what is written.
type forgetful struct{ *disk }

func (f forgetful) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

func worn(t *testing.T, d *disk) *FS {
	f, err := Open(forgetful{d})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The root folder fills up, whatever the length of the names, and what was in its
// entries before does not show.
func TestWriteFileFillsTheFolder(t *testing.T) {
	d := format(t)
	f := open(t, d)
	end := int64(0)
	for i := 0; f.root[i] != 0; i += entrySize {
		end = f.rootAt + int64(i) + entrySize
	}
	for i := end + 1; i < f.data; i++ {
		d.b[i] = 'x' // what is behind the end may be anything
	}
	f = open(t, d)
	want, full := wanted(), false
	for i := range rootEntries {
		name := fmt.Sprintf("%d%s", i, strings.Repeat("y", i*7%maxName))
		name = name[:min(len(name), maxName)]
		if err := f.WriteFile(name, []byte{byte(i)}, changed); err != nil {
			if full = strings.Contains(err.Error(), "too many files"); !full {
				t.Error(err)
			}
			break
		}
		want[name] = string([]byte{byte(i)})
		if i%5 == 4 {
			if err := f.Remove(name); err != nil {
				t.Fatal(err)
			}
			delete(want, name)
		}
		if i%20 == 0 {
			if diff := cmp.Diff(want, everything(t, open(t, d))); diff != "" {
				t.Fatalf("after %d files: -want +got\n%s", i, diff)
			}
		}
	}
	if diff := cmp.Diff(want, everything(t, open(t, d))); diff != "" || !full || len(want) < 40 {
		t.Errorf("%d files: -want +got\n%s", len(want), diff)
	}
}

func TestOverwrite(t *testing.T) {
	d := format(t)
	f := open(t, d)
	data := text(9999)
	copy(data[600:], "CHANGED")
	data[9998] = '!'
	d.sectors = 0
	if err := f.Overwrite("vmlinuz", data); err != nil || d.sectors != 2 {
		t.Errorf("%d sectors are written, want 2; %v", d.sectors, err)
	}
	want := wanted(NewFile{Path: "vmlinuz", Data: data})
	if diff := cmp.Diff(want, everything(t, open(t, d))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// check looks for what must never be: clusters that two files have, or that a file has
// and the table calls free. lost is how many clusters may belong to nothing.
func check(t testing.TB, f *FS, lost int) {
	t.Helper()
	owner := make(map[int]string)
	claim := func(name string, chain []int, first int) {
		for _, c := range append(chain, f.rest(chain, first)...) {
			if owner[c] != "" || f.next(c) == 0 {
				t.Errorf("cluster %d is of %s and %s; the table says %#x", c, owner[c], name, f.next(c))
			}
			owner[c] = name
		}
	}
	var walk func(path string, all []Entry)
	walk = func(path string, all []Entry) {
		for _, e := range all {
			size := e.Size
			if e.Dir {
				size = -1
			}
			chain, err := f.chain(e.first, size)
			if err != nil {
				t.Errorf("%s%s: %v", path, e.Name, err)
			}
			claim(path+e.Name, chain, e.first)
			if e.Dir {
				raw, err := f.folder(e)
				if err != nil {
					t.Error(err)
				}
				walk(path+e.Name+"/", list(raw))
			}
		}
	}
	walk("", list(f.root))
	for c := firstCluster; f.isCluster(c); c++ {
		if f.next(c) != 0 && owner[c] == "" {
			lost--
		}
	}
	if lost < 0 {
		t.Errorf("%d clusters too many are lost", -lost)
	}
}

// twice is a disk whose table has two copies, as PCs make them.
func twice(t testing.TB) *disk {
	t.Helper()
	d := format(t)
	f := open(t, d)
	b := slices.Concat(d.b[:f.rootAt], d.b[f.fat:f.rootAt], d.b[f.rootAt:])
	b[16] = 2
	binary.LittleEndian.PutUint32(b[32:], uint32(len(b)/sectorSize))
	return newDisk(b)
}

// Whenever the power is cut, a file is the old one or the new one, and all others are
// what they were.
func TestPowerCut(t *testing.T) {
	t.Attr("fault", "system | the power is cut while the boot partition is written | each file is the old one or the new one | –")
	for _, tt := range []struct {
		name string
		disk func(testing.TB) *disk
		does func(*FS) error
		new  map[string]string
	}{
		{"new", format, func(f *FS) error { return f.WriteFile("pushcam-report.txt", text(3000), changed) }, wanted(NewFile{Path: "pushcam-report.txt", Data: text(3000)})},
		{"new, with a long name", format, func(f *FS) error { return f.WriteFile(strings.Repeat("n", maxName), text(99), changed) }, wanted(NewFile{Path: strings.Repeat("n", maxName), Data: text(99)})},
		{"replaced", format, func(f *FS) error { return f.WriteFile("vmlinuz", text(20_000), changed) }, wanted(NewFile{Path: "vmlinuz", Data: text(20_000)})},
		{"replaced, two copies of the table", twice, func(f *FS) error { return f.WriteFile("vmlinuz", text(20_000), changed) }, wanted(NewFile{Path: "vmlinuz", Data: text(20_000)})},
		{"emptied", format, func(f *FS) error { return f.WriteFile("vmlinuz", nil, changed) }, wanted(NewFile{Path: "vmlinuz"})},
		{"removed", format, func(f *FS) error { return f.Remove("vmlinuz") }, without("vmlinuz")},
		{"overwritten", format, func(f *FS) error { return f.Overwrite("a file of the owner's.txt", []byte("******")) }, wanted(NewFile{Path: "a file of the owner's.txt", Data: []byte("******")})},
	} {
		for _, reverse := range []bool{false, true} {
			begin := tt.disk(t).b
			begin = begin[:open(t, newDisk(begin)).Used()+64<<10] // quicker than all of it
			whole := newDisk(bytes.Clone(begin))
			old := everything(t, open(t, whole))
			whole.sectors, whole.reverse = 0, reverse
			if err := tt.does(open(t, whole)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.new, everything(t, open(t, whole))); diff != "" {
				t.Fatalf("%s: -want +got\n%s", tt.name, diff)
			}
			seen := make(map[bool]bool)
			for cut := range whole.sectors {
				d := newDisk(bytes.Clone(begin))
				d.cut, d.reverse = cut, reverse
				if err := tt.does(open(t, d)); !errors.Is(err, errCut) {
					t.Fatalf("%s, cut after %d sectors: %v", tt.name, cut, err)
				}
				f := open(t, d)
				got := everything(t, f)
				isOld, isNew := cmp.Equal(got, old), cmp.Equal(got, tt.new)
				if !isOld && !isNew {
					t.Errorf("%s, cut after %d sectors: neither the old nor the new: -old +got\n%s", tt.name, cut, cmp.Diff(old, got))
				}
				check(t, f, 60)
				seen[isNew] = true
				// It can be done again.
				d.cut = -1
				if err := tt.does(open(t, d)); err != nil && !(errors.Is(err, fs.ErrNotExist) && isNew) {
					t.Errorf("%s, again after a cut after %d sectors: %v", tt.name, cut, err)
				}
				if diff := cmp.Diff(tt.new, everything(t, open(t, d))); diff != "" {
					t.Errorf("%s, again after a cut after %d sectors: -want +got\n%s", tt.name, cut, diff)
				}
			}
			if !seen[false] || whole.sectors == 0 {
				t.Errorf("%s: the old one was never there", tt.name)
			}
		}
	}
}

func without(path string) map[string]string {
	all := wanted()
	delete(all, path)
	return all
}
