//go:build !unix

package device

import (
	"errors"
	"syscall"
)

// There is no gokrazy here to be sent one.
const (
	sigPowerOff = syscall.Signal(0)
	sigReboot   = syscall.Signal(0)
)

func killProcess(int, syscall.Signal) error { return errors.ErrUnsupported }
