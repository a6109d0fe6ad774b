package device

import (
	"os"

	"golang.org/x/sys/unix"
)

// SetHostname gives the system a name, until it starts again.
func SetHostname(name string) error {
	return os.NewSyscallError("sethostname", unix.Sethostname([]byte(name)))
}
