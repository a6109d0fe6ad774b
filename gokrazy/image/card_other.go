//go:build !linux

package image

import (
	"errors"
	"os"
)

func openCard(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func mayWrite(string) error { return errors.ErrUnsupported }

func forget(*os.File) error { return errors.ErrUnsupported }
