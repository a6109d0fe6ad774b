package partition

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

// The boot partition names the root file system in two files. A Pi's firmware reads
// cmdline.txt, and so does gokrazy's init on every machine. The boot loader of a
// machine with UEFI reads the other.
const (
	cmdlineFile = "cmdline.txt"
	loaderFile  = "loader/entries/gokrazy.conf"
)

// tryFlag has gokrazy's init go on with the other root file system, once: before it
// does, it replaces the flag by gokrazy.switch_on_boot=1. It reads the flag in
// cmdline.txt, not on the running kernel's command line (gokrazy's
// maybeSwitchToInactive).
const tryFlag = "gokrazy.try_boot_inactive=1"

// flagWord matches either of these two flags, whatever its value.
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

// Next is the root file system that the next boot takes.
type Next struct {
	Root int  // number of its partition
	Try  bool // the next boot takes the other root, and the one after it Root
}

// ReadNext reads in a boot partition what the next boot takes.
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

// SetNext writes next to a boot partition, in place: first one sector of the boot
// loader's entry, if there is one and it names another root, and then one sector of
// cmdline.txt. Both are read back. cmdline is the running kernel's command line: it
// has the UUID of the card, which an image from elsewhere has not.
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

// rewrite replaces the root= word of text by root, and adds tryFlag or removes it. The
// length stays the same: gok leaves blanks at the end as room for the flag.
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

// writeSectors replaces the bytes before by after, which are as many, at an offset
// where a sector begins. It writes only the sectors that differ. What follows in the
// last sector stays.
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
