//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/image"
	"github.com/pushcam/pushcam/gokrazy/network/firmware"
	"github.com/pushcam/pushcam/gokrazy/network/wpa"
	"github.com/pushcam/pushcam/gokrazy/partition"
)

const (
	maxProgram  = 64 << 20 // bytes of one in the image
	maxLicenses = 8 << 20  // bytes
)

// describe writes the licences and the bill of materials of what is in dir.
func (r *release) describe(ctx context.Context, dir string, gaf, img *image.Image, tools []string) error {
	r.step("licences and bill of materials")
	a, err := partition.OpenArchive(gaf.Path)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := r.licenses(ctx, filepath.Join(dir, "LICENSES.txt"), a); err != nil {
		return fmt.Errorf("licences: %w", err)
	}
	v := newInventory()
	product := component{Type: "firmware", Ref: "pushcam", Name: "pushcam", Version: r.version, Description: "the image for a card, the image for updates, and pushcamctl", Licenses: licensed("Apache-2.0")}
	if err := v.addImage(product.Ref, a); err != nil {
		return err
	}
	if err := r.addOthers(ctx, v, product.Ref, img); err != nil {
		return err
	}
	for _, file := range tools {
		program, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := v.addProgram(product.Ref, filepath.Base(file), r.version, program); err != nil {
			return err
		}
	}
	f, err := os.Create(filepath.Join(dir, r.named(".cdx.json")))
	if err != nil {
		return err
	}
	return errors.Join(v.bom(product, img.Time).write(f), f.Close())
}

// licenses writes those of the card and of pushcamctl, each in full.
func (r *release) licenses(ctx context.Context, path string, a *partition.Archive) error {
	card, err := partition.ReadRootFile(a.Root, device.LicensesFile, maxLicenses)
	if err != nil {
		return err
	}
	b := &image.Builder{Checkout: r.checkout}
	tool, err := b.ToolLicenses(ctx)
	if err != nil {
		return err
	}
	return os.WriteFile(path, slices.Concat(card, []byte("\n\n"), []byte(tool)), 0o644)
}

// addImage adds the programs in a root file system.
func (v *inventory) addImage(user string, a *partition.Archive) error {
	for _, dir := range []string{"/user", "/gokrazy"} {
		names, err := partition.ReadRootDir(a.Root, dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			path := dir + "/" + name
			program, err := partition.ReadRootFile(a.Root, path, maxProgram)
			if err != nil {
				return err
			}
			if err := v.addProgram(user, path, a.RootInfo.Version, program); err != nil {
				return err
			}
		}
	}
	return nil
}

// bootLoader is how the licence of the boot loader names its version, and where from.
var bootLoader = regexp.MustCompile(`systemd-boot, version ([0-9.]+)`)

// addOthers adds what no Go program tells of itself: the kernel, the firmware, what is
// linked from C, and what is there for Wi-Fi.
func (r *release) addOthers(ctx context.Context, v *inventory, user string, img *image.Image) error {
	var kernel struct{ Package, Version, SHA256 string }
	text, err := os.ReadFile(filepath.Join(r.checkout, "gokrazy/kernel/build/source.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &kernel); err != nil {
		return fmt.Errorf("the kernel's source: %w", err)
	}
	v.add(user, component{Type: "operating-system", Name: "linux", Version: kernel.Version, Description: "built of Debian's " + kernel.Package + " with the patches in gokrazy/kernel/build",
		PURL: debianPURL("linux", kernel.Version), Licenses: licensed("GPL-2.0-only")})

	modules, err := r.output(ctx, "go", "-C", "gokrazy/pushcam/builddir", "list", "-m", "-f", "{{.Path}} {{.Version}}", firmwareModules[0], firmwareModules[1])
	if err != nil {
		return fmt.Errorf("the firmware: %w", err)
	}
	for line := range strings.Lines(modules) {
		path, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		v.add(user, component{Type: "firmware", Name: path, Version: version, Description: "boot firmware of the Raspberry Pi", PURL: modulePURL(path, version),
			Licenses: licensedAs("Broadcom's and Raspberry Pi's: for use with a Raspberry Pi")})
	}

	text, err = os.ReadFile(filepath.Join(r.checkout, "gokrazy/pushcam/licenses/LGPL-2.1.txt"))
	if err != nil {
		return err
	}
	version := bootLoader.FindSubmatch(text)
	if version == nil {
		return errors.New("the boot loader's licence does not say its version any more")
	}
	v.add(user, component{Type: "application", Name: "systemd-boot", Version: string(version[1]), Description: "boot loader for UEFI", Licenses: licensed("LGPL-2.1-or-later")})
	libc := component{Type: "library", Name: "glibc", Description: "linked into /user/pushcam", Licenses: licensed("LGPL-2.1-or-later")}
	// Elsewhere than on Debian its version is not known so.
	if v, err := r.output(ctx, "dpkg-query", "-W", "-f", "${Version}", "libc6-dev-arm64-cross"); err == nil {
		libc.Version, libc.PURL = v, debianPURL("libc6-dev-arm64-cross", v)
	}
	v.add("application:/user/pushcam", libc)
	return r.addWiFi(v, user, img.WiFi)
}

// addWiFi adds the files that are there for the radio.
func (r *release) addWiFi(v *inventory, user string, has *firmware.Contents) error {
	if has == nil {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(r.checkout, wpa.Dir, "build/source.json"))
	if err != nil {
		return err
	}
	var source struct {
		Fetched map[string]struct{ Version string } // by Debian's package
	}
	if err := json.Unmarshal(text, &source); err != nil {
		return fmt.Errorf("the supplicant's source: %w", err)
	}
	for _, name := range []string{"wpa", "libnl-3-dev", "wireless-regdb"} {
		if source.Fetched[name].Version == "" {
			return fmt.Errorf("the supplicant's source names no version of %s", name)
		}
	}
	debian := func(name string) (version, purl string) {
		version = source.Fetched[name].Version
		return version, debianPURL(name, version)
	}
	for path, sum := range has.SHA256 {
		c := component{Type: "firmware", Name: path, Description: "for the radio's chip", Licenses: licensedAs("Cypress's: for use with its chips")}
		switch {
		case path == wpa.Path:
			c = component{Type: "application", Name: path, Description: "wpa_supplicant, with libnl and glibc linked into it", Licenses: licensed("BSD-3-Clause")}
			c.Version, c.PURL = debian("wpa")
			libnl := component{Type: "library", Name: "libnl", Description: "linked into " + path, Licenses: licensed("LGPL-2.1-only")}
			libnl.Version, libnl.PURL = debian("libnl-3-dev")
			v.add(c.PURL, libnl)
		case path == wpa.RegulatoryDB || path == wpa.RegulatorySignature:
			c = component{Type: "data", Name: path, Description: "what each country allows, of Debian's wireless-regdb", Licenses: licensed("ISC")}
			c.Version, _ = debian("wireless-regdb") // not its purl, which names one of the two files only
		case strings.HasSuffix(path, ".txt"):
			c.Licenses = licensed("GPL-2.0-only")
		}
		c.Hashes = []hash{{"SHA-256", sum}}
		v.add(user, c)
	}
	return nil
}

var firmwareModules = [2]string{"github.com/gokrazy/firmware", "github.com/gokrazy/rpi-eeprom"}

// debianPURL names a package of Debian's.
func debianPURL(name, version string) string {
	return "pkg:deb/debian/" + name + "@" + strings.NewReplacer("+", "%2B", ":", "%3A").Replace(version)
}
