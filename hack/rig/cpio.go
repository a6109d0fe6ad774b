//go:build linux

package main

import (
	"fmt"
	"io"
)

// A cpio writes an initramfs in the "newc" format, which is what the kernel
// unpacks (Documentation/driver-api/early-userspace/buffer-format.rst). Several
// archives may follow each other in one file.
type cpio struct {
	w   io.Writer
	ino int
	err error
}

const (
	modeDir  = 0o040755
	modeFile = 0o100644
	modeExec = 0o100755
)

// Add writes one file. Only the first error is kept; Close returns it.
func (c *cpio) Add(name string, mode int, data []byte) {
	c.ino++
	c.add(name, mode, c.ino, data)
}

// Close ends the archive.
func (c *cpio) Close() error {
	c.add("TRAILER!!!", 0, 0, nil)
	return c.err
}

func (c *cpio) add(name string, mode, ino int, data []byte) {
	if c.err != nil {
		return
	}
	header := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	for _, part := range [][]byte{[]byte(header), data} {
		if _, c.err = c.w.Write(part); c.err != nil {
			return
		}
		if _, c.err = c.w.Write(make([]byte, -len(part)&3)); c.err != nil {
			return
		}
	}
}
