package card

import (
	"errors"
	"fmt"

	"github.com/pushcam/pushcam/gokrazy/fat"
)

// EditBoot calls edit with the file system of the boot partition. What edit has written
// is on the card when it returns nil.
func (c *Card) EditBoot(edit func(*fat.FS) error) error {
	boot, err := c.open(bootPartition, true)
	if err != nil {
		return err
	}
	f, err := fat.Open(boot)
	if err == nil {
		err = edit(f)
	}
	if err == nil {
		err = boot.flush()
	}
	if err := errors.Join(err, boot.close()); err != nil {
		return fmt.Errorf("boot partition: %w", err)
	}
	return nil
}
