//go:build linux

package rebuild

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Files are the patterns of the files in a checkout that a build makes (filepath.Glob).
// A folder among them means all that is in it.
type Files []string

// Changes are how what was built differs from what is committed.
type Changes struct {
	Same   int // files
	Differ []Change
}

// A Change is of one file, by its path in a checkout.
type Change struct {
	Path string
	What Kind
}

// Kind is how a file differs.
type Kind string

const (
	Differs Kind = "differs"
	Missing Kind = "is not committed"
	Surplus Kind = "is committed, and was not built"
)

func (c Changes) String() string {
	var b strings.Builder
	for _, f := range c.Differ {
		fmt.Fprintf(&b, "%s %s\n", f.Path, f.What)
	}
	fmt.Fprintf(&b, "%d files are as committed, %d are not\n", c.Same, len(c.Differ))
	return b.String()
}

// Compare compares the files of two folders that are like checkouts.
func (f Files) Compare(built, committed string) (c Changes, err error) {
	made, err := f.list(built)
	if err != nil {
		return c, err
	}
	there, err := f.list(committed)
	if err != nil {
		return c, err
	}
	all := maps.Clone(made)
	maps.Copy(all, there)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		what := Differs
		switch {
		case !there[path]:
			what = Missing
		case !made[path]:
			what = Surplus
		default:
			a, errA := os.ReadFile(filepath.Join(built, path))
			b, errB := os.ReadFile(filepath.Join(committed, path))
			if err := errors.Join(errA, errB); err != nil {
				return c, err
			}
			if bytes.Equal(a, b) {
				c.Same++
				continue
			}
		}
		c.Differ = append(c.Differ, Change{path, what})
	}
	return c, nil
}

// list returns the files below a folder.
func (f Files) list(root string) (map[string]bool, error) {
	files := make(map[string]bool)
	for _, pattern := range f {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			err := filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				name, err := filepath.Rel(root, path)
				files[name] = true
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}

// Apply replaces the files of the checkout by those that were built. Folders go too if
// a pattern names them.
func (f Files) Apply(built, checkout string) error {
	for _, pattern := range f {
		old, err := filepath.Glob(filepath.Join(checkout, pattern))
		if err != nil {
			return err
		}
		for _, path := range old {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	made, err := f.list(built)
	if err != nil {
		return err
	}
	for path := range made {
		from, to := filepath.Join(built, path), filepath.Join(checkout, path)
		info, err := os.Stat(from)
		if err != nil {
			return err
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), CopyFile(from, to), os.Chmod(to, info.Mode().Perm())); err != nil {
			return err
		}
	}
	return nil
}
