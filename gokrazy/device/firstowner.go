package device

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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
	one  chan struct{}         // holds a token while one looks at the card, or writes
	mu   sync.Mutex            // one hashes at a time

	renewals chan renewal // holds one that Run has to keep
}

// renewal is a hash that goes in the place of an older one of the same password.
type renewal struct{ old, new string }

// ownerTime is how long the card may take. A slow one takes some seconds.
const ownerTime = 15 * time.Second

var errCard = fmt.Errorf("the card has not answered for %v", ownerTime)

// OpenOwnership begins with an owner that was read from root.
func OpenOwnership(root Root, owner *Owner) *Ownership {
	o := &Ownership{root: root, one: make(chan struct{}, 1), renewals: make(chan renewal, 1)}
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

// withCard lets one at a time do something with the card. It does not wait for ever: what
// a card that hangs keeps from its end goes on by itself when the card answers.
func (o *Ownership) withCard(do func() error) error {
	limit := time.NewTimer(ownerTime)
	defer limit.Stop()
	select {
	case o.one <- struct{}{}:
	case <-limit.C:
		return errCard
	}
	done := make(chan error, 1)
	go func() {
		err := do()
		<-o.one
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		return errCard
	}
}

// Verify is Owner.Verify. While nobody is known to be the owner it looks at the card
// again: the page of the set-up network belongs to another program.
func (o *Ownership) Verify(password string) (bool, error) {
	if o.Free() {
		if err := o.withCard(o.look); err != nil && !errors.Is(err, ErrOwned) {
			return false, fmt.Errorf("%w: %w", ErrNoOwner, err)
		}
	}
	mine := o.mine.Load()
	ok, err := mine.Verify(password)
	if ok && isOld(mine.hash) {
		o.renew(mine, password)
	}
	return ok, err
}

// renew makes another hash of a password, now that it is known. Run keeps it.
func (o *Ownership) renew(mine *Owner, password string) {
	hash, err := HashPassword(password)
	if err != nil || !o.mine.CompareAndSwap(mine, &Owner{hash: hash}) {
		return
	}
	select {
	case o.renewals <- renewal{mine.hash, hash}:
	default: // one of before waits for a card that does not answer
	}
}

// renewAgain is how often Run asks whether it may write.
const renewAgain = 10 * time.Second

// Run keeps a hash that was renewed, until ctx is done. It waits while settled returns
// false: the version to which an update on trial may go back does not know the hash. A
// card that does not answer is not waited for.
func (o *Ownership) Run(ctx context.Context, settled func() bool) error {
	tick := time.NewTicker(renewAgain)
	defer tick.Stop()
	var r renewal
	select {
	case r = <-o.renewals:
	case <-ctx.Done():
		return nil
	}
	for !settled() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	kept := make(chan error, 1)
	go func() { kept <- o.withCard(func() error { return o.keep(r) }) }()
	select {
	case err := <-kept:
		return err
	case <-ctx.Done(): // it goes on by itself
		return nil
	}
}

// keep writes a renewed hash, if the card still has the one before: another program may
// have set another password. It is called by withCard.
func (o *Ownership) keep(r renewal) error {
	if ReadOwner(o.root).hash != r.old {
		return nil
	}
	if err := durable.WriteFile(o.root.Path("perm", OwnerFile), []byte(r.new+"\n")); err != nil {
		return fmt.Errorf("the owner's password keeps its older hash: %w", err)
	}
	return nil
}

// look returns ErrOwned if there is an owner now. It is called by withCard.
func (o *Ownership) look() error {
	if o.Free() {
		if o.isFree() {
			return nil
		}
		o.mine.Store(ReadOwner(o.root))
		o.free.Store(false)
	}
	return ErrOwned
}

// Choose makes whoever knows the password the owner, for good: it is on the card when
// this returns nil. Its error wraps ErrOwned if there is an owner already; that one's
// password is changed in other ways. The password must have passed CheckPassword.
func (o *Ownership) Choose(password string) error {
	if !o.Free() {
		return ErrOwned
	}
	return o.put(password, o.look)
}

// Change gives the owner another password: it is on the card when this returns nil. That it
// is the owner who asks, the caller knows. The password must have passed CheckPassword.
func (o *Ownership) Change(password string) error {
	return o.put(password, func() error { return nil })
}

// put writes a password onto the card as the owner's, unless may, which is called when nobody
// else writes there, returns an error.
func (o *Ownership) put(password string, may func() error) error {
	o.mu.Lock()
	hash, err := HashPassword(password)
	o.mu.Unlock()
	if err != nil {
		return err
	}
	return o.withCard(func() error {
		if err := may(); err != nil {
			return err
		}
		if err := durable.WriteFile(o.root.Path("perm", OwnerFile), []byte(hash+"\n")); err != nil {
			return fmt.Errorf("keep the password: %w", err)
		}
		o.mine.Store(&Owner{hash: hash})
		o.free.Store(false)
		return nil
	})
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
