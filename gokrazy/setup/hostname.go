package setup

import (
	"cmp"
	"context"
	"fmt"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// KeepHostname has /perm keep the name that the system has, if it keeps none yet: then
// the camera has it also with a root file system that is made for another name. It
// returns nil when a name is on /perm.
func KeepHostname(root device.Root, name string) error {
	unlock, err := lockCard(context.Background(), root)
	if err != nil {
		return err
	}
	defer unlock()
	k, err := readKept(root)
	if err != nil || k.Settings.Hostname != "" {
		return err
	}
	now, err := Load(root)
	if err != nil {
		return err
	}
	k.Settings.Hostname = cmp.Or(now.Hostname, name) // Save may have another that is not kept yet
	if err := keep(root, k); err != nil {
		return fmt.Errorf("keep the name %s: %w", k.Settings.Hostname, err)
	}
	// What serves is what Save keeps next.
	return changeRunning(root, func(s *Settings) error {
		s.Hostname = cmp.Or(s.Hostname, name)
		return nil
	})
}
