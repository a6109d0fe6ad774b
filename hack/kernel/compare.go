//go:build linux

package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// changes are how what was built differs from what is committed.
type changes struct {
	same  int
	files []change
	// options are the options of the kernel's configuration that differ, as "A=y, was n".
	options []string
}

// A change is of one file, by its path in a checkout.
type change struct {
	path string
	what kind
}

type kind string

const (
	differs kind = "differs"
	missing kind = "is not committed"
	surplus kind = "is committed, and was not built"
)

// generated are the files in a checkout that a build makes.
var generated = []string{
	kernelDir + "/vmlinuz", kernelDir + "/*.dtb", kernelDir + "/lib", kernelDir + "/COPYING",
	recipeDir + "/config", recipeDir + "/source.json",
	vcsimDir + "/vcsim.ko", vcsimDir + "/COPYING",
}

// compare compares the generated files of two folders that are like checkouts.
func compare(built, committed string) (c changes, err error) {
	made, err := list(built)
	if err != nil {
		return c, err
	}
	there, err := list(committed)
	if err != nil {
		return c, err
	}
	all := maps.Clone(made)
	maps.Copy(all, there)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		what := differs
		switch {
		case !there[path]:
			what = missing
		case !made[path]:
			what = surplus
		default:
			a, errA := os.ReadFile(filepath.Join(built, path))
			b, errB := os.ReadFile(filepath.Join(committed, path))
			if err := errors.Join(errA, errB); err != nil {
				return c, err
			}
			if bytes.Equal(a, b) {
				c.same++
				continue
			}
		}
		c.files = append(c.files, change{path, what})
	}
	c.options, err = compareOptions(filepath.Join(built, recipeDir, "config"), filepath.Join(committed, recipeDir, "config"))
	return c, err
}

// list returns the generated files below a folder.
func list(root string) (map[string]bool, error) {
	files := make(map[string]bool)
	for _, pattern := range generated {
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

// compareOptions compares two configurations. A file that does not exist has no options.
func compareOptions(built, committed string) (differ []string, err error) {
	now, err := readConfig(built)
	if err != nil {
		return nil, err
	}
	before, err := readConfig(committed)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	all := maps.Clone(now)
	maps.Copy(all, before)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if now[name] != before[name] {
			differ = append(differ, fmt.Sprintf("%s=%s, was %s", name, cmp.Or(now[name], "n"), cmp.Or(before[name], "n")))
		}
	}
	return differ, nil
}

func (c changes) String() string {
	var b strings.Builder
	for _, f := range c.files {
		fmt.Fprintf(&b, "%s %s\n", f.path, f.what)
	}
	for _, o := range c.options {
		fmt.Fprintln(&b, o)
		if strings.HasPrefix(o, "CONFIG_CC_VERSION_TEXT") || strings.HasPrefix(o, "CONFIG_LD_VERSION") {
			fmt.Fprintln(&b, "^ another compiler makes another kernel of the same source: compare on the Debian release that the committed one names")
		}
	}
	fmt.Fprintf(&b, "%d files are as committed, %d are not\n", c.same, len(c.files))
	return b.String()
}

// apply replaces the generated files of the checkout by those that were built.
func apply(built, checkout string) error {
	old, err := list(checkout)
	if err != nil {
		return err
	}
	for path := range old {
		if err := os.Remove(filepath.Join(checkout, path)); err != nil {
			return err
		}
	}
	// The folders go too, because gok would put empty ones into the image.
	if err := os.RemoveAll(filepath.Join(checkout, kernelDir, "lib")); err != nil {
		return err
	}
	made, err := list(built)
	if err != nil {
		return err
	}
	for path := range made {
		to := filepath.Join(checkout, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := copyFile(filepath.Join(built, path), to); err != nil {
			return err
		}
	}
	return nil
}
