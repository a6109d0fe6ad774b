//go:build linux

package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/image/debian"
	"github.com/pushcam/pushcam/hack/rebuild"
)

// A source is what a kernel is built from: a Debian package.
type source struct {
	Package string
	Version string
	// SHA256 is of the archive in it.
	SHA256 string
	// Date is that of the package's changelog. The kernel names it as its own.
	Date time.Time
}

// tools are the Debian packages that a build needs.
var tools = []string{
	"gcc-aarch64-linux-gnu", "gcc", "libc6-dev", "make", "flex", "bison", "bc", "libssl-dev", "libelf-dev",
	"device-tree-compiler", "kmod", "patch", "xz-utils",
}

// choose finds the package to build: the recorded version, or the newest.
func choose(ctx context.Context, recorded source, newest bool) (source, error) {
	versions, err := served(ctx, recorded.Package)
	if err == nil && !slices.Contains(versions, recorded.Version) && os.Geteuid() == 0 {
		if err := rebuild.Shell(ctx, "", "apt-get", "update", "-qq"); err != nil {
			return source{}, err
		}
		versions, err = served(ctx, recorded.Package)
	}
	if err != nil {
		return source{}, err
	}
	if len(versions) == 0 {
		return source{}, fmt.Errorf("no package source of this computer has %s: it is of Debian 12's updates", recorded.Package)
	}
	latest := source{Package: recorded.Package, Version: versions[0]}
	switch {
	case latest.Version == recorded.Version:
		return recorded, nil
	case !slices.Contains(versions, recorded.Version):
		fmt.Printf("Debian serves %s %s no longer: this builds %s instead, and shows what it would change.\n", recorded.Package, recorded.Version, latest.Version)
		return latest, nil
	case newest:
		fmt.Printf("Debian has %s %s, newer than the committed %s: this shows what it would change.\n", recorded.Package, latest.Version, recorded.Version)
		return latest, nil
	}
	fmt.Printf("Debian has a newer %s, %s: -newest builds it.\n", recorded.Package, latest.Version)
	return recorded, nil
}

// served are the versions of a package that Debian serves, newest first.
func served(ctx context.Context, name string) (versions []string, err error) {
	out, err := exec.CommandContext(ctx, "apt-cache", "madison", name).Output()
	if err != nil {
		return nil, fmt.Errorf("ask apt for %s: %w", name, err)
	}
	return debian.ParseMadison(string(out)), nil
}

// fetch downloads the package and unpacks and patches the source. It fills in the fields
// of s that are empty, and checks the others.
func (b *builder) fetch(ctx context.Context, s *source) error {
	if err := os.RemoveAll(b.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	fmt.Printf("fetching %s %s\n", s.Package, s.Version)
	if err := rebuild.Shell(ctx, b.dir, "apt-get", "download", "-qq", s.Package+"="+s.Version); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(b.dir, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("%d packages came, not one", len(debs))
	}
	if err := rebuild.Shell(ctx, b.dir, "dpkg-deb", "-x", debs[0], "deb"); err != nil {
		return err
	}
	archive := filepath.Join(b.dir, "deb/usr/src", s.Package+".tar.xz")
	sum, err := rebuild.Checksum(archive)
	if err != nil {
		return err
	}
	date, err := changelogDate(filepath.Join(b.dir, "deb/usr/share/doc", s.Package, "changelog.Debian.gz"))
	if err != nil {
		return err
	}
	if s.SHA256 != "" && (s.SHA256 != sum || !s.Date.Equal(date)) {
		return fmt.Errorf("%s %s has another archive than the committed kernel was built from: SHA-256 %s of %v", s.Package, s.Version, sum, date)
	}
	s.SHA256, s.Date = sum, date
	if err := rebuild.Shell(ctx, b.dir, "tar", "-xf", archive); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(b.dir, s.Package), b.tree()); err != nil {
		return err
	}
	patches, err := filepath.Glob(filepath.Join(b.checkout, recipeDir, "*.patch"))
	if err != nil {
		return err
	}
	for _, p := range patches {
		if err := rebuild.Shell(ctx, b.tree(), "patch", "-p1", "--fuzz=0", "--quiet", "-i", p); err != nil {
			return fmt.Errorf("%s does not fit %s %s: %w", filepath.Base(p), s.Package, s.Version, err)
		}
	}
	return os.RemoveAll(filepath.Join(b.dir, "deb"))
}

// changelogDate is the date of the newest entry in a Debian changelog.
func changelogDate(path string) (time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	text, err := gzip.NewReader(f)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", path, err)
	}
	for lines := bufio.NewScanner(text); lines.Scan(); {
		// " -- Name <address>  Sat, 14 Nov 2026 13:56:01 +0100"
		if signature, ok := strings.CutPrefix(lines.Text(), " -- "); ok {
			_, date, _ := strings.Cut(signature, ">  ")
			t, err := time.Parse(time.RFC1123Z, date)
			return t.UTC(), err
		}
	}
	return time.Time{}, fmt.Errorf("%s has no entry", path)
}
