// Package durable keeps files over power cuts: what is read later is the old
// content or the new one, each whole.
//
// github.com/google/renameio/v2 does not serve: it does not build for Windows, and
// it does not sync the folder, so a power cut may bring the old file back after the
// program has begun to rely on the new one.
package durable

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// partSuffix is what a file's name ends with while it is written. It is always the
// same, so what a power cut leaves is overwritten by the next attempt, and does not
// fill the disk with one file for each.
const partSuffix = ".part"

// NoRoomError says that a file does not fit on its disk.
type NoRoomError struct {
	Dir        string
	Need, Free int64 // bytes
}

func (e *NoRoomError) Error() string {
	return fmt.Sprintf("there is not enough room in %s: %s are needed and %s are free", e.Dir, amount(e.Need), amount(e.Free))
}

// amount is a number of bytes for people; a small file is not 0.0 MB.
func amount(bytes int64) string {
	if bytes < 100_000 {
		return fmt.Sprintf("%.1f kB", float64(bytes)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
}

// Unwrap makes the error that of a full disk.
func (e *NoRoomError) Unwrap() error { return syscall.ENOSPC }

// CheckRoom returns a NoRoomError unless size bytes can be written in dir.
func CheckRoom(dir string, size int64) error {
	free, err := Free(dir)
	if err != nil {
		return err
	}
	if free < size {
		return &NoRoomError{Dir: dir, Need: size, Free: free}
	}
	return nil
}

// A File is written beside its place, and takes that place in Commit.
type File struct {
	*os.File
	path string
	size int64
	info fs.FileInfo // by which it is told from another one of that name
	done bool        // it has its name
}

// errTaken is of a file that somebody else has begun anew.
var errTaken = errors.New("another program has begun to write it meanwhile")

// Create begins a file of size bytes at path, and its folder if there is none. It
// fails at once if there is no room for it. Only its owner can read the file.
// Discard must be called in the end.
func Create(path string, size int64) (*File, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	// Another program may be writing the same file: it keeps its own.
	if err := os.Remove(path + partSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := CheckRoom(dir, size); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path+partSuffix, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &File{File: f, path: path, size: size, info: info}, nil
}

// isThere tells whether the file is there still. It must be open, so that nothing else can
// be taken for it.
func (f *File) isThere() bool {
	info, err := os.Lstat(f.Name())
	return err == nil && os.SameFile(info, f.info)
}

// Write appends to the file. The error of a disk that is full says so with figures.
func (f *File) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if errors.Is(err, syscall.ENOSPC) {
		dir := filepath.Dir(f.path)
		if free, e := Free(dir); e == nil {
			err = &NoRoomError{Dir: dir, Need: f.size, Free: free}
		}
	}
	return n, err
}

// Commit gives the file its name. When it returns nil, the file and its name last
// over a power cut. If another program has begun the same file meanwhile, that one's counts.
func (f *File) Commit() error {
	err := f.Sync()
	if err == nil && !f.isThere() {
		err = fmt.Errorf("%s: %w", f.path, errTaken)
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), f.path); err != nil {
		return err
	}
	f.done = true
	return syncDir(filepath.Dir(f.path))
}

// Discard closes the file and removes it. After Commit it does nothing.
func (f *File) Discard() {
	if !f.done {
		ours := f.isThere()
		f.Close()
		if ours {
			os.Remove(f.Name())
		}
	}
}

// Remove removes a file, and what an attempt to write it has left. It is no error if there
// is neither.
func Remove(path string) error {
	var all error
	for _, p := range []string{path, path + partSuffix} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = errors.Join(all, err)
		}
	}
	return all
}

// WriteFile replaces a file.
func WriteFile(path string, data []byte) error {
	f, err := Create(path, int64(len(data)))
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Commit()
}

// WriteJSON replaces a file by v as JSON that people can read.
func WriteJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(path, append(data, '\n'))
}

// ReadFile reads a file of at most limit bytes. A larger one, and what is no plain
// file, is an error: somebody else put it there.
func ReadFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path) // before it is opened: to open a pipe would wait
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no plain file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return data, nil
}

// syncDir has the names in a folder last over a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrPermission) {
		err = nil // Windows knows no such thing
	}
	return errors.Join(err, d.Close())
}
