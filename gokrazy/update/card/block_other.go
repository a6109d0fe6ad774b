//go:build !linux

package card

import (
	"errors"
	"os"
)

const directSync = 0

func alignedBuffer(size int) ([]byte, func() error, error) {
	return make([]byte, size), func() error { return nil }, nil
}

func rootDevice() (major, minor uint32, err error) { return 0, 0, errors.ErrUnsupported }

func lock(*os.File) error { return nil }
