package device

import (
	"bytes"
	"os"

	"golang.org/x/sys/unix"
)

// KernelRelease is the running kernel's, as "6.12.47-v8".
func KernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	release, _, _ := bytes.Cut(u.Release[:], []byte{0})
	return string(release), nil
}

// insertModule is finit_module(2), which blocks until the module's init is done.
func insertModule(module *os.File, compressed bool) error {
	flags := 0
	if compressed {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	return os.NewSyscallError("finit_module", unix.FinitModule(int(module.Fd()), "", flags))
}
