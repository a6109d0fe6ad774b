package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pushcam/pushcam/gokrazy/durable"
)

// ErrOwned is returned by Choose where somebody was faster.
var ErrOwned = errors.New("this camera has an owner already")

// Ownership is whose camera this is: that of the owner whose password is on /perm, or,
// on a card that was made without a password, that of the first who chooses one.
type Ownership struct {
	root Root
	mine atomic.Pointer[Owner] // the owner that is known
	free atomic.Bool           // nobody has chosen a password yet, as far as is known
	mu   sync.Mutex            // one looks at the card, or writes, at a time
}

// OpenOwnership begins with an owner that was read from root.
func OpenOwnership(root Root, owner *Owner) *Ownership {
	o := &Ownership{root: root}
	o.mine.Store(owner)
	_, err := owner.Verify("")
	o.free.Store(errors.Is(err, ErrNoOwner) && o.isFree())
	return o
}

// isFree looks at the card. A /perm that could not be mounted is an empty folder, and
// a password that cannot be read is one: neither means that there is no owner.
func (o *Ownership) isFree() bool {
	_, err := os.Lstat(o.root.Path("perm", OwnerFile))
	return errors.Is(err, fs.ErrNotExist) && o.root.permMounted()
}

// Free tells whether nobody has chosen a password yet. It does not wait for the card.
func (o *Ownership) Free() bool { return o.free.Load() }

// Verify is Owner.Verify. While nobody is known to be the owner it looks at the card
// again: the page of the set-up network belongs to another program.
func (o *Ownership) Verify(password string) (bool, error) {
	if o.Free() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.look()
	}
	return o.mine.Load().Verify(password)
}

// look finds out whether there is an owner now. o.mu is held.
func (o *Ownership) look() {
	if o.Free() && !o.isFree() {
		o.mine.Store(ReadOwner(o.root))
		o.free.Store(false)
	}
}

// Choose makes whoever knows the password the owner, for good: it is on the card when
// this returns nil. Its error wraps ErrOwned if there is an owner already; that one's
// password is changed in other ways. The password must have passed CheckPassword.
func (o *Ownership) Choose(password string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.look(); !o.Free() {
		return ErrOwned
	}
	hash, err := HashPassword(password)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(o.root.Path("perm", OwnerFile), []byte(hash+"\n")); err != nil {
		return fmt.Errorf("keep the password: %w", err)
	}
	o.mine.Store(&Owner{hash: hash})
	o.free.Store(false)
	return nil
}

// permMounted tells whether /perm is a file system of its own that can be written to
// (proc(5), /proc/mounts).
func (r Root) permMounted() bool {
	text, err := os.ReadFile(r.Path("proc/mounts"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 3 && f[1] == "/perm" {
			return slices.Contains(strings.Split(f[3], ","), "rw")
		}
	}
	return false
}
