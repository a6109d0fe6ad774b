package image

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// System knows this computer's disks. The zero value is ready.
type System struct {
	// Root is where /dev, /sys and /proc are looked for: an absolute path, below
	// which a plain file stands for a device. Empty means "/".
	Root string
}

// Disk finds a disk by its path, a link to it included, and refuses what an image
// must not be written to: what is no whole disk, and what this computer uses.
func (s *System) Disk(path string) (*Disk, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	node, err := filepath.EvalSymlinks(s.path(absolute))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s; is the card in its reader?", path)
	} else if err != nil {
		return nil, err
	}
	info, err := os.Stat(node)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(node)
	class := s.path("sys/class/block", name)
	if _, err := os.Stat(class); !s.block(info) || err != nil {
		return nil, fmt.Errorf("%s is not a disk", path)
	}
	if parent, ok := s.wholeDisk(class); ok {
		return nil, fmt.Errorf("%s is a partition: an image takes the whole disk, /dev/%s", path, parent)
	}
	if s.has(class, "dm") || s.has(class, "md") {
		return nil, fmt.Errorf("%s is put together from other disks: it is not a card", path)
	}
	if err := s.inUse(path, class); err != nil {
		return nil, err
	}
	sectors, err := strconv.ParseInt(s.attribute(class, "size"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("size of %s: %w", path, err)
	}
	return &Disk{
		Path:     path,
		node:     node,
		Model:    strings.Join(strings.Fields(s.attribute(class, "device/vendor")+" "+s.attribute(class, "device/model")+" "+s.attribute(class, "device/name")), " "),
		Size:     sectors * sectorSize, // sysfs counts in these, whatever the disk's own are
		ReadOnly: s.attribute(class, "ro") == "1",
	}, nil
}

// Candidates are the disks that may be the card that is meant: those that can be
// taken out, and that this computer does not use.
func (s *System) Candidates() []*Disk {
	names, err := os.ReadDir(s.path("sys/class/block"))
	if err != nil {
		return nil // then there is nothing to offer
	}
	var all []*Disk
	for _, n := range names {
		class := s.path("sys/class/block", n.Name())
		// The kernel calls card readers on USB removable, but not slots on the
		// board, whose cards are called mmcblk.
		if s.attribute(class, "removable") != "1" && s.attribute(class, "device/type") != "SD" {
			continue
		}
		if d, err := s.Disk("/dev/" + n.Name()); err == nil && d.fits(MinSize, false) == nil {
			all = append(all, d)
		}
	}
	return all
}

// wholeDisk is the name of the disk that a partition is on.
func (s *System) wholeDisk(class string) (string, bool) {
	if !s.has(class, "partition") {
		return "", false
	}
	real, err := filepath.EvalSymlinks(class)
	if err != nil {
		return "", false
	}
	return filepath.Base(filepath.Dir(real)), true
}

// inUse says what this computer does with the disk or a partition of it.
func (s *System) inUse(path, class string) error {
	parts, err := s.parts(class)
	if err != nil {
		return err
	}
	for name, dir := range parts {
		holders, err := os.ReadDir(filepath.Join(dir, "holders"))
		if err == nil && len(holders) > 0 {
			return fmt.Errorf("%s is in use: /dev/%s is part of %s (encryption, LVM or RAID)", path, name, holders[0].Name())
		}
	}
	numbers := make(map[string]bool) // major:minor
	for _, dir := range parts {
		numbers[s.attribute(dir, "dev")] = true
	}
	mounts, err := s.mounts()
	if err != nil {
		return err
	}
	var at []string
	for _, m := range mounts {
		// Btrfs makes up its device numbers, so there only the source tells the
		// disk.
		_, ours := parts[filepath.Base(m.source)]
		if numbers[m.device] || ours && strings.HasPrefix(m.source, "/dev/") {
			at = append(at, m.point)
		}
	}
	switch {
	case slices.ContainsFunc(at, isSystem):
		return fmt.Errorf("this computer runs from %s: it is the wrong disk", path)
	case len(at) > 0:
		return fmt.Errorf("%s is mounted at %s: unmount it first, with: sudo umount %s", path, strings.Join(at, " and "), Quote(at...))
	}
	swaps, err := s.lines("proc/swaps")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, line := range swaps {
		file, _, _ := strings.Cut(line, " ")
		if _, ours := parts[filepath.Base(file)]; ours && strings.HasPrefix(file, "/dev/") {
			return fmt.Errorf("this computer swaps to %s: it is the wrong disk", file)
		}
	}
	return nil
}

// isSystem is where a running system is mounted, or what it was started from.
func isSystem(point string) bool {
	switch point {
	case "/", "/boot", "/boot/efi", "/boot/firmware", "/efi", "/usr", "/var", "/home", "/nix", "/run/live/medium", "/cdrom":
		return true
	}
	return false
}

// parts are the folders in /sys of a disk and its partitions, by name.
func (s *System) parts(class string) (map[string]string, error) {
	parts := map[string]string{filepath.Base(class): class}
	entries, err := os.ReadDir(class + "/.") // class is a link
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if dir := filepath.Join(class, e.Name()); e.IsDir() && s.has(dir, "partition") {
			parts[e.Name()] = dir
		}
	}
	return parts, nil
}

type mount struct{ device, point, source string }

// mounts reads /proc/self/mountinfo (proc(5)).
func (s *System) mounts() ([]mount, error) {
	lines, err := s.lines("proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("what is mounted: %w", err)
	}
	var all []mount
	for _, line := range lines {
		before, after, _ := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if len(left) < 5 || len(right) < 2 {
			return nil, fmt.Errorf("what is mounted: cannot read %q", line)
		}
		all = append(all, mount{device: left[2], point: unescape(left[4]), source: unescape(right[1])})
	}
	return all, nil
}

// unescape undoes what the kernel does to blanks in paths.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

func (s *System) lines(path string) ([]string, error) {
	f, err := os.Open(s.path(path))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		all = append(all, lines.Text())
	}
	return all, lines.Err()
}

func (s *System) attribute(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (s *System) has(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

func (s *System) block(info fs.FileInfo) bool {
	if s.Root != "" && info.Mode().IsRegular() {
		return true
	}
	return info.Mode()&(fs.ModeDevice|fs.ModeCharDevice) == fs.ModeDevice
}

// path is a path in the system whose root folder is Root.
func (s *System) path(elem ...string) string {
	return filepath.Join("/", s.Root, filepath.Join(elem...))
}
