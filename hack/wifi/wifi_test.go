//go:build linux

package main

import (
	"debug/elf"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/network/wpa"
	"github.com/pushcam/pushcam/hack/rebuild"
)

const checkout = "../.."

// What is committed is what the build said it made, of the packages that it says.
func TestCommitted(t *testing.T) {
	recorded, err := rebuild.ReadRecord[source](filepath.Join(checkout, sourceFile))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, path := range []string{wpa.Path, wpa.RegulatoryDB, wpa.RegulatorySignature} {
		name := filepath.Base(path)
		if got[name], err = rebuild.Checksum(filepath.Join(checkout, wpa.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(recorded.SHA256, got); diff != "" {
		t.Errorf("SHA-256 (-%s +the files):\n%s", sourceFile, diff)
	}
	for name, want := range packages().Fetched {
		if is := recorded.Fetched[name]; is.Suite != want.Suite || is.Version == "" || len(is.SHA256) == 0 {
			t.Errorf("the package %s is recorded as %+v", name, is)
		}
	}
	for name := range packages().Installed {
		if recorded.Installed[name] == "" {
			t.Errorf("no version of %s is recorded", name)
		}
	}
}

// The program runs in the image, which has no other libraries.
func TestProgramIsStatic(t *testing.T) {
	f, err := elf.Open(filepath.Join(checkout, wpa.Dir, filepath.Base(wpa.Path)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != elf.EM_AARCH64 || f.Type != elf.ET_EXEC {
		t.Errorf("it is for %v, %v", f.Machine, f.Type)
	}
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC }) {
		t.Error("it asks for libraries")
	}
}

func TestDiffer(t *testing.T) {
	recorded := source{Fetched: map[string]fetched{"wpa": {Version: "1", SHA256: map[string]string{"a": "01"}}}, Installed: map[string]string{"gcc": "12"}}
	tests := []struct {
		name string
		now  source
		want []string
	}{
		{"the same", recorded, nil},
		{"other files", source{Fetched: map[string]fetched{"wpa": {Version: "1", SHA256: map[string]string{"a": "02"}}}}, []string{"wpa is 1 with other files, was 1"}},
		{"another version", source{Fetched: map[string]fetched{"wpa": {Version: "2", SHA256: map[string]string{"a": "01"}}}}, []string{"wpa is 2, was 1"}},
		{"another compiler", source{Installed: map[string]string{"gcc": "14"}}, []string{"gcc of this computer is 14, was 12"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.now.differ(recorded)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestVersionOfSource(t *testing.T) {
	dir := t.TempDir()
	if v, err := version(t.Context(), dir); err == nil {
		t.Errorf("an empty folder has version %q", v)
	}
	if err := os.WriteFile(filepath.Join(dir, "wpa.dsc"), []byte("Source: wpa\nVersion: 2:2.10-24\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if v, err := version(t.Context(), dir); v != "2:2.10-24" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
}
