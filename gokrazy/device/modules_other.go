//go:build !linux

package device

import (
	"errors"
	"os"
)

func insertModule(*os.File, string, bool) error { return errors.ErrUnsupported }

func putModule([]byte, string) error { return errors.ErrUnsupported }

func deleteModule(string) error { return errors.ErrUnsupported }
