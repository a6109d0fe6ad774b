package main

import (
	"path/filepath"

	"github.com/pushcam/pushcam/gokrazy/confine"
)

// confine leaves the appliance's program the rights that it needs, when its listeners are
// open: what lasts is on /perm, and the rest is in memory, a device, or an LED. The card's
// other partitions are written as devices. connects tells whether its pictures come from
// another camera.
//
// On a PC nothing is done: what the program may do there is its user's choice of folders and
// files, and a confined program could not tell which other one uses a webcam.
func (a *appliance) confine(connects bool) {
	if a == nil {
		return
	}
	leds, _ := filepath.Glob(a.root.Path("sys/class/leds/*")) // the pattern is right
	err := confine.Program(confine.Rights{
		Folders:  []string{a.root.Path("perm"), a.root.Path("run"), a.root.Path("tmp")},
		Files:    append(leds, a.root.Path("dev")),
		Connects: connects,
	})
	if err != nil {
		a.log.Warn("a fault of this program could do more than it needs to", "why", err)
		return
	}
	a.log.Info("this program is confined: it writes to /perm, to memory and to devices, and starts nothing")
}
