//go:build !linux

package confine

import "errors"

// Program is for Linux.
func Program(Rights) error { return errors.ErrUnsupported }
