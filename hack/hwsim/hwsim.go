// Package hwsim has simulated radios for tests: the kernel's mac80211_hwsim and what it
// needs, as modules for gokrazy/kernel, which has none of them. They are committed in this
// folder, so that tests need no build of a kernel; hack/kernel builds and compares them.
package hwsim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Dir is this folder in a checkout.
const Dir = "hack/hwsim"

// Module is the one to load, after which there are wlan0, wlan1 and so on, as many as
// its parameter radios says (2 without it).
const Module = "mac80211_hwsim"

// Modules are the names of all, in the order in which they are to be loaded, by their
// paths in the kernel's source; cfg80211, which gokrazy/kernel has, goes before mac80211.
// The ciphers are loaded before they are asked for, because an image has no modprobe.
func Modules() []string {
	return []string{
		"lib/crypto/libarc4", "lib/crypto/libaes", "lib/crypto/gf128mul",
		"crypto/crypto_null", "crypto/aes_generic", "crypto/ctr", "crypto/ccm", "crypto/ghash-generic", "crypto/gcm", "crypto/cmac",
		"net/mac80211/mac80211", "drivers/net/wireless/virtual/mac80211_hwsim",
	}
}

// Add puts the modules into a copy of gokrazy/kernel, so that device.Modules loads all
// of them with Module.
func Add(checkout, kernel string) error {
	releases, err := filepath.Glob(filepath.Join(kernel, "lib/modules/*"))
	if err != nil {
		return err
	}
	if len(releases) != 1 {
		return fmt.Errorf("%s has modules of %d kernels, not one", kernel, len(releases))
	}
	index := filepath.Join(releases[0], "modules.dep")
	known, err := os.ReadFile(index)
	if err != nil {
		return err
	}
	const wireless = "kernel/net/wireless/cfg80211.ko"
	if !strings.Contains(string(known), wireless+":") {
		return fmt.Errorf("%s does not have %s", index, wireless)
	}
	order := []string{wireless}
	for _, m := range Modules() {
		to := "kernel/" + m + ".ko"
		content, err := os.ReadFile(filepath.Join(checkout, Dir, filepath.Base(to)))
		if err != nil {
			return err
		}
		path := filepath.Join(releases[0], to)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)); err != nil {
			return err
		}
		order = append(order, to)
	}
	// The last that a line names is loaded first.
	slices.Reverse(order)
	line := order[0] + ": " + strings.Join(order[1:], " ") + "\n"
	return os.WriteFile(index, append(known, line...), 0o644)
}
