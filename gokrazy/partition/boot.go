package partition

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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

// BootSize is how many bytes of a boot partition its file system has.
func BootSize(boot io.ReaderAt) (int64, error) {
	f, err := openFAT(boot)
	if err != nil {
		return 0, err
	}
	return f.size, nil
}
