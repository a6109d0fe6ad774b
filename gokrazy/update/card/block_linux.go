package card

import (
	"os"

	"golang.org/x/sys/unix"
)

// directSync makes reads and writes go past the kernel's memory, and a write return
// only when it is on the card.
const directSync = unix.O_DIRECT | unix.O_SYNC

func alignedBuffer(size int) ([]byte, func() error, error) {
	buf, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	return buf, func() error { return unix.Munmap(buf) }, os.NewSyscallError("mmap", err)
}

// rootDevice returns the device numbers of what is mounted at /.
func rootDevice() (major, minor uint32, err error) {
	var s unix.Stat_t
	if err := unix.Stat("/", &s); err != nil {
		return 0, 0, os.NewSyscallError("stat", err)
	}
	return unix.Major(uint64(s.Dev)), unix.Minor(uint64(s.Dev)), nil
}

// lock waits until no other open file of it is locked. It ends when f is closed.
func lock(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			return os.NewSyscallError("flock", err)
		}
	}
}
