package partition

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/fat"
)

// kernelFile is the kernel. It is not compressed, so its release can be read in it.
const kernelFile = "vmlinuz"

// banner is how a kernel's linux_banner begins (init/version-timestamp.c).
const banner = "Linux version "

// KernelRelease is the release of the kernel in a boot partition, as uname -r
// says it.
func KernelRelease(boot io.ReaderAt) (string, error) {
	f, err := fat.Open(boot)
	if err != nil {
		return "", err
	}
	file, err := f.File(kernelFile)
	if err != nil {
		return "", err
	}
	const maxRelease = 65 // bytes, with what ends it (uname(2))
	r := io.NewSectionReader(file, 0, file.Size())
	window := make([]byte, 0, 1<<20)
	for {
		n, err := io.ReadFull(r, window[len(window):cap(window)])
		window = window[:len(window)+n]
		for rest := window; ; {
			_, after, found := bytes.Cut(rest, []byte(banner))
			if !found {
				break
			}
			if release, _, ok := bytes.Cut(after[:min(len(after), maxRelease)], []byte(" ")); ok && isRelease(release) {
				return string(release), nil
			}
			rest = after
		}
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return "", fmt.Errorf("%s does not say which Linux it is", kernelFile)
		case err != nil:
			return "", fmt.Errorf("%s: %w", kernelFile, err)
		}
		window = append(window[:0], window[len(window)-len(banner)-maxRelease:]...)
	}
}

// isRelease tells a release from a format (%s), which follows the same words elsewhere
// in a kernel.
func isRelease(text []byte) bool {
	return len(text) > 0 && text[0] >= '1' && text[0] <= '9' && !bytes.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// FormatBoot makes a boot partition of size bytes with these files, and returns how many
// bytes of it have something in them. The files of an image are for reading only, by
// which CarryOver tells them from the owner's.
func FormatBoot(w io.WriterAt, size int64, t time.Time, files []fat.NewFile) (int64, error) {
	return fat.Format(w, size, "PUSHCAM", t, files)
}

// BootUsed is how many bytes of a boot partition, from its beginning, have something in
// them: a copy of them is all of it.
func BootUsed(boot io.ReaderAt) (int64, error) {
	f, err := fat.Open(boot)
	if err != nil {
		return 0, err
	}
	return f.Used(), nil
}

// What CarryOver takes along at most. The smallest files come first, which those are
// that have settings.
const (
	maxCarried      = 64
	maxCarriedBytes = 1 << 20
)

// CarryOver copies the owner's files from one boot partition to another one, which is to
// replace it: all files in the root folder that can be written to, as pushcam.txt. They
// replace such files of the other one, but not its files for reading only. It returns
// the names of those for which there is no room.
func CarryOver(from io.ReaderAt, to ReaderWriterAt) (left []string, err error) {
	old, err := fat.Open(from)
	if err != nil {
		return nil, err
	}
	replacing, err := fat.Open(to)
	if err != nil {
		return nil, err
	}
	theirs, err := replacing.ReadDir("")
	if err != nil {
		return nil, err
	}
	files, err := old.ReadDir("")
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(e fat.Entry) bool {
		return e.Dir || e.ReadOnly || slices.ContainsFunc(theirs, func(t fat.Entry) bool {
			return (t.ReadOnly || t.Dir) && strings.EqualFold(t.Name, e.Name)
		})
	})
	slices.SortStableFunc(files, func(a, b fat.Entry) int { return cmp.Compare(a.Size, b.Size) })
	room := int64(maxCarriedBytes)
	for i, e := range files {
		var data []byte
		err := errNoRoom
		if i < maxCarried && e.Size <= room {
			data, err = old.ReadFile(e.Name, room)
		}
		if err == nil {
			err = replacing.WriteFile(e.Name, data, e.Modified)
		}
		if err != nil {
			left = append(left, e.Name)
			continue
		}
		room -= e.Size
	}
	return left, nil
}

var errNoRoom = errors.New("there is no room")
