//go:build !linux

package device

import (
	"errors"
	"io"
	"os"
)

func insertModule(*os.File, string, bool) error { return errors.ErrUnsupported }

func deleteModule(string) error { return errors.ErrUnsupported }

func openKernelLog(string) (io.ReadCloser, error) { return nil, errors.ErrUnsupported }
