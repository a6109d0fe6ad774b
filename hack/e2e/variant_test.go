//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/image"
)

const (
	instance = "gokrazy/pushcam"
	pushcam  = "github.com/pushcam/pushcam"
)

// variantRoot builds the product's root file system with some changes: change changes
// gokrazy's configuration, and replace names folders that replace Go modules. The
// result is there until all tests have ended.
func variantRoot(t *testing.T, change func(config map[string]any), replace map[string]string) (root string) {
	t.Helper()
	checkout := checkout(t)
	text, err := os.ReadFile(filepath.Join(checkout, instance, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	change(config)
	if text, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp(scratch, "")
	if err != nil {
		t.Fatal(err)
	}
	pins := filepath.Join(home, "variant/builddir")
	err = errors.Join(os.CopyFS(pins, os.DirFS(filepath.Join(checkout, instance, "builddir"))),
		os.WriteFile(filepath.Join(home, "variant/config.json"), text, 0o644))
	if err != nil {
		t.Fatal(err)
	}
	command := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = pins
		cmd.Env = append(os.Environ(), "GOWORK=off")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", strings.Join(args, " "), err)
		}
		return strings.TrimSpace(string(out))
	}
	folders := map[string]string{pushcam: checkout, pushcam + "/gokrazy/kernel": filepath.Join(checkout, "gokrazy/kernel")}
	for module, folder := range replace {
		folders[module] = folder
	}
	for module, folder := range folders {
		command("go", "mod", "edit", "-replace="+module+"="+folder)
	}
	root = filepath.Join(home, "root.squashfs")
	gok := exec.CommandContext(t.Context(), command("go", "tool", "-n", "gok"), "--parent_dir", home, "-i", "variant", "overwrite", "--root="+root)
	gok.Env = append(os.Environ(), "GOWORK=off", "GOOS=linux", "GOARCH=arm64",
		"GOFLAGS=-trimpath -buildvcs=false '-ldflags=-s -w'")
	if said, err := gok.CombinedOutput(); err != nil {
		t.Fatalf("gok: %v: %s", err, said)
	}
	return root
}

func checkout(t *testing.T) string {
	t.Helper()
	dir, err := image.FindCheckout(".")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// copyRoot writes a root file system to the partition from which the card boots.
func copyRoot(t *testing.T, root, card string) {
	t.Helper()
	text, err := os.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(card, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(text, firstRoot)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// firstRoot is where the root file system is on a card, in bytes.
const firstRoot = 104 << 20
