package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

const (
	// writing is what is done to a file that is there, a device included; changing is what
	// is done in a folder. Nobody needs to make devices, pipes or symbolic links.
	writing  = ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSIoctlDev
	changing = writing | ll.AccessFSMakeReg | ll.AccessFSMakeDir | ll.AccessFSMakeSock | ll.AccessFSRemoveFile | ll.AccessFSRemoveDir
	// guarded is what is refused unless a rule allows it. Reading is not among it.
	guarded = changing | ll.AccessFSExecute | ll.AccessFSMakeChar | ll.AccessFSMakeBlock | ll.AccessFSMakeFifo | ll.AccessFSMakeSym
)

// Program takes from this program, for good and in all its threads, what r does not name: to
// write to files and to make them, to move them to other folders, to start other programs,
// to mount, and to listen for other computers or connect to them by TCP. What is open stays
// so. It cannot look into other programs any more either: not even which file process 1
// runs. The kernel does it (Landlock, no_new_privs), as far as its version can.
//
// The error says why nothing was taken.
func Program(r Rights) error {
	net := landlock.AccessNetSet(ll.AccessNetBindTCP)
	if !r.Connects {
		net |= ll.AccessNetConnectTCP
	}
	err := landlock.Config{HandledAccessFS: guarded, HandledAccessNet: net}.BestEffort().Restrict(
		landlock.PathAccess(changing, r.Folders...).IgnoreIfMissing(),
		landlock.PathAccess(writing, r.Files...).IgnoreIfMissing())
	if err != nil {
		return fmt.Errorf("confine this program: %w", err)
	}
	// A kernel without Landlock refuses nothing, and the library says nothing of it.
	f, err := os.OpenFile("/proc/self/comm", os.O_WRONLY, 0)
	switch {
	case err == nil:
		return errors.Join(errors.New("this kernel confines no program: it has no Landlock"), f.Close())
	case !errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("it is not known whether this program is confined: %w", err)
	}
	return nil
}
