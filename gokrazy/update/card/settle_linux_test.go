package card_test

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/fat"
	"github.com/pushcam/pushcam/gokrazy/update/card"
)

// A boot partition that is half written starts nothing, so the power is not cut before
// its writer is done, and nobody begins to write afterwards.
func TestSettleWaitsForTheBootPartition(t *testing.T) {
	t.Attr("fault", "update | the power is switched off while a kernel is written | it stays on until that is done | some seconds later")
	c := testCard(t, 2)
	frozen := make(chan struct{})
	card.SetFreeze(c, func(string) error { close(frozen); return nil })
	settled := make(chan error, 1)
	err := c.EditBoot(func(*fat.FS) error {
		go func() { settled <- c.Settle() }()
		select {
		case <-frozen:
			t.Error("/perm is frozen while the boot partition is written to")
		case <-time.After(200 * time.Millisecond): // that long a writer may take at least
		}
		return nil
	})
	if err := <-settled; err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Error(err)
	}
	f, err := os.Open(in(c, "dev/mmcblk0p1"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EWOULDBLOCK {
		t.Errorf("another one may write to the boot partition now: %v", err)
	}
}
