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

// A Power ends the system, if gokrazy runs it. It does so itself, and gokrazy is not asked
// for it: it ends this program first, so that no LED could tell how it went, and then
// waits for /perm to be unmounted, for ever if the card hangs.
type Power struct {
	mustNot error // why this program does not end the system
}

// OpenPower looks what process 1 runs, which a program that is confined cannot see.
func OpenPower() Power { return openPower("") }

func openPower(root Root) Power {
	if exe, err := os.Readlink(root.Path("proc/1/exe")); err != nil {
		return Power{errors.Join(ErrNotGokrazy, err)}
	} else if exe != initPath {
		return Power{ErrNotGokrazy}
	}
	return Power{}
}

// EndOthers asks all other programs of the appliance to end, so that they write what
// they keep on /perm. It does not wait for them.
func (p Power) EndOthers() error { return p.try(endOthers) }

// Off cuts the power at once. It does not return unless it fails. What is to survive
// must be on the card.
func (p Power) Off() error { return p.try(powerOff) }

// Restart has the system start anew at once, as Off.
func (p Power) Restart() error { return p.try(restart) }

func (p Power) try(do func() error) error {
	if p.mustNot != nil {
		return p.mustNot
	}
	return do()
}
