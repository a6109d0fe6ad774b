//go:build !linux

package v4l2

import (
	"errors"
	"io"
)

func openKernelLog(string) (io.ReadCloser, error) { return nil, errors.ErrUnsupported }
