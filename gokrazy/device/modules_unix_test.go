//go:build unix

package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"
)

// uvcDep is of gokrazy's kernel.rpi 6.12.47.
const uvcDep = `kernel/drivers/media/common/uvc.ko:
kernel/drivers/media/common/videobuf2/videobuf2-common.ko:
kernel/drivers/media/common/videobuf2/videobuf2-memops.ko:
kernel/drivers/media/common/videobuf2/videobuf2-v4l2.ko: kernel/drivers/media/common/videobuf2/videobuf2-common.ko
kernel/drivers/media/common/videobuf2/videobuf2-vmalloc.ko: kernel/drivers/media/common/videobuf2/videobuf2-memops.ko kernel/drivers/media/common/videobuf2/videobuf2-common.ko
kernel/drivers/media/usb/uvc/uvcvideo.ko: kernel/drivers/media/common/videobuf2/videobuf2-vmalloc.ko kernel/drivers/media/common/videobuf2/videobuf2-memops.ko kernel/drivers/media/common/uvc.ko kernel/drivers/media/common/videobuf2/videobuf2-v4l2.ko kernel/drivers/media/common/videobuf2/videobuf2-common.ko
`

// modulesRoot is a system with modules.dep and the files that it names, but for
// the missing ones.
func modulesRoot(t *testing.T, dep, builtin string, missing ...string) Root {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "lib/modules/6.12.47-v8")
	files := map[string]string{"modules.dep": dep, "../../../proc/sys/kernel/osrelease": "6.12.47-v8\n"}
	if builtin != "" {
		files["modules.builtin"] = builtin
	}
	for _, word := range strings.Fields(dep) {
		files[strings.TrimSuffix(word, ":")] = "ELF"
	}
	for name, content := range files {
		if slices.Contains(missing, name) {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Root(root)
}

func TestModules(t *testing.T) {
	uvc := []string{"videobuf2-common.ko", "videobuf2-v4l2.ko", "uvc.ko", "videobuf2-memops.ko", "videobuf2-vmalloc.ko", "uvcvideo.ko"}
	tests := []struct {
		name    string
		dep     string
		builtin string
		missing []string
		load    []string
		refuse  map[string]error // by the kernel

		parameters map[string]string
		want       []string // what the kernel was given
		wantErr    []string // none is no error
	}{
		{name: "with all that it needs", dep: uvcDep, load: []string{"uvcvideo"}, want: uvc},
		{name: "minus is underscore", dep: uvcDep, load: []string{"videobuf2_common"}, want: uvc[:1]},
		{name: "underscore is minus", dep: "kernel/a_b.ko:\n", load: []string{"a-b"}, want: []string{"a_b.ko"}},
		{name: "with parameters", dep: uvcDep, load: []string{"uvcvideo"}, parameters: map[string]string{"uvc": "a=1 b=2", "videobuf2-memops": "c=3"},
			want: []string{uvc[0], uvc[1], "uvc.ko a=1 b=2", "videobuf2-memops.ko c=3", uvc[4], uvc[5]}},
		{name: "loaded already", dep: uvcDep, load: []string{"uvcvideo"}, want: uvc,
			refuse: map[string]error{"videobuf2-common.ko": os.NewSyscallError("finit_module", fs.ErrExist), "uvcvideo.ko": fs.ErrExist}},
		{name: "built in", dep: uvcDep, builtin: "kernel/drivers/media/v4l2-core/videodev.ko\n", load: []string{"videodev"}},
		{name: "compressed", dep: "kernel/a.ko.xz: kernel/b.ko.zst kernel/c.ko\n", load: []string{"a"}, want: []string{"c.ko", "b.ko.zst compressed", "a.ko.xz compressed"}},
		{name: "unknown", dep: uvcDep, load: []string{"bcm2835-v4l2"}, wantErr: []string{"bcm2835-v4l2", "6.12.47-v8", ErrNoModule.Error()}},
		{name: "refused", dep: uvcDep, load: []string{"uvcvideo"}, want: uvc[:2],
			refuse:  map[string]error{"videobuf2-v4l2.ko": errors.New("exec format error")},
			wantErr: []string{"uvcvideo", "videobuf2-v4l2.ko", "exec format error"}},
		{name: "one fails, the next is loaded", dep: uvcDep, load: []string{"nonesuch", "uvc"}, want: []string{"uvc.ko"}, wantErr: []string{"nonesuch"}},
		{name: "file is missing", dep: "kernel/a.ko:\n", missing: []string{"kernel/a.ko"}, load: []string{"a"}, wantErr: []string{"kernel/a.ko", "no such file"}},
		{name: "no index", builtin: "kernel/a.ko\n", missing: []string{"modules.dep"}, load: []string{"uvcvideo"}, wantErr: []string{"6.12.47-v8", "modules.dep", "no such file"}},
		{name: "index is damaged", dep: "kernel/a.ko\n", load: []string{"a"}, wantErr: []string{"modules.dep", "line 1", "colon"}},
		{name: "out of the folder", dep: "kernel/a.ko: ../../../../etc/passwd\n", missing: []string{"../../../../etc/passwd"}, load: []string{"a"}, wantErr: []string{"line 1", "etc/passwd"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			m := &Modules{
				Root:       modulesRoot(t, tc.dep, tc.builtin, tc.missing...),
				Parameters: tc.parameters,
				insert: func(module *os.File, parameters string, compressed bool) error {
					given := strings.TrimSpace(filepath.Base(module.Name()) + " " + parameters)
					if compressed {
						given += " compressed"
					}
					got = append(got, given)
					return tc.refuse[filepath.Base(module.Name())]
				},
			}
			checkError(t, m.Load(tc.load...), tc.wantErr...)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("given to the kernel (-want +got):\n%s", diff)
			}
		})
	}
}

