//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/image"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

// release is one, in the making.
type release struct {
	checkout string
	dir      string         // that becomes it
	url      string         // of that folder for others; may be empty
	firmware string         // a folder with firmware for Wi-Fi; may be empty
	key      *signed.Signer // nil signs nothing
	step     func(format string, args ...any)

	version string
}

// run makes the folder, or leaves nothing.
func (r *release) run(ctx context.Context) error {
	if err := r.isClean(ctx); err != nil {
		return err
	}
	if _, err := os.Lstat(r.dir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already: remove it, or name another folder with -o", r.dir)
	}
	if _, err := exec.LookPath("xz"); err != nil {
		return errors.New("xz is not installed; on Debian: sudo apt-get install xz-utils")
	}
	part := filepath.Clean(r.dir) + ".part"
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o755)); err != nil {
		return err
	}
	defer os.RemoveAll(part)
	if err := r.fill(ctx, part); err != nil {
		return err
	}
	if err := os.Rename(part, r.dir); err != nil {
		return err
	}
	if r.key == nil {
		r.step("nobody has signed it: a camera with it takes updates from the computer that updates it first; give a key with -sign-key")
	}
	r.step("%s has pushcam %s", r.dir, r.version)
	return nil
}

// isClean refuses a checkout that is not a commit: nobody could make its release again.
func (r *release) isClean(ctx context.Context) error {
	changed, err := r.output(ctx, "git", "status", "--porcelain")
	if err != nil {
		return fmt.Errorf("%s is no checkout of git, from which alone a release is made: %w", r.checkout, err)
	}
	if files := strings.Split(strings.TrimSpace(changed), "\n"); changed != "" {
		return fmt.Errorf("this checkout differs from its commit in %d files (%s): a release must be what everybody can make of its commit, so commit them or take them away", len(files), strings.TrimSpace(files[0]))
	}
	return nil
}

// fill makes all files in dir.
func (r *release) fill(ctx context.Context, dir string) error {
	b := &image.Builder{Checkout: r.checkout, Size: image.MinSize, WiFiFirmware: r.firmware, Sign: r.key, Release: r.key != nil, Step: func(what string) { r.step("%s", what) }}
	img, err := b.Build(ctx, filepath.Join(dir, "pushcam.img"))
	if err != nil {
		return err
	}
	r.version = img.Version
	b.Version, b.Time = img.Version, img.Time
	gaf, err := b.BuildArchive(ctx, filepath.Join(dir, r.named(".gaf")))
	if err != nil {
		return err
	}
	if err := r.compress(ctx, img, filepath.Join(dir, r.named(".img.xz"))); err != nil {
		return err
	}
	if err := r.publicKey(filepath.Join(dir, "pushcam-update-key.pub")); err != nil {
		return err
	}
	tools, err := r.tools(ctx, dir)
	if err != nil {
		return err
	}
	if err := r.describe(ctx, dir, gaf, img, tools); err != nil {
		return err
	}
	return sums(dir)
}

// publicKey writes the public half of the key, for who wants to check the image for updates
// without pushcamctl.
func (r *release) publicKey(path string) error {
	if r.key == nil {
		return nil
	}
	return os.WriteFile(path, signed.FormatKeys([]signed.Entry{{Key: r.key.Key()}}), 0o644)
}

func (r *release) named(suffix string) string { return "pushcam-" + r.version + suffix }

// compress replaces the image by its compressed file and the manifest for it.
func (r *release) compress(ctx context.Context, img *image.Image, to string) error {
	r.step("compressing %d MB, most of them zeros", img.Size/1e6)
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	// One thread, because more make other bytes of the same image; and of the match
	// finders the one that is twice as fast with zeros, which most of it is.
	xz := exec.CommandContext(ctx, "xz", "--threads=1", "--lzma2=preset=6,mf=hc4", "--check=crc64", "--stdout", img.Path)
	xz.Env = append(os.Environ(), "XZ_DEFAULTS=", "XZ_OPT=")
	xz.Stdout, xz.Stderr = f, os.Stderr
	if err := xz.Run(); err != nil {
		return fmt.Errorf("compress the image: %w", err)
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	url := filepath.Base(to)
	if r.url != "" {
		url = strings.TrimSuffix(r.url, "/") + "/" + url
	}
	manifest := filepath.Join(filepath.Dir(to), "pushcam"+image.ManifestSuffix)
	if err := img.WriteManifest(manifest, &image.Download{URL: url, Size: info.Size()}); err != nil {
		return err
	}
	return os.Remove(img.Path)
}

// targets are the systems for which there is a pushcamctl, by the names that people
// know. Images are made on Linux and macOS, and cards written on Linux; elsewhere that
// is Raspberry Pi Imager's.
var targets = []struct{ goos, goarch, name string }{
	{"linux", "amd64", "pushcamctl-linux-amd64"},
	{"linux", "arm64", "pushcamctl-linux-arm64"},
	{"darwin", "arm64", "pushcamctl-macos-arm64"},
	{"darwin", "amd64", "pushcamctl-macos-amd64"},
	{"windows", "amd64", "pushcamctl-windows-amd64.exe"},
}

// tools builds pushcamctl for all systems, and returns the files.
func (r *release) tools(ctx context.Context, dir string) (files []string, err error) {
	for _, t := range targets {
		r.step("building %s", t.name)
		file, err := filepath.Abs(filepath.Join(dir, t.name))
		if err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", file, "./cmd/pushcamctl")
		cmd.Dir = r.checkout
		cmd.Env = append(os.Environ(), "GOOS="+t.goos, "GOARCH="+t.goarch, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
		if said, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w: %s", t.name, err, said)
		}
		files = append(files, file)
	}
	return files, nil
}

// sums writes the file by which sha256sum -c checks all others.
func sums(dir string) error {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, e := range entries {
		sum, err := sumOf(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s  %s\n", sum, e.Name())
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(text.String()), 0o644)
}

// sumOf is the SHA-256 of a file, in hex.
func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// output runs a program in the checkout and returns what it prints.
func (r *release) output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = r.checkout
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}
