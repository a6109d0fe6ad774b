//go:build !unix

package setup

import "github.com/pushcam/pushcam/gokrazy/device"

// lock has nothing to do: where there is no appliance, one program uses this package.
func lock(device.Root) (unlock func(), err error) { return func() {}, nil }
