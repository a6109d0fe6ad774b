//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/pushcam/pushcam/hack/rebuild"
)

// A builder builds a kernel in a folder of its own.
type builder struct {
	checkout string
	dir      string
}

// tree is the patched source, objects what make makes of it, and result the files for a
// checkout, by their paths there.
func (b *builder) tree() string    { return filepath.Join(b.dir, "linux") }
func (b *builder) objects() string { return filepath.Join(b.dir, "objects") }
func (b *builder) result() string  { return filepath.Join(b.dir, "result") }

// A maker runs make in the source, with arguments.
type maker func(args ...string) error

// maker is one for a source.
func (b *builder) maker(ctx context.Context, s source) maker {
	env := []string{
		"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=/nonexistent", "LC_ALL=C", "TZ=UTC",
		"ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-",
		"KBUILD_BUILD_USER=pushcam", "KBUILD_BUILD_HOST=pushcam", "KBUILD_BUILD_VERSION=1",
		"KBUILD_BUILD_TIMESTAMP=" + s.Date.Format(time.UnixDate),
	}
	return func(args ...string) error {
		args = append([]string{"nice", "make", "-s", "-C", b.tree(), "-j" + strconv.Itoa(runtime.NumCPU()),
			// Else the configuration would name the versions that this machine has.
			"RUSTC=not-used", "PAHOLE=not-used"}, args...)
		return rebuild.Run(rebuild.Command(ctx, b.dir, env, args...))
	}
}

// build makes the result.
func (b *builder) build(ctx context.Context, s source) error {
	began, anywhere := time.Now(), b.maker(ctx, s)
	maker := func(args ...string) error { return anywhere(append([]string{"O=" + b.objects()}, args...)...) }
	if err := os.MkdirAll(b.objects(), 0o755); err != nil {
		return err
	}
	fragment := filepath.Join(b.checkout, recipeDir, "pushcam.config")
	if err := maker("KCONFIG_ALLCONFIG="+fragment, "alldefconfig"); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	if err := checkConfig(fragment, filepath.Join(b.objects(), ".config")); err != nil {
		return err
	}
	fmt.Printf("building Linux of %s %s: 12 minutes on two processors\n", s.Package, s.Version)
	if err := maker("Image", "modules", "dtbs"); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	if err := b.pack(s, maker); err != nil {
		return err
	}
	if err := b.packVcsim(maker); err != nil {
		return fmt.Errorf("vcsim: %w", err)
	}
	if err := b.packHwsim(anywhere); err != nil {
		return fmt.Errorf("hwsim: %w", err)
	}
	fmt.Printf("built in %v\n", time.Since(began).Round(time.Second))
	return nil
}

// deviceTrees are the kernel's device trees, by the names under which a Pi's firmware
// asks for them.
var deviceTrees = map[string]string{
	"bcm2710-rpi-3-b.dtb":      "bcm2837-rpi-3-b.dtb",
	"bcm2710-rpi-3-b-plus.dtb": "bcm2837-rpi-3-b-plus.dtb",
	"bcm2710-rpi-3-a-plus.dtb": "bcm2837-rpi-3-a-plus.dtb",
	"bcm2710-rpi-cm3.dtb":      "bcm2837-rpi-cm3-io3.dtb",
	"bcm2710-rpi-zero-2.dtb":   "bcm2837-rpi-zero-2-w.dtb",
	"bcm2710-rpi-zero-2-w.dtb": "bcm2837-rpi-zero-2-w.dtb",
	"bcm2711-rpi-4-b.dtb":      "bcm2711-rpi-4-b.dtb",
	"bcm2711-rpi-400.dtb":      "bcm2711-rpi-400.dtb",
	"bcm2711-rpi-cm4.dtb":      "bcm2711-rpi-cm4-io.dtb",
}

