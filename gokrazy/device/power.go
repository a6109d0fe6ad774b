package device

import (
	"errors"
	"os"
)

// ErrNotGokrazy is wrapped by errors that mean that gokrazy does not run this system,
// and so this program must not end it.
var ErrNotGokrazy = errors.New("this system is not run by gokrazy")

// initPath is what process 1 runs on gokrazy.
const initPath = "/gokrazy/init"

// The functions that end the system are this program's own, and gokrazy is not asked
// for it: it ends this program first, so that no LED could tell how it went, and then
// waits for /perm to be unmounted, for ever if the card hangs.

// EndOthers asks all other programs of the appliance to end, so that they write what
// they keep on /perm. It does not wait for them.
func EndOthers() error { return ifGokrazy("", endOthers) }

// PowerOff cuts the power at once. It does not return unless it fails. What is to
// survive must be on the card.
func PowerOff() error { return ifGokrazy("", powerOff) }

// Restart has the system start anew at once, as PowerOff.
func Restart() error { return ifGokrazy("", restart) }

// ifGokrazy does it only if process 1 of the system below root is gokrazy's init.
func ifGokrazy(root Root, do func() error) error {
	if exe, err := os.Readlink(root.Path("proc/1/exe")); err != nil {
		return errors.Join(ErrNotGokrazy, err)
	} else if exe != initPath {
		return ErrNotGokrazy
	}
	return do()
}
