//go:build unix

package image

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// oddFiles is a folder with what may be where a file should be.
func oddFiles(t *testing.T) (dir string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	err = errors.Join(
		os.WriteFile(at("file"), nil, 0o644),
		os.Mkdir(at("folder"), 0o755),
		syscall.Mkfifo(at("pipe"), 0o644),
		os.Symlink("file", at("link")),
		os.Symlink(at("link"), at("link to a link")),
		os.Symlink("folder/new", at("link to nothing yet")),
		os.Symlink("../file", at("folder/up")),
		os.Symlink("none/file", at("link to no folder")),
		os.Symlink("folder", at("link to a folder")),
		os.Symlink(os.DevNull, at("link to a device")),
		os.Symlink("around", at("around")),
	)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTarget(t *testing.T) {
	dir := oddFiles(t)
	socket, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	tests := []struct {
		path, want string // below the folder
		fails      string
	}{
		{path: "new", want: "new"},
		{path: "file", want: "file"},
		{path: "link", want: "file"},
		{path: "link to a link", want: "file"},
		{path: "link to nothing yet", want: "folder/new"},
		{path: "folder/up", want: "file"},
		{path: "link to a folder/up", want: "file"},
		{path: "link to a folder/new", want: "folder/new"},
		{path: "folder", fails: "folder is a folder: give a file in it"},
		{path: "folder/", fails: "folder/ is a folder: give a file in it"},
		{path: "new/", fails: "new/ is a folder"},
		{path: "link to a folder", fails: "is a folder: give a file in it"},
		{path: "link to a device", fails: "link to a device is a device: give a file"},
		{path: "pipe", fails: "pipe is a pipe: give a file"},
		{path: "s", fails: "s is no plain file"},
		{path: "none/file", fails: "none does not exist"},
		{path: "link to no folder", fails: "none does not exist"},
		{path: "file/x", fails: "not a directory"},
		{path: "around", fails: "around is a link that leads to itself"},
	}
	for _, tt := range tests {
		got, err := target(dir + "/" + tt.path)
		if tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)) || tt.fails == "" && (err != nil || got != filepath.Join(dir, tt.want)) {
			t.Errorf("target(%q) is %q, %v; want %q, %q", tt.path, got, err, tt.want, tt.fails)
		}
	}
}

// What is not to be replaced is looked at before anything is built, and stays.
func TestBuildLooksAtItsTarget(t *testing.T) {
	programs(t, map[string]string{"go": "echo built >&2; exit 1"})
	dir := oddFiles(t)
	b := &Builder{Checkout: checkout(t), Password: "password"}
	for _, name := range []string{"folder", "pipe", "link to a device"} {
		path := filepath.Join(dir, name)
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		for what, build := range map[string]func() error{
			"an image": func() error { _, err := b.Build(t.Context(), path); return err },
			"a .gaf":   func() error { _, err := b.BuildArchive(t.Context(), path); return err },
		} {
			if err := build(); err == nil || !strings.Contains(err.Error(), "give a file") {
				t.Errorf("%s in the place of %s: %v", what, name, err)
			}
		}
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s is another one now: %v", name, err)
		}
	}
}

// A link stays one, and what it leads to is replaced.
func TestReplaceFollowsLinks(t *testing.T) {
	dir := oddFiles(t)
	file, err := target(filepath.Join(dir, "link to a link"))
	if err == nil {
		err = replace(file, func(part string) error { return os.WriteFile(part, []byte("new"), 0o644) })
	}
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(text) != "new" {
		t.Errorf("the file has %q, %v", text, err)
	}
	for name, to := range map[string]string{"link to a link": filepath.Join(dir, "link"), "link": "file"} {
		if got, err := os.Readlink(filepath.Join(dir, name)); err != nil || got != to {
			t.Errorf("%s leads to %q, %v", name, got, err)
		}
	}
}

// Nothing is left beside the file, whatever fails, and what was left there before is
// not written to.
func TestReplaceLeavesNothing(t *testing.T) {
	for name, file := range map[string]string{"write fails": "file", "the name is taken in the meantime": "folder"} {
		t.Run(name, func(t *testing.T) {
			dir := oddFiles(t)
			if err := os.WriteFile(filepath.Join(dir, "folder", "in it"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("precious", filepath.Join(dir, file+".part")); err != nil {
				t.Fatal(err)
			}
			err := replace(filepath.Join(dir, file), func(part string) error {
				if file == "file" {
					return errors.New("it breaks off")
				}
				return os.WriteFile(part, []byte("new"), 0o644)
			})
			if err == nil {
				t.Error("it does not fail")
			}
			for _, left := range []string{"precious", file + ".part"} {
				if _, err := os.Lstat(filepath.Join(dir, left)); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s is there: %v", left, err)
				}
			}
		})
	}
}
