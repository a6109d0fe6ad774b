package partition

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/fat"
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

// maxCmdline is how many bytes these files have at most: those of a cluster, in which
// gokrazy's init finds cmdline.txt in one piece whoever has written it.
const maxCmdline = 2048

// ReadNext reads in a boot partition what the next boot takes.
func ReadNext(boot io.ReaderAt) (Next, error) {
	f, err := fat.Open(boot)
	if err != nil {
		return Next{}, err
	}
	text, err := f.ReadFile(cmdlineFile, maxCmdline)
	if err != nil {
		return Next{}, err
	}
	root, err := RootPartition(string(text))
	if err != nil {
		return Next{}, fmt.Errorf("%s: %w", cmdlineFile, err)
	}
	return Next{root, bytes.Contains(text, []byte(tryFlag))}, nil
}

// initWord is what every kernel of a pushcam starts.
const initWord = "init=/gokrazy/init"

// CheckCommandLines returns an error if a boot partition would have the kernel start
// something else than gokrazy's init, or from something else than the card. It is for an
// image from elsewhere.
func CheckCommandLines(boot io.ReaderAt) error {
	f, err := fat.Open(boot)
	if err != nil {
		return err
	}
	for _, path := range []string{cmdlineFile, loaderFile} {
		text, err := f.ReadFile(path, maxCmdline)
		if path == loaderFile && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = checkCommandLine(string(text))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// checkCommandLine looks at each word. The kernel takes quotes off a word, and takes the
// byte 0xA0 for a blank (lib/cmdline.c, next_arg), so that a word could look like
// another one: gok writes neither.
func checkCommandLine(text string) error {
	if i := strings.IndexFunc(text, func(r rune) bool { return r > '~' || r < ' ' && r != '\n' || r == '"' }); i >= 0 {
		return fmt.Errorf("a kernel's command line has no %q", text[i:i+1])
	}
	count := make(map[string]int)
	for _, word := range strings.Fields(text) {
		name, _, _ := strings.Cut(word, "=")
		switch count[name]++; {
		case name == "init" && word != initWord, name == "rdinit", name == "initrd":
			return fmt.Errorf("it starts something else than a pushcam does, by %.60q", word)
		case name == "root" && rootWord.FindString(word) != word:
			return fmt.Errorf("it starts from something else than the card, by %.60q", word)
		}
	}
	for _, name := range []string{"init", "root"} {
		if count[name] != 1 {
			return fmt.Errorf("it has %s= %d times, and not once", name, count[name])
		}
	}
	return nil
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
	f, err := fat.Open(boot)
	if err != nil {
		return err
	}
	for _, path := range []string{loaderFile, cmdlineFile} {
		text, err := f.ReadFile(path, maxCmdline)
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
		if err := f.Overwrite(path, changed); err != nil {
			return err
		}
	}
	return nil
}

// padding is how many blanks gok leaves at the end of cmdline.txt, as room for tryFlag.
const padding = 64

// RestorePadding gives cmdline.txt its room for the flag back: Raspberry Pi Imager takes
// the blanks away and appends words of its own, and an editor may end the line as
// Windows does. It returns whether there was something to do. A power cut leaves the
// old file or the new one.
//
// The words stay, because they do no harm: those that are not for the kernel mean
// something to Raspberry Pi OS alone. If the line gets too long, the last ones go, since
// a kernel takes no more, and the Pi's firmware adds its own. What follows the first
// line nobody reads.
func RestorePadding(boot *fat.FS, now time.Time) (bool, error) {
	const (
		longest = maxCmdline / 2
		most    = 64 << 10 // that an editor may have made of it
	)
	text, err := boot.ReadFile(cmdlineFile, most)
	if err != nil {
		return false, err
	}
	words := bytes.TrimRight(flagWord.ReplaceAllLiteral(text, nil), " \n")
	if len(words)+len(" "+tryFlag) <= len(text) && len(words) <= longest && !bytes.ContainsAny(text, "\r\n") {
		return false, nil
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	for line = bytes.TrimSpace(line); len(line) > longest; {
		last := bytes.LastIndexByte(line, ' ')
		line = bytes.TrimSpace(line[:max(last, 0)])
	}
	if !rootWord.Match(line) {
		return false, fmt.Errorf("%s: no root=PARTUUID=…/PARTNROFF=… in %q", cmdlineFile, line)
	}
	line = append(bytes.Clone(line), strings.Repeat(" ", padding)...)
	return true, boot.WriteFile(cmdlineFile, line, now)
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
