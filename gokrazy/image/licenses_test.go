package image

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The licences of all that is on a card are there, and in the README's list.
func TestLicenses(t *testing.T) {
	root, err := FindCheckout(".")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, ok := strings.Cut(string(readme), "\n## Licence\n")
	if !ok {
		t.Fatal("the README says nothing of licences")
	}
	for kernel, modules := range map[Kernel][]string{
		PushcamKernel: {"github.com/pushcam/pushcam/gokrazy/kernel"},
		StockKernel:   {"github.com/gokrazy/kernel.rpi"},
	} {
		t.Run(string(kernel), func(t *testing.T) {
			b := &Builder{Checkout: root, Kernel: kernel}
			inst, err := b.instance()
			if err != nil {
				t.Fatal(err)
			}
			text, err := b.licenses(t.Context(), inst)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := b.licenses(t.Context(), inst); err != nil || again != text {
				t.Errorf("another text the second time, %v", err)
			}
			_, titles, _ := strings.Cut(text, ":\n\n")
			titles, _, _ = strings.Cut(titles, "\n\n")
			named := make(map[string]bool)
			for line := range strings.Lines(titles) {
				name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
				named[name] = true
				if !strings.Contains(list, "`"+name+"`") {
					t.Errorf("the README's list of licences lacks `%s`", name)
				}
			}
			for _, want := range append(modules, "github.com/pushcam/pushcam", "github.com/gokrazy/firmware", "github.com/gokrazy/rpi-eeprom", "github.com/gokrazy/gokrazy", "Go", "Linux", "LGPL-2.1") {
				if !named[want] {
					t.Errorf("the list lacks %s:\n%s", want, titles)
				}
			}
			for _, want := range []string{"GNU GENERAL PUBLIC LICENSE", "GNU LESSER GENERAL PUBLIC LICENSE", "Apache License", "Broadcom Corporation", "Copyright 2009 The Go Authors", "using a Raspberry Pi device"} {
				if !strings.Contains(text, want) {
					t.Errorf("the text lacks %q", want)
				}
			}
			if paths := regexp.MustCompile(regexp.QuoteMeta(root)).FindString(text); paths != "" {
				t.Errorf("a path of this computer is in it: %s", paths)
			}
		})
	}
}

// Licences are looked for beside the packages and above them, in their module.
func TestLicenseFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	for _, name := range []string{"LICENSE", "a/LICENSE.txt", "a/NOTICE", "a/license.go", "a/licensed/x.go", "a/in/COPYING", "a/in/deep/x.go", "b/x.go", "c/LICENCE-MIT"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(at(name)), 0o755), os.WriteFile(at(name), []byte(name), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	a, b, c := &goModule{Path: "a", Version: "v1", Dir: at("a")}, &goModule{Path: "b", Dir: at("b")}, &goModule{Path: "c", Dir: at("c"), Version: "v0.0.0-00010101000000-000000000000", Replace: &struct{ Version string }{}}
	got := licenseFiles([]goPackage{{Dir: at(""), Standard: true}, {Dir: at("a/in/deep"), Module: a}, {Dir: at("a/licensed"), Module: a}, {Dir: at("b"), Module: b}, {Dir: at("c"), Module: c}})
	want := map[string][]string{"a v1": {at("a/LICENSE.txt"), at("a/NOTICE"), at("a/in/COPYING")}, "b": nil, "c": {at("c/LICENCE-MIT")}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestReadTexts(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	if err := errors.Join(os.WriteFile(a, []byte("one\r\nline\n\n"), 0o644), os.WriteFile(b, []byte("\xa9 M\xfcller"), 0o644)); err != nil {
		t.Fatal(err)
	}
	got, err := readTexts([]string{a, b})
	if want := "one\nline\n\n" + strings.Repeat("-", 80) + "\n\n© Müller\n"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}
