package card

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/partition"
)

// extResize is EXT4_IOC_RESIZE_FS of fs/ext4/ext4.h, which takes the new number of
// blocks.
const extResize = 0x40086610

// GrowPerm has /perm, which is mounted, use the whole card, and returns how many bytes
// it then has: an image is smaller than the card that it is written to. It also makes
// the boot partition one that PCs show, which those of older images are not. It is done
// already if nothing is left to do. A power cut leaves the old size, the new one, or
// one in between, from which the next boot goes on: the partition table is changed in
// one sector, and ext4 grows in steps, each of which its journal has whole or not at
// all.
func (c *Card) GrowPerm() (int64, error) {
	parts, err := c.partitions()
	if err != nil {
		return 0, err
	}
	disk, err := openBlock(parts.disk, true)
	if err != nil {
		return 0, err
	}
	size, err := partition.FitTable(disk, disk.size, disk.flush)
	if err == nil {
		err = growInKernel(disk.f, parts, size)
	}
	if err := errors.Join(err, disk.close()); err != nil {
		return 0, fmt.Errorf("the partition of /perm: %w", err)
	}
	return growFS(c.Root.Path(permDirectory), size)
}

// growInKernel tells the kernel that the partition of /perm has size bytes now.
func growInKernel(disk *os.File, parts partitions, size int64) error {
	dir := filepath.Join(parts.sys, filepath.Base(parts.path[partition.PermPartition]))
	sectors := func(name string) (int64, error) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return 0, err
		}
		return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	}
	now, err := sectors("size")
	if err != nil || now == size/sector {
		return err
	}
	start, err := sectors("start")
	if err != nil {
		return err
	}
	p := unix.BlkpgPartition{Start: start * sector, Length: size, Pno: partition.PermPartition}
	arg := unix.BlkpgIoctlArg{Op: unix.BLKPG_RESIZE_PARTITION, Datalen: int32(unsafe.Sizeof(p)), Data: (*byte)(unsafe.Pointer(&p))}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, disk.Fd(), unix.BLKPG, uintptr(unsafe.Pointer(&arg)))
	if errno != 0 {
		return os.NewSyscallError("BLKPG_RESIZE_PARTITION", errno)
	}
	return nil
}

// growFS has the file system that is mounted at dir use size bytes. One that is not
// ext4, or for reading only, stays as it is.
func growFS(dir string, size int64) (int64, error) {
	f, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
		return 0, os.NewSyscallError("fstatfs", err)
	}
	if s.Type == unix.EXT4_SUPER_MAGIC && s.Flags&unix.MS_RDONLY == 0 {
		blocks := uint64(size / int64(s.Bsize))
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), extResize, uintptr(unsafe.Pointer(&blocks)))
		if errno != 0 {
			return 0, fmt.Errorf("the file system of /perm: %w", os.NewSyscallError("EXT4_IOC_RESIZE_FS", errno))
		}
		if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
			return 0, os.NewSyscallError("fstatfs", err)
		}
	}
	return int64(s.Blocks) * int64(s.Bsize), nil
}
