package pusher

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// A door lets the owner in who knows the password, and slows down those who
// guess. An address waits after each wrong password, longer and longer. All
// strangers together have so many wrong tries and then few, however many
// addresses they have; an address that the owner came from is no stranger's.
// The zero value is ready.
//
// One at a time is asked for: the password's hash costs a Pi's core for a
// quarter of a second.
type door struct {
	once sync.Once
	turn chan struct{} // holds a token while the rest is in use

	locked   bool   // there is a password
	salt     []byte // of right, so that it is not a hash that anybody has a table for
	right    []byte // HMAC of the password that was right
	until    time.Time
	visitors map[string]*visitor // by address
	debt     time.Time           // when strangers' wrong tries are paid for
}

// visitor is an address that has tried a password.
type visitor struct {
	owner bool // it knew it
	wrong int  // tries since
	wait  time.Time
	last  time.Time
}

const (
	rememberFor  = 10 * time.Minute // then a password is verified anew: it may have been changed
	firstWait    = time.Second      // of an address, after its first wrong password
	maxWait      = time.Minute
	forgiveAfter = 15 * time.Minute // an address without a try
	maxVisitors  = 64
	strangerTry  = 5 * time.Second // for each wrong password of strangers,
	strangerLoan = 10              // of which so many may come at once
)

// errPassword is returned for a password that is missing or wrong.
var errPassword = errors.New("no or a wrong password")

// slowDown says how long to wait before the next try.
type slowDown struct{ wait time.Duration }

func (s *slowDown) Error() string {
	return fmt.Sprintf("Too many wrong passwords were tried; try again in %v", (s.wait + time.Second).Truncate(time.Second))
}

// open returns nil for the owner. Else its error is errPassword, a *slowDown, the
// end of ctx, or that of verify.
func (d *door) open(ctx context.Context, verify func(string) (bool, error), address, password string, log *slog.Logger) error {
	d.once.Do(func() {
		d.turn, d.salt, d.visitors = make(chan struct{}, 1), make([]byte, sha256.Size), make(map[string]*visitor)
		rand.Read(d.salt)
	})
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-d.turn }()

	if password == "" {
		return d.knock(verify)
	}
	now := time.Now()
	v := d.visitor(address, now)
	if wait := d.wait(v, now); wait > 0 {
		return &slowDown{wait}
	}
	hash := d.hash(password)
	ok := now.Before(d.until) && hmac.Equal(hash, d.right)
	if !ok {
		var err error
		if ok, err = verify(password); err != nil {
			return err
		}
		d.locked, now = true, time.Now()
		if ok {
			d.right, d.until = hash, now.Add(rememberFor)
		}
	}
	v.last = now
	d.keep(address, v)
	if !ok {
		if !v.owner {
			d.debt = later(d.debt, now).Add(strangerTry)
		}
		v.wait = now.Add(min(firstWait<<min(v.wrong, 10), maxWait))
		v.wrong++
		log.Warn("a wrong password for the owner", "from", address, "tries", v.wrong)
		return errPassword
	}
	if !v.owner {
		log.Info("the owner came", "from", address)
	}
	v.owner, v.wrong = true, 0
	return nil
}

// knock is open without a password: it tells whether there is one at all.
func (d *door) knock(verify func(string) (bool, error)) error {
	if !d.locked {
		if _, err := verify(""); err != nil {
			return err
		}
		d.locked = true
	}
	return errPassword
}

func (d *door) visitor(address string, now time.Time) *visitor {
	v := cmp.Or(d.visitors[address], new(visitor))
	if now.Sub(v.last) > forgiveAfter {
		v.wrong = 0
	}
	return v
}

// wait is how long v has to wait before it may try.
func (d *door) wait(v *visitor, now time.Time) time.Duration {
	own := v.wait.Sub(now)
	if v.owner {
		return own
	}
	return max(own, d.debt.Add(-(strangerLoan-1)*strangerTry).Sub(now))
}

// keep remembers a visitor, and forgets another one when there are too many:
// strangers before owners, the oldest first.
func (d *door) keep(address string, v *visitor) {
	if d.visitors[address] == nil && len(d.visitors) >= maxVisitors {
		oldest := ""
		for a, o := range d.visitors {
			if b := d.visitors[oldest]; b == nil || b.owner && !o.owner || b.owner == o.owner && o.last.Before(b.last) {
				oldest = a
			}
		}
		delete(d.visitors, oldest)
	}
	d.visitors[address] = v
}

func (d *door) hash(password string) []byte {
	h := hmac.New(sha256.New, d.salt)
	h.Write([]byte(password))
	return h.Sum(nil)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
