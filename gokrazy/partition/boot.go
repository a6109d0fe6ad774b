package partition

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// kernelFile is the kernel. It is not compressed, so its release can be read in it.
const kernelFile = "vmlinuz"

// banner is how a kernel's linux_banner begins (init/version-timestamp.c).
const banner = "Linux version "

// KernelRelease is the release of the kernel in a boot partition, as uname -r
// says it.
func KernelRelease(boot io.ReaderAt) (string, error) {
	f, err := openFAT(boot)
	if err != nil {
		return "", err
	}
	at, err := f.find(kernelFile)
	if err != nil {
		return "", err
	}
	const maxRelease = 65 // bytes, with what ends it (uname(2))
	r := io.NewSectionReader(boot, at.offset, at.size)
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

// RemoveFile takes a file out of a boot partition, by its path as EFI/BOOT/BOOTX64.EFI,
// and its content too. If there is none, nothing is changed.
func RemoveFile(boot ReaderWriterAt, path string) error {
	f, err := openFAT(boot)
	if err != nil {
		return err
	}
	file, entry, err := f.findEntry(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	clusters := (file.size + f.cluster - 1) / f.cluster
	first := (file.offset-f.data)/f.cluster + 2
	table := make([]byte, 2*clusters)
	if n, err := boot.ReadAt(table, f.table+2*first); n < len(table) {
		return fmt.Errorf("%s: %w", path, err)
	}
	const endOfFile = 0xFFF8 // and all above
	for i := range clusters {
		next := int64(binary.LittleEndian.Uint16(table[2*i:]))
		if last := i == clusters-1; last && next < endOfFile || !last && next != first+i+1 {
			return fmt.Errorf("%s: it is not in one piece, as gok writes files", path)
		}
	}
	if _, err := boot.WriteAt(make([]byte, len(table)), f.table+2*first); err != nil {
		return err
	}
	for i := range clusters {
		if _, err := boot.WriteAt(make([]byte, f.cluster), file.offset+i*f.cluster); err != nil {
			return err
		}
	}
	for at := entry.at; at < entry.end; at += dirEntrySize {
		if _, err := boot.WriteAt([]byte{unused}, at); err != nil {
			return err
		}
	}
	return nil
}

// BootSize is how many bytes of a boot partition its file system has.
func BootSize(boot io.ReaderAt) (int64, error) {
	f, err := openFAT(boot)
	if err != nil {
		return 0, err
	}
	return f.size, nil
}
