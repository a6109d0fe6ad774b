package image

import (
	"context"
	"errors"
	"fmt"

	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/image/debian"
)

// A firmwareFinder finds files by what is in them: their names and folders are other
// ones on other systems.
type firmwareFinder struct {
	files map[string]string // SHA-256 by name: debianFirmware
	given string            // the owner's folder; "" for none
	cache string            // what was downloaded before, by its SHA-256; "" for none
	host  string            // this computer's /lib/firmware
	// download unpacks versions of Debian's package below dir, one after the other, and
	// calls look after each, with where its files are, until that says that it was enough.
	download func(ctx context.Context, dir string, look func(dir string) (enough bool)) error
	step     func(format string, args ...any)

	useful bool // some of the files are from the given folder
}

const (
	// maxFirmware is how much of a file is read, in bytes. The largest has 650 kB.
	maxFirmware = 4 << 20
	// minBinary is less than any chip's firmware has, in bytes.
	minBinary = 100 << 10
)

// find returns the files, by name.
func (f *firmwareFinder) find(ctx context.Context) (map[string][]byte, error) {
	wanted := make(map[string]string) // name by SHA-256
	for name, sum := range f.files {
		wanted[sum] = name
	}
	found := make(map[string][]byte)
	take := func(content []byte) {
		if name, ok := wanted[digest(content)]; ok {
			found[name] = content
		}
	}
	enough := func() bool { return len(found) == len(wanted) }
	look := func(dir string) bool {
		for _, sub := range []string{"", "brcm", "cypress"} {
			entries, _ := os.ReadDir(filepath.Join(dir, sub)) // a folder that is not there has none
			for _, e := range entries {
				if !strings.HasPrefix(e.Name(), "brcmfmac") && !strings.HasPrefix(e.Name(), "cyfmac") {
					continue
				}
				if content, err := readFirmware(filepath.Join(dir, sub, e.Name())); err == nil { // else it is looked for elsewhere
					take(content)
				}
			}
		}
		return enough()
	}
	if f.given != "" {
		if info, err := os.Stat(f.given); err != nil {
			return nil, fmt.Errorf("the folder with firmware for Wi-Fi: %w", err)
		} else if !info.IsDir() {
			return nil, fmt.Errorf("%s is not a folder: give the one with the firmware for Wi-Fi", f.given)
		}
		look(f.given)
		f.useful = len(found) > 0
	}
	if f.cache != "" {
		for sum := range wanted {
			if content, err := readFirmware(filepath.Join(f.cache, sum)); err == nil { // else it is not there yet
				take(content)
			}
		}
	}
	if enough() || look(f.host) {
		return found, nil
	}
	f.step("fetching the firmware of the Wi-Fi chips, of Debian's package %s", firmwarePackage)
	dir, err := os.MkdirTemp("", "pushcam-firmware-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	switch err := f.download(ctx, dir, look); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case enough():
		if err := f.keep(found); err != nil {
			f.step("the firmware was not kept for the next image: %v", err)
		}
		return found, nil
	case err == nil:
		err = errors.New("the versions that it has are other ones")
		fallthrough
	default:
		names := slices.Sorted(maps.Keys(f.files))
		names = slices.DeleteFunc(names, func(name string) bool { return found[name] != nil })
		return nil, fmt.Errorf("there is no Wi-Fi firmware here (%s), and Debian's package %s could not be had: %w; give a folder with that package's files with -wifi-firmware, or make an image without Wi-Fi with -no-wifi",
			strings.Join(names, " "), firmwarePackage, err)
	}
}

// keep puts files into the cache, for the next image.
func (f *firmwareFinder) keep(files map[string][]byte) error {
	if f.cache == "" {
		return nil
	}
	if err := os.MkdirAll(f.cache, 0o755); err != nil {
		return err
	}
	for _, content := range files {
		// Another build may do the same at the same time.
		part, err := os.CreateTemp(f.cache, ".part-")
		if err != nil {
			return err
		}
		_, err = part.Write(content)
		if err := errors.Join(err, part.Close()); err != nil {
			os.Remove(part.Name())
			return err
		}
		if err := os.Rename(part.Name(), filepath.Join(f.cache, digest(content))); err != nil {
			return err
		}
	}
	return nil
}

// folders are the folders in which the owner's files are looked for.
func (f *firmwareFinder) folders() []string {
	return []string{f.given, filepath.Join(f.given, "brcm")}
}

// readFirmware reads a file that may be firmware, and unpacks it if its name says that
// it is packed, as some systems have it.
func readFirmware(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFirmware {
		return nil, fmt.Errorf("%s is no plain file, or has more than %d MB", path, maxFirmware>>20)
	}
	for suffix, program := range map[string]string{".xz": "xz", ".zst": "zstd"} {
		if strings.HasSuffix(path, suffix) {
			return exec.Command(program, "-dcq", path).Output()
		}
	}
	return os.ReadFile(path)
}

// firmwarePackage is Debian's.
const firmwarePackage = "firmware-brcm80211"

// downloadFirmware is what firmwareFinder does by this computer's apt-get.
func downloadFirmware(ctx context.Context, dir string, look func(dir string) (enough bool)) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("this computer has no apt-get")
	}
	apt := &debian.Apt{Dir: filepath.Join(dir, "apt"), Sources: []string{"deb trixie non-free-firmware", "deb bookworm non-free-firmware"}}
	versions, err := apt.Versions(ctx, firmwarePackage)
	if err != nil {
		return err
	}
	for i, version := range versions {
		deb, err := apt.Download(ctx, dir, firmwarePackage+"="+version)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, fmt.Sprint(i))
		if err := debian.Unpack(ctx, deb, to); err != nil {
			return err
		}
		for _, sub := range []string{"lib/firmware", "usr/lib/firmware"} { // before and since Debian 13
			if look(filepath.Join(to, sub)) {
				return nil
			}
		}
	}
	return nil
}
