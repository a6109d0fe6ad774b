//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pushcam/pushcam/hack/rebuild"
)

// changes are how what was built differs from what is committed.
type changes struct {
	rebuild.Changes
	// options are the options of the kernel's configuration that differ, as "A=y, was n".
	options []string
}

// generated are the files in a checkout that a build makes.
var generated = rebuild.Files{
	kernelDir + "/vmlinuz", kernelDir + "/*.dtb", kernelDir + "/lib", kernelDir + "/COPYING",
	recipeDir + "/config", recipeDir + "/source.json",
	vcsimDir + "/vcsim.ko", vcsimDir + "/COPYING",
	hwsimFiles[0], hwsimFiles[1],
}

// compare compares the files of two folders that are like checkouts, and the kernel's
// configuration if one was built.
func compare(files rebuild.Files, built, committed string) (c changes, err error) {
	if c.Changes, err = files.Compare(built, committed); err != nil {
		return c, err
	}
	c.options, err = compareOptions(filepath.Join(built, recipeDir, "config"), filepath.Join(committed, recipeDir, "config"))
	return c, err
}

// compareOptions compares two configurations. A file that does not exist has no options.
func compareOptions(built, committed string) (differ []string, err error) {
	now, err := readConfig(built)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
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
	for _, o := range c.options {
		fmt.Fprintln(&b, o)
		if strings.HasPrefix(o, "CONFIG_CC_VERSION_TEXT") || strings.HasPrefix(o, "CONFIG_LD_VERSION") {
			fmt.Fprintln(&b, "^ another compiler makes another kernel of the same source: compare on the Debian release that the committed one names")
		}
	}
	return b.String() + c.Changes.String()
}