func TestModulesWithoutAFolder(t *testing.T) {
	root := modulesRoot(t, "", "")
	if err := os.RemoveAll(root.Path("lib")); err != nil {
		t.Fatal(err)
	}
	m := &Modules{Root: root}
	checkError(t, m.Load("uvcvideo"), "lib/modules/6.12.47-v8", "no such file")
}

// A folder of modules that is a link out of the system's root is not followed
// from below it.
func TestModulesStayInTheirFolder(t *testing.T) {
	root := modulesRoot(t, "kernel/a.ko:\n", "", "kernel/a.ko")
	dir := root.Path("lib/modules/6.12.47-v8")
	outside := filepath.Join(t.TempDir(), "a.ko")
	if err := os.WriteFile(outside, []byte("ELF"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "kernel"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "kernel/a.ko")); err != nil {
		t.Fatal(err)
	}
	m := &Modules{Root: root,
		insert: func(*os.File, string, bool) error { return errors.New("it was loaded") }}
	checkError(t, m.Load("a"), "escapes")
}

func TestUnload(t *testing.T) {
	var got []string
	refused := os.NewSyscallError("delete_module", errors.New("resource temporarily unavailable"))
	m := &Modules{remove: func(name string) error {
		got = append(got, name)
		if name == "used" {
			return refused
		}
		return nil
	}}
	if err := m.Unload("bcm2835-v4l2"); err != nil {
		t.Error(err)
	}
	checkError(t, m.Unload("used"), "kernel module used", "temporarily unavailable")
	if diff := cmp.Diff([]string{"bcm2835_v4l2", "used"}, got); diff != "" {
		t.Errorf("taken out (-want +got):\n%s", diff)
	}
}

// A module that is kept is loaded again without its file, because the card may not
// answer then.
func TestReload(t *testing.T) {
	for _, kept := range []bool{true, false} {
		var got []string
		m := &Modules{
			Root:       modulesRoot(t, "kernel/a-b.ko: kernel/c.ko\nkernel/c.ko:\n", ""),
			Parameters: map[string]string{"a_b": "x=1"},
			insert: func(module *os.File, parameters string, _ bool) error {
				got = append(got, "load "+filepath.Base(module.Name())+" "+parameters)
				return nil
			},
			remove: func(name string) error { got = append(got, "remove "+name); return nil },
			put: func(image []byte, parameters string) error {
				got = append(got, fmt.Sprintf("put %d bytes %s", len(image), parameters))
				return nil
			},
		}
		want := []string{"load c.ko ", "load a-b.ko x=1", "remove a_b", "load c.ko ", "load a-b.ko x=1"}
		if kept {
			m.Keep, want = []string{"a-b"}, []string{"load c.ko ", "load a-b.ko x=1", "remove a_b", "put 3 bytes x=1"}
		}
		checkError(t, m.Load("a-b"))
		if kept {
			if err := os.RemoveAll(m.Root.Path("lib")); err != nil {
				t.Fatal(err)
			}
		}
		checkError(t, m.Reload("a-b"))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("kept %v (-want +got):\n%s", kept, diff)
		}
	}
}

