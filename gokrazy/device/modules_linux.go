package device

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// insertModule is finit_module(2), which blocks until the module's init is done.
func insertModule(module *os.File, parameters string, compressed bool) error {
	flags := 0
	if compressed {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	return os.NewSyscallError("finit_module", unix.FinitModule(int(module.Fd()), parameters, flags))
}

// deleteModule is delete_module(2). It does not wait for those who use the module.
func deleteModule(name string) error {
	return os.NewSyscallError("delete_module", unix.DeleteModule(name, unix.O_NONBLOCK))
}

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
