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

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/network/firmware"
	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

// program is the package that the image is for.
const program = "github.com/pushcam/pushcam/cmd/pushcam"

// instanceDir is gokrazy's instance, in a checkout, and configFile its
// configuration (https://gokrazy.org/userguide/instance-config).
const (
	instanceDir = "gokrazy/pushcam"
	configFile  = "config.json"
)

// instance is the committed configuration, to be varied for one image. What this
// package does not vary goes to gok as it is, also what it does not know.
type instance struct {
	config   map[string]json.RawMessage
	packages map[string]map[string]json.RawMessage // PackageConfig

	// Of the program's package:
	environment []string          // GoBuildEnvironment
	flags       []string          // GoBuildFlags
	files       map[string]string // ExtraFileContents, by path in the image

	licenses  string     // of what is in the image
	updateKey signed.Key // of whom everybody's camera takes updates; may be empty
	wifi      *wifi      // nil if it has no Wi-Fi
}

// FindCheckout looks for a checkout of pushcam in dir and above it.
func FindCheckout(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, instanceDir, configFile)); err == nil {
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
	path := filepath.Join(b.Checkout, instanceDir, configFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s is not a checkout of pushcam: %w", b.Checkout, err)
	}
	inst := new(instance)
	if err := json.Unmarshal(text, &inst.config); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := json.Unmarshal(inst.config["PackageConfig"], &inst.packages); err != nil {
		return nil, fmt.Errorf("%s: PackageConfig: %w", path, err)
	}
	ours, ok := inst.packages[program]
	if !ok {
		return nil, fmt.Errorf("%s: PackageConfig has nothing for %s", path, program)
	}
	for key, value := range map[string]any{"GoBuildEnvironment": &inst.environment, "GoBuildFlags": &inst.flags, "ExtraFileContents": &inst.files} {
		if err := json.Unmarshal(ours[key], value); err != nil && ours[key] != nil {
			return nil, fmt.Errorf("%s: %s of %s: %w", path, key, program, err)
		}
	}
	return inst, nil
}

// compiler is the C compiler that the program is built with.
func (i *instance) compiler() string {
	for _, kv := range slices.Backward(i.environment) {
		if cc, ok := strings.CutPrefix(kv, "CC="); ok {
			return cc
		}
	}
	return "cc"
}

// write makes parent the home of an instance for one image, called name. All but
// its configuration is the checkout's, in place: go.mod finds our program by a
// relative path, and the configuration may name other files so.
func (i *instance) write(parent, name, checkout string, img *Image) error {
	dir := filepath.Join(parent, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	from, err := filepath.Abs(filepath.Join(checkout, instanceDir))
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == configFile {
			continue
		}
		if err := os.Symlink(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	const ldflags = "-ldflags="
	flags := slices.Clone(i.flags)
	at := slices.IndexFunc(flags, func(f string) bool { return strings.HasPrefix(f, ldflags) })
	if at < 0 {
		return fmt.Errorf("config.json has no %s for %s", ldflags, program)
	}
	flags[at] += " -X=main.imageVersion=" + img.Version
	files := make(map[string]string)
	maps.Copy(files, i.files)
	files[partition.VersionFile] = img.Version + "\n"
	packages := varied(i.packages)
	p := varied(i.packages[program])
	p["GoBuildFlags"], p["ExtraFileContents"] = flags, files
	packages[program] = p
	config := varied(i.config)
	config["Hostname"], config["KernelPackage"], config["PackageConfig"] = img.Hostname, kernelPackages[img.Kernel], packages
	text, err := json.MarshalIndent(config, "", "    ")
	if err != nil {
		return err
	}
	// The image has its configuration as a text and not as a file of this computer:
	// gok writes the whole path of such a file, which is another one for each build,
	// into the image's list of what it is made of.
	var paths map[string]string
	if given := i.packages[program]["ExtraFilePaths"]; given != nil {
		if err := json.Unmarshal(given, &paths); err != nil {
			return fmt.Errorf("config.json: ExtraFilePaths of %s: %w", program, err)
		}
	}
	if paths[device.ConfigFile] == configFile {
		delete(paths, device.ConfigFile)
		p["ExtraFilePaths"], files[device.ConfigFile] = paths, string(text)
	}
	// Not before: they would be in the image twice.
	files[device.LicensesFile] = i.licenses
	if i.updateKey != "" {
		files[signed.RootFile] = string(signed.FormatKeys([]signed.Entry{{Key: i.updateKey}}))
	}
	if i.wifi != nil {
		if paths["/lib"] != "" {
			return fmt.Errorf("config.json: ExtraFilePaths of %s has /lib, where the files for Wi-Fi go: name the files in it, or make the image with -no-wifi", program)
		}
		if files[firmware.File], err = i.wifi.contents(); err != nil {
			return err
		}
		// As an archive, because gok writes the paths of other files of this computer
		// into the image, and knows links only in archives.
		archive, err := i.wifi.tar()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "wifi.tar"), archive, 0o644); err != nil {
			return err
		}
		extra := map[string]string{"/lib": "wifi"} // gok adds .tar
		maps.Copy(extra, paths)
		p["ExtraFilePaths"] = extra
	}
	if text, err = json.MarshalIndent(config, "", "    "); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, configFile), text, 0o644)
}

// varied is a copy whose values can be replaced by those of any type.
func varied[V any](m map[string]V) map[string]any {
	c := make(map[string]any, len(m))
	for key, value := range m {
		c[key] = value
	}
	return c
}
