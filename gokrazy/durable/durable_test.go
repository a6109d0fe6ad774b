package durable

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestWriteAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	path := filepath.Join(dir, "file")
	for _, content := range []string{"first", "the second one", ""} {
		if err := WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadFile(path, 20); err != nil || string(got) != content {
			t.Errorf("%q, %v, want %q", got, err, content)
		}
	}
	if err := WriteJSON(path, map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadFile(path, 20); err != nil || string(got) != "{\n  \"a\": 1\n}\n" {
		t.Errorf("%q, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	wantOnly(t, dir, "file")
	if err := WriteJSON(path, func() {}); err == nil {
		t.Error("what is no JSON is written")
	}
}

// wantOnly fails if there is another file in dir, or none.
func wantOnly(t *testing.T, dir string, names ...string) {
	t.Helper()
	var got []string
	all, err := os.ReadDir(dir)
	for _, e := range all {
		got = append(got, e.Name())
	}
	if err != nil || strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("there are %q, %v, want %q", got, err, names)
	}
}

// A program that ends while it writes leaves the old content, and the next attempt
// takes away what it left.
func TestCut(t *testing.T) {
	t.Attr("fault", "system | the program ends while it writes a file | the old content stays, and nothing else | the next write")
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := WriteFile(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	f, err := Create(path, 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Repeat([]byte("x"), 50)); err != nil {
		t.Fatal(err)
	}
	if err := f.File.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadFile(path, 20); err != nil || string(got) != "old" {
		t.Errorf("%q, %v", got, err)
	}
	if err := f.Commit(); err == nil {
		t.Error("a file that is closed is committed")
	}
	if err := WriteFile(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadFile(path, 20); err != nil || string(got) != "new" {
		t.Errorf("%q, %v", got, err)
	}
	f, err = Create(path, 5)
	if err != nil {
		t.Fatal(err)
	}
	f.Discard()
	wantOnly(t, dir, "file")
	if f, err = Create(path, 5); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 {
		if err := Remove(path); err != nil {
			t.Error(err)
		}
	}
	wantOnly(t, dir)
}

func TestNoRoom(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it is not known here")
	}
	dir := t.TempDir()
	_, err := Create(filepath.Join(dir, "file"), 1<<60)
	var full *NoRoomError
	if !errors.As(err, &full) || full.Need != 1<<60 || full.Free <= 0 || !errors.Is(err, syscall.ENOSPC) ||
		!strings.Contains(err.Error(), "not enough room in "+dir+": 1152921504606.8 MB are needed and ") {
		t.Errorf("error %v", err)
	}
	wantOnly(t, dir)
	if err := CheckRoom(filepath.Join(dir, "none"), 1); err == nil {
		t.Error("there is room in no folder")
	}
}

// A folder that cannot be written is an error, and nothing is left of the attempt.
func TestNoFolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(file, "x"), nil); err == nil {
		t.Error("a file is a folder")
	}
	if err := os.MkdirAll(filepath.Join(dir, "folder", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(dir, "folder"), []byte("x")); err == nil {
		t.Error("a folder is replaced by a file")
	}
	if err := os.MkdirAll(filepath.Join(dir, "stuck"+partSuffix, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(dir, "stuck"), []byte("x")); err == nil {
		t.Error("what is in the way is no error")
	}
	wantOnly(t, dir, "file", "folder", "stuck"+partSuffix)
}

func TestReadFileRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, make([]byte, 21), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{path: "more than 20 bytes", dir: "no plain file", filepath.Join(dir, "none"): "none"} {
		if got, err := ReadFile(path, 20); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q, error %v, want %q in it", got, err, want)
		}
	}
}

// Two write the same file at the same time: each is whole or is not there.
func TestTwoAtOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := WriteFile(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	first, err := Create(path, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Discard()
	if _, err := first.Write([]byte("the first")); err != nil {
		t.Fatal(err)
	}
	second, err := Create(path, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Discard()
	if _, err := second.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	committed := first.Commit()
	if got, err := ReadFile(path, 20); err != nil || string(got) != "old" && string(got) != "the first" {
		t.Errorf("%q, %v after the first was committed: %v", got, err, committed)
	}
	first.Discard()
	if _, err := second.Write([]byte(" no more")); err != nil {
		t.Fatal(err)
	}
	if err := second.Commit(); err != nil {
		t.Error(err)
	}
	if got, err := ReadFile(path, 20); err != nil || string(got) != "half no more" {
		t.Errorf("%q, %v", got, err)
	}
	wantOnly(t, dir, "file")
}
