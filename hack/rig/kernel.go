//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// wantedModules are the modules that the guest loads, in this order. What they depend on
// is loaded before.
var wantedModules = []string{
	"virtio_pci", "virtio_console", "9pnet_virtio", "9p", // the guest's ways to the host
	"configfs", "gpio-sim", // GPIO lines
	"vhci-hcd", "uvcvideo", // the webcam
	"dummy_hcd", "usb_f_ncm", "cdc_ncm", // a USB port that is a device, and its host
}

// laterModules are those that a test loads itself, because it counts how often, or
// because they come with devices of their own. All that they depend on goes with them.
var laterModules = []string{
	"mac80211_hwsim", "ccm", "gcm", "cmac", "ctr", // radios, and the ciphers of Wi-Fi
}

// packages are the Debian packages of one kernel version.
type packages struct {
	Release  string   // "6.1.0-56-amd64"
	Version  string   // "6.1.192-2"
	Names    []string // each with its version, "linux-source-6.1=6.1.192-2"
	Source   string   // "linux-source-6.1"
	Compiler string   // "gcc-12", with which the kernel was built
}

// The metapackage depends on the current kernel. The one of the -cloud- kernel would not
// do, because that has neither video nor GPIO.
const metapackage = "linux-image-amd64"

// candidate finds the newest kernel in this machine's package lists of which all parts
// can be downloaded: its image, its source, and what modules are built with. They may
// not fit together for days while Debian publishes a new kernel, because the packages
// that need a signature come later, and the others replace their older versions at once.
func candidate(ctx context.Context) (packages, error) {
	metas, err := output(ctx, "", "apt-cache", "show", metapackage)
	if err != nil {
		return packages{}, fmt.Errorf("no kernel to be had: the package lists of this machine do not name Debian's %s: run apt-get update, on Debian: %w", metapackage, err)
	}
	var troubles []error
	for meta := range strings.SplitSeq(strings.TrimSpace(metas), "\n\n") {
		p, err := parseMeta(meta)
		if err == nil {
			err = p.complete(ctx)
		}
		if err == nil {
			return p, nil
		}
		troubles = append(troubles, err)
	}
	return packages{}, errors.Join(troubles...)
}

// complete adds the packages that modules are built with. It returns an error if one
// cannot be downloaded.
func (p *packages) complete(ctx context.Context) error {
	headers := "linux-headers-" + p.Release
	stanza, err := output(ctx, "", "apt-cache", "show", "--no-all-versions", headers+"="+p.Version)
	if err != nil {
		return err
	}
	if err := p.addHeaders(headers, stanza); err != nil {
		return err
	}
	_, err = output(ctx, "", "apt-get", append([]string{"-qq", "download", "--print-uris"}, p.Names...)...)
	return err
}

var metaDepends = regexp.MustCompile(`linux-image-([0-9]\S*-amd64) \(= ([^)]+)\)`)

// parseMeta reads the image's release and version from the metapackage.
func parseMeta(stanza string) (packages, error) {
	m := metaDepends.FindStringSubmatch(field(stanza, "Depends"))
	if m == nil {
		return packages{}, fmt.Errorf("%s names no kernel in its Depends: %q", metapackage, field(stanza, "Depends"))
	}
	p := packages{Release: m[1], Version: m[2]}
	parts := strings.SplitN(p.Version, ".", 3)
	if len(parts) < 3 {
		return packages{}, fmt.Errorf("%s has the version %q, expected three numbers", metapackage, p.Version)
	}
	p.Source = "linux-source-" + parts[0] + "." + parts[1]
	p.Names = []string{"linux-image-" + p.Release + "=" + p.Version, p.Source + "=" + p.Version}
	return p, nil
}

var compilerPackage = regexp.MustCompile(`^linux-compiler-(gcc-[0-9]+)-x86$`)

// addHeaders adds the packages that modules are built with.
func (p *packages) addHeaders(name, stanza string) error {
	p.Names = append(p.Names, name+"="+p.Version)
	for dep := range strings.SplitSeq(field(stanza, "Depends"), ", ") {
		dep, _, _ = strings.Cut(dep, " ")
		if !strings.HasPrefix(dep, "linux-") {
			continue
		}
		p.Names = append(p.Names, dep+"="+p.Version)
		if m := compilerPackage.FindStringSubmatch(dep); m != nil {
			p.Compiler = m[1]
		}
	}
	if p.Compiler == "" {
		return fmt.Errorf("%s names no compiler in its Depends: %q", name, field(stanza, "Depends"))
	}
	return nil
}

