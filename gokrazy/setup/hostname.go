package setup

import (
	"fmt"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/durable"
)

// KeepHostname has /perm keep the name that the system has, if it keeps none yet: then
// the camera has it also with a root file system that is made for another name. It
// returns nil when a name is on /perm.
func KeepHostname(root device.Root, name string) error {
	unlock, err := lock(root)
	if err != nil {
		return err
	}
	defer unlock()
	k, err := readKept(root)
	if err != nil || k.Settings.Hostname != "" {
		return err
	}
	k.Settings.Hostname = name
	if err := keep(root, k); err != nil {
		return fmt.Errorf("keep the name %s: %w", name, err)
	}
	var now running // what serves is what Save keeps next
	if err := read(root.Path("run", File), &now); err != nil {
		return err
	}
	now.Settings.Hostname = name
	return durable.WriteJSON(root.Path("run", File), now)
}
