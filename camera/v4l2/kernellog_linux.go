package v4l2

import (
	"io"

	"golang.org/x/sys/unix"
)

// kernelLog reads what the kernel has logged and ends there. An os.File would wait
// for what the kernel logs next.
type kernelLog int

func openKernelLog(path string) (io.ReadCloser, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	return kernelLog(fd), err
}

func (k kernelLog) Read(b []byte) (int, error) {
	n, err := unix.Read(int(k), b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

func (k kernelLog) Close() error { return unix.Close(int(k)) }
