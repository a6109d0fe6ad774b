//go:build unix

package image

import (
	"os/exec"
	"syscall"
)

// endAll makes the end of the child's context end the child and all that it has
// started, because gok leaves its compilers running.
func endAll(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}
