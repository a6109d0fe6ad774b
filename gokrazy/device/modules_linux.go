package device

import (
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

// putModule is init_module(2), which takes a module from memory.
func putModule(image []byte, parameters string) error {
	return os.NewSyscallError("init_module", unix.InitModule(image, parameters))
}

// deleteModule is delete_module(2). It does not wait for those who use the module.
func deleteModule(name string) error {
	return os.NewSyscallError("delete_module", unix.DeleteModule(name, unix.O_NONBLOCK))
}
