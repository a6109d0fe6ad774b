//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A setup makes the rig's kernel and keeps it in Dir.
type setup struct {
	Dir string
	Log io.Writer
}

// A kernel is what the virtual machine boots: two files made from Debian's
// packages, and what they were made from.
type kernel struct {
	Image   string `json:"-"` // vmlinux, for QEMU's -kernel
	Modules string `json:"-"` // initramfs with the modules and their order
	Release string // "6.1.0-56-amd64", as uname says
	Version string // "6.1.192-2", of every package
	Recipe  string // hash of how it was made
}

// recipeSource is everything that decides what is made of the packages. When it changes,
// the kernel is made anew.
//
//go:embed kernel.go
var recipeSource []byte

func recipe() string {
	sum := sha256.Sum256(recipeSource)
	return hex.EncodeToString(sum[:8])
}

// requiredPackages are the Debian packages that the rig needs on this machine.
var requiredPackages = []string{
	"qemu-system-x86",                          // the virtual machine
	"kmod",                                     // depmod and modprobe, for the order of the modules
	"xz-utils",                                 // Debian's kernel and source are xz
	"gcc", "make", "bc", "binutils", "libelf1", // gpio-sim out of tree
}

// Kernel is the kernel in Dir. It exists after Ensure or Renew.
func (s setup) Kernel() kernel {
	dir := filepath.Join(s.Dir, "kernel")
	k := kernel{Image: filepath.Join(dir, "vmlinux"), Modules: filepath.Join(dir, "modules.cpio")}
	data, err := os.ReadFile(filepath.Join(dir, "kernel.json"))
	if err != nil || json.Unmarshal(data, &k) != nil {
		return kernel{}
	}
	return k
}

// Ensure makes the kernel if there is none, or if its recipe has changed.
func (s setup) Ensure(ctx context.Context) error {
	if s.Kernel().Recipe == recipe() {
		return nil
	}
	return s.locked(ctx, func() error {
		if s.Kernel().Recipe == recipe() { // made by another process meanwhile
			return nil
		}
		return s.build(ctx)
	})
}

// Renew is Ensure that also looks whether Debian has a newer kernel. A machine
// without package lists keeps the kernel that it has.
func (s setup) Renew(ctx context.Context) error {
	return s.locked(ctx, func() error {
		have := s.Kernel()
		if have.Recipe == recipe() {
			want, err := candidate(ctx)
			if err != nil || want.Version == have.Version {
				fmt.Fprintf(s.Log, "rig: %s (%s) is ready\n", have.Release, have.Version)
				return nil
			}
		}
		return s.build(ctx)
	})
}

// locked keeps two processes from making the same kernel.
func (s setup) locked(ctx context.Context, f func() error) error {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(s.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	for {
		switch err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
		case err == nil:
			return f()
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return fmt.Errorf("lock %s: %w", lock.Name(), err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// build makes the kernel in a folder of its own and moves it into place when it
// is whole.
func (s setup) build(ctx context.Context) error {
	if err := s.install(ctx, requiredPackages); err != nil {
		return err
	}
	pkgs, err := candidate(ctx)
	if err != nil && s.updateLists(ctx) == nil {
		pkgs, err = candidate(ctx)
	}
	if err != nil {
		return err
	}
	// Remove what interrupted runs have left.
	old, _ := filepath.Glob(filepath.Join(s.Dir, "tmp-*"))
	for _, dir := range old {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	tmp, err := os.MkdirTemp(s.Dir, "tmp-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)

	b := builder{dir: tmp, debs: filepath.Join(tmp, "debs"), root: filepath.Join(tmp, "root"), out: filepath.Join(tmp, "kernel")}
	for _, dir := range []string{b.debs, b.root, b.out} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.Log, "rig: making the virtual machine's kernel from Debian's linux %s (%s)\n", pkgs.Version, pkgs.Release)
	start := time.Now()
	lap := func(what string) {
		fmt.Fprintf(s.Log, "rig: %5.1f s  %s\n", time.Since(start).Seconds(), what)
	}
	err = b.download(ctx, pkgs)
	if err != nil && s.updateLists(ctx) == nil {
		// The mirror drops a version as soon as there is a newer one.
		if pkgs, err = candidate(ctx); err == nil {
			err = b.download(ctx, pkgs)
		}
	}
	if err != nil {
		return err
	}
	lap("downloaded " + strings.Join(pkgs.Names, ", "))
	if err := s.install(ctx, []string{pkgs.Compiler}); err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		do   func(context.Context, packages) error
	}{
		{"unpacked", b.unpack},
		{"built gpio-sim", b.buildGPIOSim},
		{"collected the modules", b.collectModules},
		{"extracted vmlinux", b.extractImage},
	} {
		if err := step.do(ctx, pkgs); err != nil {
			return err
		}
		lap(step.what)
	}
	data, err := json.MarshalIndent(kernel{Release: pkgs.Release, Version: pkgs.Version, Recipe: recipe()}, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.out, "kernel.json"), append(data, '\n'), 0o644); err != nil {
		return err
	}
	final := filepath.Join(s.Dir, "kernel")
	if err := os.RemoveAll(final); err != nil {
		return err
	}
	return os.Rename(b.out, final)
}

// install installs the Debian packages that are missing on this machine. If it may not,
// its error says what to do.
func (s setup) install(ctx context.Context, names []string) error {
	for _, tool := range []string{"dpkg-query", "apt-get", "apt-cache"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("the rig is made of Debian packages and there is no %s here: run it on Debian, or in a container of it", tool)
		}
	}
	var missing []string
	for _, name := range names {
		out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${db:Status-Status}", name).Output()
		if err != nil || string(out) != "installed" {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	advice := "apt-get install " + strings.Join(missing, " ")
	if os.Geteuid() != 0 {
		return fmt.Errorf("the rig needs more on this machine: run \"sudo %s\"", advice)
	}
	fmt.Fprintf(s.Log, "rig: %s\n", advice)
	args := append([]string{"install", "-qq", "-y", "--no-install-recommends"}, missing...)
	_, err := output(ctx, "", "apt-get", args...)
	if err != nil && s.updateLists(ctx) == nil {
		_, err = output(ctx, "", "apt-get", args...)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", advice, err)
	}
	return nil
}

// updateLists fetches the newest package lists, which only root may do.
func (s setup) updateLists(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("apt-get update needs root")
	}
	fmt.Fprintln(s.Log, "rig: apt-get update")
	_, err := output(ctx, "", "apt-get", "update", "-qq")
	return err
}

// output runs a command and returns what it wrote to its standard output; what
// it wrote to standard error becomes part of the error.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var stderr tail
	stderr.max = 4 << 10
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second // for what it has started itself
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args[:min(len(args), 3)], " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
