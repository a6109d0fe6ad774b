//go:build unix

package device

import "syscall"

const (
	sigPowerOff = syscall.SIGUSR2
	sigReboot   = syscall.SIGTERM
)

func killProcess(pid int, sig syscall.Signal) error { return syscall.Kill(pid, sig) }
