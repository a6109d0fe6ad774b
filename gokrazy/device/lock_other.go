//go:build !linux

package device

import "errors"

// LockText is for the appliance, which runs Linux.
func LockText() (bytes int64, err error) { return 0, errors.ErrUnsupported }
