//go:build linux

package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pushcam/pushcam/hack/hwsim"
	"github.com/pushcam/pushcam/hack/rebuild"
)

// hwsimFiles are those in a checkout that packHwsim makes.
var hwsimFiles = rebuild.Files{hwsim.Dir + "/*.ko", hwsim.Dir + "/COPYING"}

// hwsimOptions are those of the kernel's configuration that make the modules. Not VETH:
// it changes struct sk_buff, so that the modules would not fit the kernel.
const hwsimOptions = "CONFIG_MAC80211=m\nCONFIG_MAC80211_HWSIM=m\n"

// packHwsim builds the modules of the simulated radios for the committed configuration,
// in a minute: they do not need the kernel itself to be built.
func (b *builder) packHwsim(maker maker) error {
	dir := filepath.Join(b.dir, "hwsim")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.MkdirAll(filepath.Join(b.result(), hwsim.Dir), 0o755)); err != nil {
		return err
	}
	fragment, err := os.ReadFile(filepath.Join(b.checkout, recipeDir, "pushcam.config"))
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "pushcam-hwsim.config")
	if err := os.WriteFile(config, append(fragment, hwsimOptions...), 0o644); err != nil {
		return err
	}
	run := func(args ...string) error {
		// The kernel's symbols are not known without its build. A missing one fails when
		// the module is loaded.
		return maker(append([]string{"O=" + dir, "KBUILD_MODPOST_WARN=1"}, args...)...)
	}
	if err := run("KCONFIG_ALLCONFIG="+config, "alldefconfig"); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	if err := sameKernel(filepath.Join(dir, ".config"), filepath.Join(b.checkout, recipeDir, "config")); err != nil {
		return err
	}
	if err := run("modules_prepare"); err != nil {
		return err
	}
	var folders []string // in this order, as one's modules need those of the one before
	for _, m := range hwsim.Modules() {
		if dir := path.Dir(m); !slices.Contains(folders, dir) {
			folders = append(folders, dir)
		}
	}
	for _, folder := range folders {
		if err := run("M="+filepath.Join(b.tree(), folder), "modules"); err != nil {
			return err
		}
	}
	for _, m := range hwsim.Modules() {
		to := filepath.Join(b.result(), hwsim.Dir, path.Base(m)+".ko")
		if err := rebuild.Run(exec.Command("aarch64-linux-gnu-strip", "--strip-debug", "-o", to, filepath.Join(b.tree(), m+".ko"))); err != nil {
			return err
		}
	}
	return rebuild.CopyFile(filepath.Join(b.tree(), "LICENSES/preferred/GPL-2.0"), filepath.Join(b.result(), hwsim.Dir, "COPYING"))
}

// sameKernel returns an error if a configuration builds something else into the kernel
// than the committed one: its modules would not fit.
func sameKernel(config, committed string) error {
	now, err := readConfig(config)
	if err != nil {
		return err
	}
	before, err := readConfig(committed)
	if err != nil {
		return err
	}
	all := maps.Clone(now)
	maps.Copy(all, before)
	for name := range all {
		if strings.HasPrefix(name, "CONFIG_MAC80211_") {
			continue // options of the module itself
		}
		if a, b := now[name], before[name]; a != b && (a == "y" || b == "y") {
			return fmt.Errorf("the modules would not fit the kernel: %s is %q, and %q in the kernel's configuration", name, a, b)
		}
	}
	return nil
}
