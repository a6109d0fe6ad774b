package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/durable"
)

// space is what a build needs in bytes, generously: the image is sparse, and of
// its 2 GiB 120 MB are written.
const space = 512 << 20

// checkTools looks for the programs that a build needs and returns where
// mkfs.ext4 is, if that is one of them. Its error names all that are missing.
func checkTools(ctx context.Context, compiler string, needMkfs bool) (mkfs string, err error) {
	var missing, packages []string
	lacks := func(what string, debian ...string) {
		missing = append(missing, what)
		packages = append(packages, debian...)
	}
	if _, err := exec.LookPath("go"); err != nil {
		return "", errors.New("the go command is not installed, or not in PATH")
	}
	if _, err := exec.LookPath(compiler); err != nil {
		lacks("the compiler "+compiler, "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross")
	} else if out, err := exec.CommandContext(ctx, compiler, "-print-file-name=libc.a").Output(); err != nil || !filepath.IsAbs(strings.TrimSpace(string(out))) {
		// A compiler that has no such file prints the bare name.
		lacks("the C library for "+compiler, "libc6-dev-arm64-cross")
	}
	if needMkfs {
		if mkfs, err = lookSbin("mkfs.ext4"); err != nil {
			lacks("mkfs.ext4", "e2fsprogs")
		}
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("%s: not found here; install what is missing, on Debian with: sudo apt-get install %s",
			strings.Join(missing, ", "), strings.Join(packages, " "))
	}
	return mkfs, nil
}

// lookSbin finds a program of the system's, which Debian does not put into the
// PATH of users.
func lookSbin(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, e := exec.LookPath(filepath.Join(dir, name)); e == nil {
			return path, nil
		}
	}
	return "", err
}

// checkSpace says which of the folders does not have room for a build.
func checkSpace(dirs ...string) error {
	for _, dir := range dirs {
		if info, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the folder %s does not exist", dir)
		} else if err != nil {
			return err
		} else if !info.IsDir() {
			return fmt.Errorf("%s is not a folder", dir)
		}
		free, err := durable.Free(dir)
		if err != nil {
			return err
		}
		if free < space {
			return fmt.Errorf("%s has %d MB left, and a build needs %d MB: make room, or use another folder", dir, free>>20, space>>20)
		}
	}
	return nil
}
