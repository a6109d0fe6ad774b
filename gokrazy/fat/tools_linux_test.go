package fat

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// tool runs a program of Debian's packages dosfstools and mtools.
func tool(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name) // Debian's users have not got it in the PATH
	}
	if err != nil {
		const say = "%s is not installed: sudo apt-get install dosfstools mtools"
		if os.Getenv("CI") != "" {
			t.Fatalf(say, name)
		}
		t.Skipf(say, name)
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %q: %v: %s", name, args, err, out)
	}
	return out
}

// What others make of our file systems, and we of theirs: theirs have two copies of the
// table, and names as PCs write them.
func TestTools(t *testing.T) {
	dir := t.TempDir()
	note := filepath.Join(dir, "note")
	if err := os.WriteFile(note, text(5000), 0o600); err != nil {
		t.Fatal(err)
	}
	long, small := "Änderungen an der Kamera.txt", "readme.TXT"
	for name, format := range map[string]func(path string){
		"ours": func(path string) {
			if err := os.WriteFile(path, format(t).b, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"mkfs.fat's": func(path string) {
			if err := os.WriteFile(path, make([]byte, 16<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			tool(t, "mkfs.fat", "-F", "16", path)
			for _, f := range testFiles {
				if filepath.Dir(f.Path) == "." {
					from := filepath.Join(dir, "from")
					if err := os.WriteFile(from, f.Data, 0o600); err != nil {
						t.Fatal(err)
					}
					tool(t, "mcopy", "-i", path, from, "::"+f.Path)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "image")
			format(path)
			tool(t, "dosfsck", "-nV", path)
			for _, to := range []string{long, small} {
				tool(t, "mcopy", "-i", path, note, "::"+to)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			disk, err := Open(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, to := range []string{long, small} {
				if got, err := disk.ReadFile(to, 5000); err != nil || !bytes.Equal(got, text(5000)) {
					t.Errorf("%s has %d bytes, %v", to, len(got), err)
				}
			}
			err = errors.Join(disk.WriteFile("pushcam-report.txt", text(3000), changed), disk.WriteFile(long, text(20_000), changed),
				disk.WriteFile("vmlinuz", nil, changed), disk.Remove(small), disk.Overwrite("cmdline.txt", []byte("QUIET")))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := disk.ClearFree(t.Context(), 0); err != nil {
				t.Error(err)
			}
			tool(t, "dosfsck", "-nV", path)
			for from, want := range map[string][]byte{"PUSHCAM-REPORT.TXT": text(3000), long: text(20_000), "cmdline.txt": []byte("QUIET"), "a file of the owner's.txt": []byte("secret")} {
				if got := tool(t, "mtype", "-i", path, "::"+from); !bytes.Equal(got, want) {
					t.Errorf("mtype %s: %d bytes, want %d", from, len(got), len(want))
				}
			}
			if again, err := Open(f); err != nil {
				t.Error(err)
			} else if _, err := again.File(small); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", small, err)
			}
			tool(t, "mcopy", "-o", "-i", path, note, "::pushcam-report.txt")
			tool(t, "dosfsck", "-nV", path)
		})
	}
}
