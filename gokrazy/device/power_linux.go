package device

import (
	"os"

	"golang.org/x/sys/unix"
)

// endOthers sends a signal to all but process 1 and this program (kill(2)).
func endOthers() error { return os.NewSyscallError("kill", unix.Kill(-1, unix.SIGTERM)) }

func powerOff() error {
	return os.NewSyscallError("reboot", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

func restart() error {
	return os.NewSyscallError("reboot", unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
}