// A driver that is in use is not taken out, and one that does not come back is told of.
func TestReloadFails(t *testing.T) {
	busy := os.NewSyscallError("delete_module", errors.New("resource temporarily unavailable"))
	var put int
	m := &Modules{
		Root:   modulesRoot(t, "kernel/a-b.ko:\n", ""),
		Keep:   []string{"a-b"},
		insert: func(*os.File, string, bool) error { return nil },
		remove: func(string) error { return busy },
		put:    func([]byte, string) error { put++; return errors.New("exec format error") },
	}
	checkError(t, m.Load("a-b"))
	checkError(t, m.Reload("a-b"), "kernel module a-b", "temporarily unavailable")
	if put > 0 {
		t.Error("what was not taken out is loaded a second time")
	}
	m.remove = func(string) error { return nil }
	checkError(t, m.Reload("a-b"), "kernel module a-b", "exec format error")
}

// A module whose second load failed is not there any more: the next Reload loads it.
func TestReloadAgain(t *testing.T) {
	there, broken := true, true
	m := &Modules{
		Root:   modulesRoot(t, "kernel/a-b.ko:\n", ""),
		Keep:   []string{"a-b"},
		insert: func(*os.File, string, bool) error { return nil },
		remove: func(string) error {
			if !there {
				return os.NewSyscallError("delete_module", unix.ENOENT)
			}
			there = false
			return nil
		},
		put: func([]byte, string) error {
			if broken {
				return errors.New("connection timed out")
			}
			there = true
			return nil
		},
	}
	checkError(t, m.Load("a-b"))
	checkError(t, m.Reload("a-b"), "connection timed out")
	broken = false
	checkError(t, m.Reload("a-b"))
	if !there {
		t.Error("the module is not loaded")
	}
}

// A program that was started anew finds its modules loaded, and keeps them as the one before.
func TestReloadOfAnEarlierProgram(t *testing.T) {
	var put int
	m := &Modules{
		Root:   modulesRoot(t, "kernel/a-b.ko:\n", ""),
		Keep:   []string{"a-b"},
		insert: func(*os.File, string, bool) error { return os.NewSyscallError("finit_module", unix.EEXIST) },
		remove: func(string) error { return nil },
		put:    func(image []byte, _ string) error { put = len(image); return nil },
	}
	checkError(t, m.Load("a-b"))
	if err := os.RemoveAll(m.Root.Path("lib")); err != nil {
		t.Fatal(err)
	}
	checkError(t, m.Reload("a-b"))
	if put == 0 {
		t.Error("the module is not loaded from memory")
	}
}

func FuzzParseDep(f *testing.F) {
	for _, seed := range []string{uvcDep, "", "a.ko:", "a.ko", "/a.ko:", "../a.ko: b.ko", "# x\n\na.ko.xz: b.ko  c.ko\n", ": :", "a: a a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		known, err := parseDep(strings.NewReader(text))
		if err != nil {
			return
		}
		for name, files := range known {
			if len(files) == 0 || moduleName(files[len(files)-1]) != name {
				t.Errorf("%q is loaded by %q, which does not end with its own file", name, files)
			}
			for _, file := range files {
				if !filepath.IsLocal(file) {
					t.Errorf("%q needs a file elsewhere: %q", name, file)
				}
			}
		}
	})
}

func checkError(t *testing.T, err error, want ...string) {
	t.Helper()
	if (err == nil) != (len(want) == 0) {
		t.Fatalf("error %v, want %q in it", err, want)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q, want %q in it", err, w)
		}
	}
}

func ExampleModules() {
	m := new(Modules)
	if err := m.Load("uvcvideo"); errors.Is(err, ErrNoModule) {
		fmt.Println("this kernel has no USB cameras")
	}
}
