package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const maxLinks = 40 // from one link to the next, as Linux follows them

// target is the file that a path means, which may be that of a link and need not be
// there yet. It fails for what a file cannot replace: a rename would put a file into
// the place of a device, and of a link.
func target(path string) (string, error) {
	if strings.HasSuffix(path, "/") || strings.HasSuffix(path, string(filepath.Separator)) {
		return "", fmt.Errorf("%s is a folder: give a file in it, as %s", path, filepath.Join(path, "pushcam.img"))
	}
	file := path
	for range maxLinks {
		dir, err := filepath.EvalSymlinks(filepath.Dir(file))
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("the folder %s does not exist", filepath.Dir(file))
		} else if err != nil {
			return "", err
		}
		file = filepath.Join(dir, filepath.Base(file))
		to, err := os.Readlink(file)
		if err != nil { // it is no link, or not there
			return file, writable(path, file)
		}
		if file = to; !filepath.IsAbs(to) {
			file = filepath.Join(dir, to)
		}
	}
	return "", fmt.Errorf("%s is a link that leads to itself", path)
}

// writable says why there can be no file, which the user calls path.
func writable(path, file string) error {
	info, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return isFile(path, info)
}

// isFile says what something is, if it is no plain file, and what to do.
func isFile(path string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		return fmt.Errorf("%s is a folder: give a file in it, as %s", path, filepath.Join(path, "pushcam.img"))
	case mode&fs.ModeCharDevice != 0:
		return fmt.Errorf("%s is a device: give a file, as pushcam.img", path)
	case mode&fs.ModeDevice != 0:
		return fmt.Errorf("%s is a disk: make a file, as pushcam.img, and write that to the disk with pushcamctl flash", path)
	case mode&fs.ModeNamedPipe != 0:
		return fmt.Errorf("%s is a pipe: give a file, as pushcam.img", path)
	}
	return fmt.Errorf("%s is no plain file: give one, as pushcam.img", path)
}

// replace has write fill a file beside file, which then takes its place. What was
// there stays if write fails, and nothing else is left then.
func replace(file string, write func(part string) error) error {
	part, err := filepath.Abs(file + ".part")
	if err != nil {
		return err
	}
	// What another build has left there, or somebody has put there, is not written to.
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// It is made before the build, which takes minutes, because it may not be allowed.
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("you may not write in the folder %s: give a file in another one", filepath.Dir(part))
	} else if err != nil {
		return err
	}
	defer os.Remove(part) // it is not there any more if all went well
	if err := errors.Join(f.Close(), write(part)); err != nil {
		return err
	}
	return os.Rename(part, file)
}
