package partition

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
	"unicode"
)

const (
	// VersionFile is where a root file system says its version.
	VersionFile = "/etc/pushcam-version"

	initFile    = "gokrazy/init"
	programFile = "user/pushcam"
	nameFile    = "etc/hostname"
	moduleDir   = "lib/modules"

	maxText = 256 // bytes of a file with one word
)

// Root is what a root file system says of itself.
type Root struct {
	Version  string    `json:"version"`  // "" if it does not say
	Hostname string    `json:"hostname"` // "" if it does not say
	Built    time.Time `json:"built"`    // the time of its commit
	Arch     string    `json:"arch"`     // of its init, as GOARCH
	Kernels  []string  `json:"kernels"`  // releases that it has modules for
	Size     int64     `json:"size"`     // bytes
}

// InspectRoot looks into a root file system of at most size bytes. It fails if that
// could not start or is not a pushcam's.
func InspectRoot(r io.ReaderAt, size int64) (*Root, error) {
	s, err := openSquashfs(r)
	if err != nil {
		return nil, err
	}
	if s.sb.BytesUsed > size {
		return nil, fmt.Errorf("it is cut off: %d of %d bytes are there", size, s.sb.BytesUsed)
	}
	root := &Root{Built: time.Unix(int64(s.sb.MkfsTime), 0).UTC(), Size: s.sb.BytesUsed}
	if root.Arch, err = s.arch(initFile); err != nil {
		return nil, err
	}
	if arch, err := s.arch(programFile); err != nil {
		return nil, err
	} else if arch != root.Arch {
		return nil, fmt.Errorf("its init is for %s and its program for %s", root.Arch, arch)
	}
	if root.Version, err = s.text(VersionFile[1:]); err != nil {
		return nil, err
	}
	if root.Hostname, err = s.text(nameFile); err != nil {
		return nil, err
	}
	if root.Kernels, err = s.names(moduleDir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return root, nil
}

// ReadRootFile returns a file of a root file system. A larger one than limit, in bytes,
// is an error.
func ReadRootFile(r io.ReaderAt, path string, limit int) ([]byte, error) {
	s, err := openSquashfs(r)
	if err != nil {
		return nil, err
	}
	b, err := s.read(strings.TrimPrefix(path, "/"), limit+1)
	if err == nil && len(b) > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return b, err
}

// ReadRootDir returns the names in a folder of a root file system.
func ReadRootDir(r io.ReaderAt, path string) ([]string, error) {
	s, err := openSquashfs(r)
	if err != nil {
		return nil, err
	}
	return s.names(strings.TrimPrefix(path, "/"))
}

// text returns the one word in a file, or "" if there is no such file.
func (s *squashfs) text(path string) (string, error) {
	b, err := s.read(path, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	word := strings.TrimSpace(string(b))
	if strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return "", fmt.Errorf("%s: not a word", path)
	}
	return word, err
}

// arch is what a program was compiled for.
func (s *squashfs) arch(path string) (string, error) {
	const header = 20 // bytes of an ELF header, up to e_machine
	b, err := s.read(path, header)
	if err != nil {
		return "", err
	}
	if len(b) < header || !bytes.HasPrefix(b, []byte("\x7fELF")) {
		return "", fmt.Errorf("%s: not a program", path)
	}
	machine := binary.LittleEndian.Uint16(b[18:])
	known := map[uint16]string{3: "386", 40: "arm", 62: "amd64", 183: "arm64", 243: "riscv64"} // elf.h, EM_…
	if arch, ok := known[machine]; ok {
		return arch, nil
	}
	return "", fmt.Errorf("%s: for a processor that is not known (%d)", path, machine)
}
