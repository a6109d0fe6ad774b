//go:build unix

package setup

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// lock lets one program at a time change the settings. The kernel unlocks it when a
// program ends, however that ends.
func lock(root device.Root) (unlock func(), err error) {
	path := root.Path("run", File) + ".lock"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, os.NewSyscallError("flock", err)
	}
	return func() { f.Close() }, nil
}
