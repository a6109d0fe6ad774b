//go:build linux

package main

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const hugePages = "/sys/kernel/mm/transparent_hugepage"

// useLargePages has the kernel give memory in large pages where it can, until restore is
// called. A browser takes some megabytes anew for each picture. On a virtual machine whose
// page faults go to its host, one was seen to take 18 µs, nearly a hundred times of what it
// takes elsewhere, and they were most of a picture's age.
func useLargePages() (restore func() error, err error) {
	files, err := filepath.Glob(hugePages + "/hugepages-*kB/*enabled") // Documentation/admin-guide/mm/transhuge.rst
	if err != nil {
		return nil, err
	}
	before := map[string]string{}
	restore = func() (err error) {
		for file, setting := range before {
			err = errors.Join(err, os.WriteFile(file, []byte(setting), 0))
		}
		return err
	}
	for _, file := range append(files, hugePages+"/enabled", hugePages+"/shmem_enabled") {
		said, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, restore())
		}
		_, rest, _ := strings.Cut(string(said), "[") // always inherit [never]
		before[file], _, _ = strings.Cut(rest, "]")
		if err := os.WriteFile(file, []byte("always"), 0); err != nil {
			return nil, errors.Join(err, restore())
		}
	}
	return restore, nil
}

// pageFault measures how long a program waits for a page of memory that it uses for the first
// time. The best of some counts: the host may have to find memory for the first.
func pageFault() (time.Duration, error) {
	const size = 64 << 20
	page := os.Getpagesize()
	best := time.Duration(math.MaxInt64)
	for range 5 {
		mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return 0, err
		}
		begin := time.Now()
		for at := 0; at < size; at += page {
			mem[at] = 1
		}
		best = min(best, time.Since(begin)/time.Duration(size/page))
		if err := unix.Munmap(mem); err != nil {
			return 0, err
		}
	}
	return best.Round(10 * time.Nanosecond), nil
}
