//go:build !linux

package card

import "errors"

func freezePerm(string) error { return errors.ErrUnsupported }
