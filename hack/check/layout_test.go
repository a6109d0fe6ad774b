package main

import (
	"errors"
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/pushcam/pushcam/"
)

// A floor is a folder with all folders below it, and the packages of this module that
// its own may import besides each other. With /... these are all packages below, too.
// Tests may import anything.
type floor struct {
	folder string
	may    []string
}

// floors are those of the README: programs over viewers over parts.
var floors = []floor{
	{"camera", nil},
	{"gpio", nil},
	{"gokrazy", nil},
	{"pusher", []string{"camera", "gokrazy/words"}},
	{"cmd/pushcam", []string{"camera/...", "gpio", "gokrazy/...", "pusher/..."}},
	{"cmd/pushcamctl", []string{"gokrazy/..."}},
}

// upwards lists the imports that a package must not have.
func upwards(pkg string, imports []string) (wrong []string) {
	i := slices.IndexFunc(floors, func(f floor) bool { return within(pkg, f.folder) })
	if i < 0 {
		return []string{pkg + " is on no floor"}
	}
	for _, path := range imports {
		if path == "net/http" && within(pkg, "camera") {
			wrong = append(wrong, pkg+" knows HTTP")
		}
		ours, ok := strings.CutPrefix(path, module)
		if !ok || within(ours, floors[i].folder) {
			continue
		}
		if !slices.ContainsFunc(floors[i].may, func(may string) bool {
			folder, all := strings.CutSuffix(may, "/...")
			return ours == folder || all && within(ours, folder)
		}) {
			wrong = append(wrong, pkg+" imports "+ours)
		}
	}
	return wrong
}

func within(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

func TestNoImportUpwards(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "windows"} {
		context := build.Default
		context.GOOS, context.CgoEnabled = system, false
		packages := 0
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			pkg, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			switch {
			case path != root && strings.HasPrefix(d.Name(), "."), d.Name() == "testdata", pkg == "hack":
				return filepath.SkipDir
			case pkg == filepath.FromSlash("gokrazy/kernel"), pkg == filepath.FromSlash("gokrazy/pushcam"): // modules of their own
				return filepath.SkipDir
			}
			p, err := context.ImportDir(path, 0)
			if none := new(build.NoGoError); errors.As(err, &none) {
				return nil
			} else if err != nil {
				return err
			}
			packages++
			for _, w := range upwards(filepath.ToSlash(pkg), p.Imports) {
				t.Errorf("%s: %s", system, w)
			}
			return nil
		})
		if err != nil || packages < 15 {
			t.Errorf("%s: %d packages, %v", system, packages, err)
		}
	}
}

func TestUpwards(t *testing.T) {
	for _, tt := range []struct{ pkg, imports, want string }{
		{"pusher", module + "camera", ""},
		{"pusher", module + "camera/v4l2", "pusher imports camera/v4l2"},
		{"pusher", module + "gpio", "pusher imports gpio"},
		{"camera/v4l2", module + "camera", ""},
		{"camera", module + "pusher", "camera imports pusher"},
		{"camera/v4l2", "net/http", "camera/v4l2 knows HTTP"},
		{"gokrazy/update", module + "gokrazy/partition", ""},
		{"gokrazy/update", module + "cmd/pushcam", "gokrazy/update imports cmd/pushcam"},
		{"gokrazy/device", module + "camera", "gokrazy/device imports camera"},
		{"cmd/pushcam", module + "camera/v4l2", ""},
		{"cmd/pushcamctl", module + "gokrazy/update", ""},
		{"cmd/pushcamctl", module + "pusher", "cmd/pushcamctl imports pusher"},
		{"util", "fmt", "util is on no floor"},
	} {
		if got := strings.Join(upwards(tt.pkg, []string{tt.imports}), "; "); got != tt.want {
			t.Errorf("%s imports %s: %q, want %q", tt.pkg, tt.imports, got, tt.want)
		}
	}
}

// The files and folders that the README's part for developers names exist, and its
// table has every folder with a package.
func TestReadmeLayout(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(text), "### Layout\n")
	part, _, ok2 := strings.Cut(part, "### Performance\n")
	if !ok || !ok2 {
		t.Fatal("README.md lacks its layout")
	}
	named := 0
	for _, name := range regexp.MustCompile("`((?:camera|cmd|gokrazy|gpio|hack|pusher)(?:/[^`]*)?)`").FindAllStringSubmatch(part, -1) {
		named++
		if _, err := os.Stat(filepath.Join(root, name[1])); err != nil {
			t.Errorf("README.md names %s: %v", name[1], err)
		}
	}
	for _, way := range []string{"a frame", "an update", "a press"} {
		_, lines, _ := strings.Cut(part, "### The way of "+way+"\n")
		lines, _, _ = strings.Cut(lines, "\n### ")
		if n := len(regexp.MustCompile(`(?m)^\d\. .*\.go`).FindAllString(lines, -1)); n != 5 {
			t.Errorf("the way of %s has %d lines with files, want 5", way, n)
		}
	}
	if named < 40 {
		t.Errorf("only %d names are found", named)
	}
	folders, err := filepath.Glob(filepath.Join(root, "gokrazy", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if row := "| `gokrazy/" + filepath.Base(f) + "` |"; !strings.Contains(part, row) {
			t.Errorf("README.md's table lacks %s", row)
		}
	}
}