// pack makes the kernel package from what was built.
func (b *builder) pack(s source, maker maker) error {
	dir := filepath.Join(b.result(), kernelDir)
	recipe := filepath.Join(b.result(), recipeDir)
	if err := os.MkdirAll(recipe, 0o755); err != nil {
		return err
	}
	// gok wants it uncompressed.
	boot := filepath.Join(b.objects(), "arch/arm64/boot")
	files := map[string]string{
		filepath.Join(dir, "vmlinuz"):   filepath.Join(boot, "Image"),
		filepath.Join(dir, "COPYING"):   filepath.Join(b.tree(), "LICENSES/preferred/GPL-2.0"),
		filepath.Join(recipe, "config"): filepath.Join(b.objects(), ".config"),
	}
	for name, of := range deviceTrees {
		files[filepath.Join(dir, name)] = filepath.Join(boot, "dts/broadcom", of)
	}
	for to, from := range files {
		if err := rebuild.CopyFile(from, to); err != nil {
			return err
		}
	}
	for name := range deviceTrees {
		// The firmware talks to the camera's sensor over this bus.
		tree := filepath.Join(dir, name)
		if err := rebuild.Run(exec.Command("fdtput", "-t", "s", tree, "/soc/i2c@7e205000", "status", "disabled")); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := maker("INSTALL_MOD_PATH="+dir, "INSTALL_MOD_STRIP=1", "modules_install"); err != nil {
		return fmt.Errorf("install modules: %w", err)
	}
	if err := prune(filepath.Join(dir, "lib/modules")); err != nil {
		return err
	}
	return rebuild.WriteRecord(filepath.Join(recipe, "source.json"), s)
}

// prune removes everything but the modules and the two indexes that device.Modules
// reads.
func prune(modules string) error {
	indexes, err := filepath.Glob(filepath.Join(modules, "*/*"))
	if err != nil {
		return err
	}
	for _, path := range indexes {
		switch filepath.Base(path) {
		case "kernel", "modules.dep", "modules.builtin":
			continue
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// packVcsim builds the simulated VideoCore that tests use.
func (b *builder) packVcsim(maker maker) error {
	work, dir := filepath.Join(b.dir, "vcsim"), filepath.Join(b.result(), vcsimDir)
	for _, d := range []string{work, dir} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"vcsim.c", "Makefile"} {
		if err := rebuild.CopyFile(filepath.Join(b.checkout, vcsimDir, name), filepath.Join(work, name)); err != nil {
			return err
		}
	}
	if err := maker("M="+work, "modules"); err != nil {
		return err
	}
	module := filepath.Join(work, "vcsim.ko")
	if err := rebuild.Run(exec.Command("aarch64-linux-gnu-strip", "--strip-debug", module)); err != nil {
		return err
	}
	if err := rebuild.CopyFile(module, filepath.Join(dir, "vcsim.ko")); err != nil {
		return err
	}
	return rebuild.CopyFile(filepath.Join(b.tree(), "LICENSES/preferred/GPL-2.0"), filepath.Join(dir, "COPYING"))
}

// checkConfig returns an error if the configuration lacks a line of the fragment that it
// was made from: Kconfig silently drops an option whose dependencies are not met.
func checkConfig(fragment, config string) error {
	want, err := readConfig(fragment)
	if err != nil {
		return err
	}
	got, err := readConfig(config)
	if err != nil {
		return err
	}
	var wrong []string
	for name, value := range want {
		if got[name] != value {
			wrong = append(wrong, fmt.Sprintf("%s=%s became %q", name, value, got[name]))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%s asks for what this kernel does not have, or not this way: %s", fragment, strings.Join(wrong, ", "))
	}
	return nil
}

// readConfig reads a kernel's configuration, without the options that are not set.
func readConfig(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	options := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(name, "CONFIG_") {
			options[name] = value
		} else if name, ok := strings.CutPrefix(line, "# CONFIG_"); ok && strings.HasSuffix(name, " is not set") {
			options["CONFIG_"+strings.TrimSuffix(name, " is not set")] = ""
		}
	}
	return options, nil
}
