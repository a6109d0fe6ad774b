package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/partition"
)

// program is the package that the image is for.
const program = "github.com/pushcam/pushcam/cmd/pushcam"

// instanceDir is gokrazy's instance, in a checkout.
const instanceDir = "gokrazy/pushcam"

// instance is the committed configuration, to be varied for one image. What this
// package does not know in it goes to gok as it is.
type instance struct {
	config  map[string]json.RawMessage
	program packageConfig
}

type packageConfig struct {
	GoBuildEnvironment []string
	GoBuildFlags       []string
	ExtraFileContents  map[string]string `json:",omitempty"` // by path in the image
}

// FindCheckout looks for a checkout of pushcam in dir and above it.
func FindCheckout(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, instanceDir, "config.json")); err == nil {
			return at, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is not in a checkout of pushcam, which an image is built from: git clone it and run this there", dir)
		}
	}
}

func (b *Builder) instance() (*instance, error) {
	path := filepath.Join(b.Checkout, instanceDir, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s is not a checkout of pushcam: %w", b.Checkout, err)
	}
	inst := new(instance)
	var packages map[string]packageConfig
	if err := json.Unmarshal(text, &inst.config); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := json.Unmarshal(inst.config["PackageConfig"], &packages); err != nil {
		return nil, fmt.Errorf("%s: PackageConfig: %w", path, err)
	}
	var ok bool
	if inst.program, ok = packages[program]; !ok || len(packages) != 1 {
		return nil, fmt.Errorf("%s: PackageConfig has to be for %s alone", path, program)
	}
	return inst, nil
}

// compiler is the C compiler that the program is built with.
func (i *instance) compiler() string {
	for _, kv := range slices.Backward(i.program.GoBuildEnvironment) {
		if cc, ok := strings.CutPrefix(kv, "CC="); ok {
			return cc
		}
	}
	return "cc"
}

// write makes parent the home of an instance for one image, called name. Its
// pins are those of the checkout, in place: go.mod finds our program by a
// relative path.
func (i *instance) write(parent, name, checkout string, img *Image) error {
	dir := filepath.Join(parent, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	pins, err := filepath.Abs(filepath.Join(checkout, instanceDir, "builddir"))
	if err != nil {
		return err
	}
	if err := os.Symlink(pins, filepath.Join(dir, "builddir")); err != nil {
		return err
	}
	p := i.program
	p.GoBuildFlags = slices.Clone(p.GoBuildFlags)
	const ldflags = "-ldflags="
	at := slices.IndexFunc(p.GoBuildFlags, func(f string) bool { return strings.HasPrefix(f, ldflags) })
	if at < 0 {
		return fmt.Errorf("config.json has no %s for %s", ldflags, program)
	}
	p.GoBuildFlags[at] += " -X=main.imageVersion=" + img.Version
	p.ExtraFileContents = maps.Clone(p.ExtraFileContents)
	if p.ExtraFileContents == nil {
		p.ExtraFileContents = make(map[string]string)
	}
	p.ExtraFileContents[partition.VersionFile] = img.Version + "\n"

	config := make(map[string]any)
	for key, value := range i.config {
		config[key] = value
	}
	config["Hostname"] = img.Hostname
	config["KernelPackage"] = kernelPackages[img.Kernel]
	config["PackageConfig"] = map[string]packageConfig{program: p}
	text, err := json.MarshalIndent(config, "", "    ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644)
}
