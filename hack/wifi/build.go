//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/image/debian"
	"github.com/pushcam/pushcam/gokrazy/network/wpa"
	"github.com/pushcam/pushcam/hack/rebuild"
)

// tools are the Debian packages that a build needs.
var tools = []string{"gcc-aarch64-linux-gnu", "binutils-aarch64-linux-gnu", "libc6-dev-arm64-cross", "make", "dpkg-dev", "patch", "xz-utils"}

// A builder builds in a folder of its own.
type builder struct {
	config string // the supplicant's, of the checkout
	dir    string
}

// tree is the patched source, libraries where the packages of the libraries are
// unpacked, and result the files for a checkout, by their paths there.
func (b *builder) tree() string      { return filepath.Join(b.dir, "wpa") }
func (b *builder) libraries() string { return filepath.Join(b.dir, "libraries") }
func (b *builder) result() string    { return filepath.Join(b.dir, "result") }

// build makes the result, of the recorded versions if Debian has them.
func (b *builder) build(ctx context.Context, recorded source, newest bool) (source, error) {
	s := packages()
	if err := os.RemoveAll(b.dir); err != nil {
		return s, err
	}
	if err := os.MkdirAll(filepath.Join(b.result(), wpa.Dir, "build"), 0o755); err != nil {
		return s, err
	}
	if err := b.fetchAll(ctx, s, recorded, newest); err != nil {
		return s, err
	}
	fmt.Println("building wpa_supplicant", s.Fetched["wpa"].Version)
	if err := b.compile(ctx); err != nil {
		return s, err
	}
	// Of the two signatures that Debian has, this is by its own key.
	for _, name := range []string{path.Base(wpa.RegulatoryDB), path.Base(wpa.RegulatorySignature)} {
		if err := rebuild.CopyFile(filepath.Join(b.libraries(), "usr/lib/firmware", name+"-debian"), filepath.Join(b.result(), wpa.Dir, name)); err != nil {
			return s, err
		}
	}
	for _, name := range []string{path.Base(wpa.Path), path.Base(wpa.RegulatoryDB), path.Base(wpa.RegulatorySignature)} {
		sum, err := rebuild.Checksum(filepath.Join(b.result(), wpa.Dir, name))
		if err != nil {
			return s, err
		}
		s.SHA256[name] = sum
	}
	for name := range s.Installed {
		version, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", name).Output()
		if err != nil {
			return s, fmt.Errorf("the version of %s: %w", name, err)
		}
		s.Installed[name] = string(version)
	}
	return s, rebuild.WriteRecord(filepath.Join(b.result(), sourceFile), s)
}

// fetchAll fetches all packages and unpacks them.
func (b *builder) fetchAll(ctx context.Context, s, recorded source, newest bool) error {
	apt := &debian.Apt{
		Dir:          filepath.Join(b.dir, "apt"),
		Sources:      []string{"deb bookworm main", "deb trixie main", "deb-src trixie main"},
		Architecture: "arm64",
	}
	for name, p := range s.Fetched {
		files := filepath.Join(b.dir, "fetched", name)
		if err := os.MkdirAll(files, 0o755); err != nil {
			return err
		}
		before := recorded.Fetched[name]
		var err error
		if p.Version = before.Version; p.Version != "" && !newest {
			err = b.fetch(ctx, apt, files, name, name+"="+p.Version)
		}
		if p.Version == "" || newest || err != nil {
			if err != nil {
				fmt.Printf("Debian serves %s %s no longer: this takes the newest of %s instead, and shows what it would change.\n", name, p.Version, p.Suite)
			}
			if err := b.fetch(ctx, apt, files, name, name+"/"+p.Suite); err != nil {
				return err
			}
		}
		if p.Version, err = version(ctx, files); err != nil {
			return err
		}
		if p.SHA256, err = sums(files); err != nil {
			return err
		}
		s.Fetched[name] = p
	}
	return nil
}

// fetch fetches a package into a folder, and unpacks it where the build looks for it.
func (b *builder) fetch(ctx context.Context, apt *debian.Apt, to, name, wanted string) error {
	if name == "wpa" {
		if err := apt.Source(ctx, to, wanted); err != nil {
			return err
		}
		description, err := filepath.Glob(filepath.Join(to, "*.dsc"))
		if err != nil || len(description) != 1 {
			return fmt.Errorf("%d descriptions of a source came, not one", len(description))
		}
		// apt has checked it by Debian's signature of its lists.
		return rebuild.Shell(ctx, b.dir, "dpkg-source", "--no-check", "-x", description[0], b.tree())
	}
	deb, err := apt.Download(ctx, to, wanted)
	if err != nil {
		return err
	}
	return debian.Unpack(ctx, deb, b.libraries())
}

// version is that of the package whose files are in a folder.
func version(ctx context.Context, dir string) (string, error) {
	if debs, err := filepath.Glob(filepath.Join(dir, "*.deb")); err == nil && len(debs) == 1 {
		out, err := exec.CommandContext(ctx, "dpkg-deb", "-f", debs[0], "Version").Output()
		return strings.TrimSpace(string(out)), err
	}
	descriptions, err := filepath.Glob(filepath.Join(dir, "*.dsc"))
	if err != nil || len(descriptions) != 1 {
		return "", fmt.Errorf("%d descriptions of a source came, not one", len(descriptions))
	}
	text, err := os.ReadFile(descriptions[0])
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "Version:"); ok {
			return strings.TrimSpace(v), nil
		}
	}
	return "", errors.New("the description of a source names no version")
}

// sums are the SHA-256 of the files in a folder.
func sums(dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	all := make(map[string]string)
	for _, e := range entries {
		if all[e.Name()], err = rebuild.Checksum(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// compile makes the program, of the same bytes in every folder.
func (b *builder) compile(ctx context.Context) error {
	const triplet = "aarch64-linux-gnu"
	folder, sys := filepath.Join(b.tree(), "wpa_supplicant"), b.libraries()
	config, err := os.ReadFile(b.config)
	if err != nil {
		return err
	}
	// Here and not on make's command line, where they would replace the Makefile's own.
	paths := fmt.Sprintf("CFLAGS += -I%[1]s/usr/include -I%[1]s/usr/include/%[2]s\nLDFLAGS += -static -L%[1]s/lib/%[2]s -L%[1]s/usr/lib/%[2]s\n", sys, triplet)
	if err := os.WriteFile(filepath.Join(folder, ".config"), append(config, paths...), 0o644); err != nil {
		return err
	}
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "TZ=UTC", "SOURCE_DATE_EPOCH=1",
		"CFLAGS=-MMD -Os -w -ffunction-sections -fdata-sections -fstack-protector-strong -D_FORTIFY_SOURCE=2 -ffile-prefix-map=" + b.tree() + "=.",
		"LDFLAGS=-Wl,--gc-sections -Wl,--build-id=none",
	}
	// Without pkg-config, which would name the libraries of this computer.
	build := rebuild.Command(ctx, folder, env, "nice", "make", "-j"+strconv.Itoa(runtime.NumCPU()),
		"CC="+triplet+"-gcc", "PKG_CONFIG=false", "LIBNL_INC="+filepath.Join(sys, "usr/include/libnl3"), "wpa_supplicant")
	if err := rebuild.Run(build); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	program := filepath.Join(b.result(), wpa.Dir, path.Base(wpa.Path))
	return rebuild.Shell(ctx, b.dir, triplet+"-strip", "-o", program, filepath.Join(folder, "wpa_supplicant"))
}
