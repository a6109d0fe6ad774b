//go:build unix

package image

import (
	"os/exec"
	"syscall"
)

// endAll has the end of the child's context end it with all that it started: gok
// leaves its compilers running.
func endAll(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}