// field is the value of a one-line field in a Debian control stanza.
func field(stanza, name string) string {
	for line := range strings.Lines(stanza) {
		if v, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// A builder makes a kernel for the rig in folders of its own.
type builder struct {
	dir  string
	debs string // the packages
	root string // what was unpacked from them
	out  string // the result
}

// download fetches the packages; apt checks them against its signed lists.
func (b builder) download(ctx context.Context, p packages) error {
	args := append([]string{"-qq", "-o", "APT::Sandbox::User=root", "download"}, p.Names...)
	_, err := output(ctx, b.debs, "apt-get", args...)
	return err
}

func (b builder) unpack(ctx context.Context, p packages) error {
	debs, err := filepath.Glob(filepath.Join(b.debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if _, err := output(ctx, b.root, "dpkg-deb", "-x", deb, "."); err != nil {
			return err
		}
		if err := os.Remove(deb); err != nil {
			return err
		}
	}
	return nil
}

// buildGPIOSim builds gpio-sim from the kernel's own source, because no Debian kernel has
// it. It needs irq_sim, which Debian's kernels do not have either and which uses a
// function that is not exported. So irq_sim becomes a part of the module, patched.
func (b builder) buildGPIOSim(ctx context.Context, p packages) error {
	const main, header, irq = "drivers/gpio/gpio-sim.c", "drivers/gpio/gpiolib.h", "kernel/irq/irq_sim.c"
	source := filepath.Join(b.dir, "source")
	if err := os.Mkdir(source, 0o755); err != nil {
		return err
	}
	// tar stops reading after the last of the three files, so xz ends with a broken pipe.
	pipe := `xz -dcq -T0 "$1" | tar xf - --occurrence=1 --strip-components=1 "$2" "$3" "$4"`
	if _, err := output(ctx, source, "sh", "-c", pipe, "sh",
		filepath.Join(b.root, "usr/src", p.Source+".tar.xz"),
		p.Source+"/"+main, p.Source+"/"+header, p.Source+"/"+irq); err != nil {
		return fmt.Errorf("gpio-sim's source: %w", err)
	}
	module := filepath.Join(b.dir, "gpio-sim")
	if err := os.Mkdir(module, 0o755); err != nil {
		return err
	}
	const kbuild = "obj-m := gpio-sim.o\ngpio-sim-y := gpio-sim-main.o irq_sim.o\n"
	if err := os.WriteFile(filepath.Join(module, "Kbuild"), []byte(kbuild), 0o644); err != nil {
		return err
	}
	for from, to := range map[string]string{main: "gpio-sim-main.c", header: "gpiolib.h"} {
		if err := os.Rename(filepath.Join(source, from), filepath.Join(module, to)); err != nil {
			return err
		}
	}
	original, err := os.ReadFile(filepath.Join(source, irq))
	if err != nil {
		return err
	}
	patched, err := patchIRQSim(string(original))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(module, "irq_sim.c"), []byte(patched), 0o644); err != nil {
		return err
	}

	// The headers' Makefile includes its other half by an absolute path.
	headers := filepath.Join(b.root, "usr/src/linux-headers-"+p.Release)
	makefile := filepath.Join(headers, "Makefile")
	text, err := os.ReadFile(makefile)
	if err != nil {
		return err
	}
	moved := strings.ReplaceAll(string(text), "include /usr/src/", "include "+b.root+"/usr/src/")
	if err := os.WriteFile(makefile, []byte(moved), 0o644); err != nil {
		return err
	}
	if _, err := output(ctx, "", "make", "-s", "-C", headers, "M="+module, "modules"); err != nil {
		return fmt.Errorf("gpio-sim: %w", err)
	}
	extra := filepath.Join(b.root, "lib/modules", p.Release, "extra")
	if err := os.MkdirAll(extra, 0o755); err != nil {
		return err
	}
	return os.Rename(filepath.Join(module, "gpio-sim.ko"), filepath.Join(extra, "gpio-sim.ko"))
}

var exportLine = regexp.MustCompile(`(?m)^EXPORT_SYMBOL_GPL\(.*\);$`)

// patchIRQSim makes irq_sim.c fit for a module.
func patchIRQSim(source string) (string, error) {
	const unexported, exported = "handle_simple_irq(irq_to_desc(irqnum));", "generic_handle_irq_safe(irqnum);"
	if strings.Count(source, unexported) != 1 {
		return "", errors.New("kernel/irq/irq_sim.c of this kernel is not as the rig knows it: adapt patchIRQSim")
	}
	return exportLine.ReplaceAllString(strings.Replace(source, unexported, exported, 1), ""), nil
}

// collectModules writes an initramfs with the wanted modules, all that they
// depend on, and the order in which they are to be loaded.
func (b builder) collectModules(ctx context.Context, p packages) error {
	if _, err := output(ctx, "", "depmod", "-b", b.root, p.Release); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(b.out, "modules.cpio"))
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	c := cpio{w: w}
	c.Add(guestModules[1:], modeDir, nil)
	seen := map[string]bool{}
	for _, list := range []struct {
		path   string
		wanted []string
	}{{guestOrder, wantedModules}, {guestLater, laterModules}} {
		var order strings.Builder
		for _, wanted := range list.wanted {
			steps, err := output(ctx, "", "modprobe", "-S", p.Release, "-d", b.root, "--show-depends", wanted)
			if err != nil {
				return err
			}
			for step := range strings.Lines(steps) {
				path, ok := strings.CutPrefix(strings.TrimSpace(step), "insmod ")
				if !ok || seen[path] { // "builtin name" needs nothing
					continue
				}
				seen[path] = true
				if _, err := output(ctx, "", "strip", "--strip-debug", path); err != nil {
					return err
				}
				data, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				c.Add(guestModules[1:]+"/"+filepath.Base(path), modeFile, data)
				fmt.Fprintln(&order, filepath.Base(path))
			}
		}
		c.Add(list.path[1:], modeFile, []byte(order.String()))
	}
	if err := c.Close(); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// extractImage takes vmlinux out of vmlinuz. QEMU starts it by the PVH entry,
// which saves the seconds that unpacking takes under emulation.
func (b builder) extractImage(ctx context.Context, p packages) error {
	image, err := os.ReadFile(filepath.Join(b.root, "boot/vmlinuz-"+p.Release))
	if err != nil {
		return err
	}
	payload, err := bzImagePayload(image)
	if err != nil {
		return fmt.Errorf("vmlinuz-%s: %w", p.Release, err)
	}
	packed, vmlinux := filepath.Join(b.dir, "vmlinux.xz"), filepath.Join(b.dir, "vmlinux")
	if err := os.WriteFile(packed, payload, 0o644); err != nil {
		return err
	}
	if _, err := output(ctx, "", "xz", "-dq", packed); err != nil {
		return err
	}
	_, err = output(ctx, "", "strip", "-o", filepath.Join(b.out, "vmlinux"), vmlinux)
	return err
}

// bzImagePayload finds the xz stream in a bzImage, as the kernel's
// Documentation/x86/boot.rst describes it (protocol 2.08 and later).
func bzImagePayload(image []byte) ([]byte, error) {
	if len(image) < 0x250 || string(image[0x202:0x206]) != "HdrS" {
		return nil, errors.New("not a bzImage")
	}
	le := binary.LittleEndian
	setupSectors := int(image[0x1f1])
	if setupSectors == 0 {
		setupSectors = 4
	}
	start := (setupSectors+1)*512 + int(le.Uint32(image[0x248:]))
	end := start + int(le.Uint32(image[0x24c:])) - 4 // the unpacked size follows the stream
	if start < 0 || end > len(image) || start >= end {
		return nil, errors.New("the payload lies outside the file")
	}
	payload := image[start:end]
	if !strings.HasPrefix(string(payload[:min(len(payload), 6)]), "\xfd7zXZ\x00") {
		return nil, errors.New("the payload is not xz")
	}
	return payload, nil
}
