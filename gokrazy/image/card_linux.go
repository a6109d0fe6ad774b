package image

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mayWrite returns ErrNotRoot if this user may not write to a disk.
func mayWrite(path string) error {
	if err := unix.Access(path, unix.W_OK); errors.Is(err, unix.EACCES) {
		return ErrNotRoot
	}
	return nil // anything else is said when it is opened
}

// openCard opens a disk for this program alone. With O_EXCL the kernel refuses to
// open a disk that is mounted, and to mount one that is open (open(2)).
func openCard(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_EXCL, 0)
	switch {
	case errors.Is(err, os.ErrPermission):
		return nil, ErrNotRoot
	case errors.Is(err, unix.EBUSY):
		return nil, fmt.Errorf("%s is in use by another program or mounted", path)
	case errors.Is(err, unix.ENOMEDIUM):
		return nil, fmt.Errorf("%s has no card in it", path)
	}
	return f, err
}

// forget has the kernel drop its copy of what is on the card, so that the next read
// is of the card itself. Everything must be synced before, because the kernel drops
// only what is written.
func forget(card *os.File) error {
	if err := card.Sync(); err != nil {
		return err
	}
	return os.NewSyscallError("fadvise", unix.Fadvise(int(card.Fd()), 0, 0, unix.FADV_DONTNEED))
}
