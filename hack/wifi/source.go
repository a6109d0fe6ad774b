//go:build linux

package main

import (
	"fmt"
	"maps"
	"slices"
)

// A source is what the files are made of: packages of Debian, by name.
type source struct {
	// Fetched are those that were downloaded for the build.
	Fetched map[string]fetched
	// Installed are the versions of those of the computer: the compiler and the C library.
	Installed map[string]string
	// SHA256 of what came out, by the file's name.
	SHA256 map[string]string
}

type fetched struct {
	Suite   string
	Version string
	// SHA256 of its files, by their names.
	SHA256 map[string]string
}

// packages are what is to be fetched, and from which suite of Debian: the supplicant's
// source of the newest that has this version, and the libraries of the one that has the C
// library of the compiler.
func packages() source {
	return source{
		Fetched: map[string]fetched{
			"wpa":              {Suite: "trixie"},
			"libnl-3-dev":      {Suite: "bookworm"},
			"libnl-genl-3-dev": {Suite: "bookworm"},
			"wireless-regdb":   {Suite: "trixie"},
		},
		Installed: map[string]string{"gcc-aarch64-linux-gnu": "", "binutils-aarch64-linux-gnu": "", "libc6-dev-arm64-cross": ""},
		SHA256:    make(map[string]string),
	}
}

// differ says in which packages a source differs from the one that was recorded.
func (s source) differ(recorded source) (differ []string) {
	for _, name := range slices.Sorted(maps.Keys(s.Fetched)) {
		switch now, before := s.Fetched[name], recorded.Fetched[name]; {
		case now.Version != before.Version:
			differ = append(differ, fmt.Sprintf("%s is %s, was %s", name, now.Version, before.Version))
		case !maps.Equal(now.SHA256, before.SHA256):
			differ = append(differ, fmt.Sprintf("%s is %s with other files, was %s", name, now.Version, before.Version))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Installed)) {
		if now, before := s.Installed[name], recorded.Installed[name]; now != before {
			differ = append(differ, fmt.Sprintf("%s of this computer is %s, was %s", name, now, before))
		}
	}
	return differ
}
