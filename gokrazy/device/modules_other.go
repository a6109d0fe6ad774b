//go:build !linux

package device

import (
	"errors"
	"os"
)

func kernelRelease() (string, error) { return "", errors.ErrUnsupported }

func insertModule(*os.File, bool) error { return errors.ErrUnsupported }
