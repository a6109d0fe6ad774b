package device

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// divertMessages has the kernel write its messages to tty1 and no longer to whichever
// terminal is shown (TIOCL_SETKMSGREDIRECT of ioctl_console(2)). What is no terminal has
// none of them.
func divertMessages(f *os.File) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	request := [2]byte{11, 1}
	raw.Control(func(fd uintptr) {
		unix.Syscall(unix.SYS_IOCTL, fd, unix.TIOCLINUX, uintptr(unsafe.Pointer(&request)))
	})
}
