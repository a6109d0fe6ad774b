package card

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// fiFreeze is FIFREEZE of linux/fs.h.
const fiFreeze = 0xc0045877

// freezePerm freezes a file system as fsfreeze(8) does: it is synced and marked clean.
// To mount it for reading only would do the same, but the kernel refuses that while
// any program has a file open to write. What is no file system that can be frozen, and
// one that is for reading only, has nothing to write.
func freezePerm(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.IoctlSetInt(int(f.Fd()), fiFreeze, 0)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EBUSY) { // EBUSY: it is frozen
		return nil
	}
	return os.NewSyscallError("FIFREEZE", err)
}
