package partition

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

// The boot partition names the root file system in two places: cmdline.txt is
// read by a Pi's firmware, and by gokrazy's init whatever machine it is; the
// other by an UEFI's boot loader.
const (
	cmdlineFile = "cmdline.txt"
	loaderFile  = "loader/entries/gokrazy.conf"
)

// tryFlag has gokrazy's init go on with the other root file system, once: it
// replaces the flag by gokrazy.switch_on_boot=1 first. It reads the flag in
// cmdline.txt, not on the running kernel's command line (its
// maybeSwitchToInactive).
const tryFlag = "gokrazy.try_boot_inactive=1"

// flagWord is either, whatever value somebody gave it.
var flagWord = regexp.MustCompile(`(?:^| )gokrazy\.(?:try_boot_inactive|switch_on_boot)=[^ \n]*`)

// rootWord is how gok names a root partition: by its distance from the boot
// partition, which has the UUID.
var rootWord = regexp.MustCompile(`\broot=PARTUUID=[0-9a-fA-F-]+/PARTNROFF=([12])\b`)

// RootPartition is the number of the root partition that a kernel command line
// names.
func RootPartition(cmdline string) (int, error) {
	m := rootWord.FindStringSubmatch(cmdline)
	if m == nil {
		return 0, fmt.Errorf("no root=PARTUUID=…/PARTNROFF=… in %q", strings.TrimSpace(cmdline))
	}
	return BootPartition + int(m[1][0]-'0'), nil
}

// Next is what the next boot takes.
type Next struct {
	Root int  // number of the partition
	Try  bool // only once, the other root: after that it is Root again
}

// ReadNext reads it in a boot partition.
func ReadNext(boot interface {
	ReadAt([]byte, int64) (int, error)
}) (Next, error) {
	f, err := openFAT(boot)
	if err != nil {
		return Next{}, err
	}
	_, text, err := f.read(cmdlineFile)
	if err != nil {
		return Next{}, err
	}
	root, err := RootPartition(string(text))
	if err != nil {
		return Next{}, fmt.Errorf("%s: %w", cmdlineFile, err)
	}
	return Next{root, bytes.Contains(text, []byte(tryFlag))}, nil
}

// SetNext writes it to a boot partition, in place: one sector of cmdline.txt and,
// before, one of the boot loader's entry where that names another root. Each is
// read back. cmdline is the running kernel's command line, whose UUID is the
// card's.
func SetNext(boot ReaderWriterAt, next Next, cmdline string) error {
	root := rootWord.FindString(cmdline)
	if root == "" {
		return fmt.Errorf("no root=PARTUUID=…/PARTNROFF=… in %q", strings.TrimSpace(cmdline))
	}
	root = root[:len(root)-1] + fmt.Sprint(next.Root-BootPartition)
	f, err := openFAT(boot)
	if err != nil {
		return err
	}
	for _, path := range []string{loaderFile, cmdlineFile} {
		at, text, err := f.read(path)
		if path == loaderFile && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		changed, err := rewrite(text, root, next.Try && path == cmdlineFile)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := writeSectors(boot, at.offset, text, changed); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// rewrite gives text the word root and the flag, or takes that away. Its length
// stays: gok leaves room for this, as blanks at the end.
func rewrite(text []byte, root string, try bool) ([]byte, error) {
	if !rootWord.Match(text) {
		return nil, fmt.Errorf("no root=PARTUUID=…/PARTNROFF=… in %q", bytes.TrimSpace(text))
	}
	line := flagWord.ReplaceAllLiteral(text, nil)
	line = rootWord.ReplaceAllLiteral(line, []byte(root))
	trimmed := bytes.TrimRight(line, " \n")
	end := ""
	if bytes.HasSuffix(text, []byte("\n")) {
		end = "\n"
	}
	if try {
		trimmed = append(trimmed, " "+tryFlag...)
	}
	room := len(text) - len(trimmed) - len(end)
	if room < 0 {
		return nil, fmt.Errorf("%d bytes do not fit into %d", len(trimmed)+len(end), len(text))
	}
	return append(append(trimmed, bytes.Repeat([]byte{' '}, room)...), end...), nil
}

// writeSectors replaces what is at an offset, which begins a sector, and touches
// those sectors only that differ. What follows it in the last sector stays.
func writeSectors(w ReaderWriterAt, offset int64, before, after []byte) error {
	for at := 0; at < len(after); at += sectorSize {
		end := min(at+sectorSize, len(after))
		if bytes.Equal(before[at:end], after[at:end]) {
			continue
		}
		sector := make([]byte, sectorSize)
		if n, err := w.ReadAt(sector, offset+int64(at)); n < len(sector) {
			return err
		}
		copy(sector, after[at:end])
		if _, err := w.WriteAt(sector, offset+int64(at)); err != nil {
			return err
		}
		back := make([]byte, sectorSize)
		if n, err := w.ReadAt(back, offset+int64(at)); n < len(back) {
			return err
		}
		if !bytes.Equal(back, sector) {
			return errors.New("what was written is not what is read: the card is worn out")
		}
	}
	return nil
}
