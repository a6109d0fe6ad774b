//go:build !linux

package device

import (
	"errors"
	"os"
)

// KernelRelease is known on Linux only.
func KernelRelease() (string, error) { return "", errors.ErrUnsupported }

func insertModule(*os.File, bool) error { return errors.ErrUnsupported }
