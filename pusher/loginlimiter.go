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
	"slices"
	"time"
)

// loginLimiter lets in who knows a password, the owner's or the viewers', and limits how
// fast they can be guessed, without locking anybody out who knows one. What is said here of
// the owner goes for viewers as well.
//
// To verify a password keeps a core of a Pi busy for a quarter of a second, so it is
// done for one at a time, and only so often. An address is known when the password
// came from it. After a wrong password a known address waits a little until its next
// one is verified. Any other address waits longer each time, and all of those share a
// leaky bucket of wrong passwords as well, so that nobody guesses faster by having
// many addresses.
//
// Who would have to wait longer than maxDelay waits for that long, and then the
// password is compared with the last right one, which costs nothing. So the right
// password gets in after maxDelay from anywhere, whoever guesses beside it.
//
// After a start there is no right password to compare with. Until each has come, all
// that come from known addresses are verified, in their order: each of those who
// guess at the owner's own address delays the owner by the time of one hash. And the
// first tries of every other address have a bucket of their own, so that an owner at a
// new address is not shut out by those who have had theirs.
type loginLimiter struct {
	// verify tells whose password it is. Its error means that there is none to compare
	// with.
	verify   func(password string) (role, error)
	remember func(known []string) // is Owner.Remember
	log      *slog.Logger

	verifying chan struct{} // holds a token while the rest is in use

	configured bool                    // there is a password
	salt       []byte                  // random, so that right is in nobody's table of hashes
	right      map[role]*rightPassword // by whose it is; an entry for each that there is
	clients    map[string]*loginClient // by address
	backlog    time.Time               // when the leaky bucket of wrong passwords is empty
	firsts     time.Time               // when that of first tries is
}

// rightPassword is one that has come.
type rightPassword struct {
	hash  []byte // its HMAC; nil while none has come
	until time.Time
}

// loginClient is an address that has tried a password.
type loginClient struct {
	known bool
	wrong int       // tries since it knew the password
	next  time.Time // when its next try may be verified
	last  time.Time // when it tried
}

const (
	rememberFor  = 10 * time.Minute // then a password is verified anew: it may have been changed
	maxDelay     = 4 * time.Second  // of a try, before it is verified or compared
	firstWait    = time.Second      // of an unknown address, after its first wrong password
	maxWait      = time.Minute
	forgiveAfter = 15 * time.Minute // an address without a try

	unknownInterval = 5 * time.Second // in which the bucket of unknown addresses leaks one wrong password
	unknownBurst    = 10              // wrong passwords that fit into it

	knownInterval = 2 * time.Second // between two wrong passwords of a known address

	firstTries = 3    // of an unknown address, until the right password has come
	firstBurst = 1024 // wrong ones of those that fit into their bucket, which leaks as the other

	maxLoginClients = 1024 // as many as a home or an office network has addresses
	maxKnown        = 64   // of them, those that knew the password
)

// errPassword is returned for a password that is missing or wrong.
var errPassword = errors.New("no or a wrong password")

// tooManyTries says how long to wait before the next try.
type tooManyTries struct{ wait time.Duration }

func (e *tooManyTries) Error() string {
	return fmt.Sprintf("Too many wrong passwords were tried; try again in %v", (e.wait + time.Second).Truncate(time.Second))
}

// newLoginLimiter is for the passwords of some roles. The addresses are as in Owner.Known.
func newLoginLimiter(verify func(password string) (role, error), roles []role, known []string, log *slog.Logger) *loginLimiter {
	l := &loginLimiter{
		verify:    verify,
		log:       log,
		verifying: make(chan struct{}, 1),
		salt:      make([]byte, sha256.Size),
		right:     make(map[role]*rightPassword),
		clients:   make(map[string]*loginClient),
	}
	rand.Read(l.salt)
	for _, whose := range roles {
		l.right[whose] = new(rightPassword)
	}
	for _, address := range known[max(0, len(known)-maxKnown):] {
		l.clients[address] = &loginClient{known: true}
	}
	return l
}

// login returns whose password it is. Its error is errPassword, a *tooManyTries, that of
// ctx, or that of verify.
func (l *loginLimiter) login(ctx context.Context, address, password string) (role, error) {
	if err := l.lock(ctx); err != nil {
		return nobody, err
	}
	if password == "" {
		defer l.unlock()
		return nobody, l.isConfigured()
	}
	c := cmp.Or(l.clients[address], new(loginClient))
	wait := l.wait(c, time.Now())
	if wait <= 0 {
		defer l.unlock()
		return l.try(address, c, password)
	}
	reserved := c.known && wait <= maxDelay
	if reserved {
		c.next = c.next.Add(knownInterval)
	}
	l.unlock()
	if err := sleep(ctx, min(wait, maxDelay)); err != nil {
		return nobody, err
	}
	if err := l.lock(ctx); err != nil {
		return nobody, err
	}
	defer l.unlock()
	if !reserved {
		c = cmp.Or(l.clients[address], c)
		if wait := l.wait(c, time.Now()); wait > 0 && l.whose(l.hash(password)) == nobody {
			return nobody, &tooManyTries{wait}
		}
	}
	whose, err := l.try(address, c, password)
	if err == nil && reserved {
		c.next = c.next.Add(-knownInterval)
	}
	return whose, err
}

// whose is the role whose right password has the hash, as far as one has come. l is locked.
func (l *loginLimiter) whose(hash []byte) role {
	for whose, right := range l.right {
		if hmac.Equal(hash, right.hash) {
			return whose
		}
	}
	return nobody
}

// allCame tells whether each password has come. l is locked.
func (l *loginLimiter) allCame() bool {
	for _, right := range l.right {
		if right.hash == nil {
			return false
		}
	}
	return true
}

// forget makes the password of a role one that has not come yet, because there is another
// one now, or none. If ctx is done before, nobody logs in any more.
func (l *loginLimiter) forget(ctx context.Context, whose role, there bool) {
	if l.lock(ctx) != nil {
		return
	}
	defer l.unlock()
	delete(l.right, whose)
	if there {
		l.right[whose] = new(rightPassword)
	}
	l.configured = false
}

// lock waits until nobody else uses l, or ctx is done.
func (l *loginLimiter) lock(ctx context.Context) error {
	select {
	case l.verifying <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *loginLimiter) unlock() { <-l.verifying }

// try verifies the password that came from c. l is locked.
func (l *loginLimiter) try(address string, c *loginClient, password string) (role, error) {
	now := time.Now()
	if now.Sub(c.last) > forgiveAfter {
		c.wrong = 0
	}
	hash := l.hash(password)
	whose := l.whose(hash)
	if whose == nobody || !now.Before(l.right[whose].until) {
		before := whose
		var err error
		if whose, err = l.verify(password); err != nil {
			return nobody, err
		}
		l.configured, now = true, time.Now()
		if before != nobody && before != whose {
			*l.right[before] = rightPassword{} // the password was changed
		}
		if right := l.right[whose]; right != nil {
			*right = rightPassword{hash, now.Add(rememberFor)}
		}
	}
	c.last = now
	if whose == nobody {
		switch {
		case !c.known:
			bucket, _ := l.bucket(c)
			*bucket = later(*bucket, now).Add(unknownInterval)
			c.next = now.Add(min(firstWait<<min(c.wrong, 10), maxWait))
		case !c.next.After(now): // it has not reserved its time
			c.next = now.Add(knownInterval)
		}
		c.wrong++
		l.keep(address, c)
		l.log.Warn("a wrong password", "from", address, "tries", c.wrong)
		return nobody, errPassword
	}
	c.wrong = 0
	if !c.known {
		if known := l.known(); len(known) >= maxKnown {
			delete(l.clients, known[0])
		}
		c.known = true
		l.keep(address, c)
		l.log.Info("somebody with the password came", "from", address, "who", whose)
		if l.remember != nil {
			l.remember(l.known())
		}
	}
	return whose, nil
}

// isConfigured is login without a password: its error says whether there is one
// at all. l is locked.
func (l *loginLimiter) isConfigured() error {
	if !l.configured {
		if _, err := l.verify(""); err != nil {
			return err
		}
		l.configured = true
	}
	return errPassword
}

// wait is how long c has to wait before its password may be verified. l is locked.
func (l *loginLimiter) wait(c *loginClient, now time.Time) time.Duration {
	wait := c.next.Sub(now)
	switch {
	case c.known && !l.allCame():
		return 0
	case c.known:
		return wait
	}
	bucket, burst := l.bucket(c)
	return max(wait, bucket.Add(-time.Duration(burst-1)*unknownInterval).Sub(now))
}

// bucket is the leaky bucket of an unknown address, and how much fits into it. l is
// locked.
func (l *loginLimiter) bucket(c *loginClient) (empty *time.Time, burst int) {
	if !l.allCame() && c.wrong < firstTries {
		return &l.firsts, firstBurst
	}
	return &l.backlog, unknownBurst
}

// keep remembers a client. When there are too many it forgets another one, an
// unknown one before a known one, the oldest first; but never a known one for one
// that is not. l is locked.
func (l *loginLimiter) keep(address string, c *loginClient) {
	if l.clients[address] == nil && len(l.clients) >= maxLoginClients {
		oldest := ""
		for a, o := range l.clients {
			if b := l.clients[oldest]; b == nil || b.known && !o.known || b.known == o.known && o.last.Before(b.last) {
				oldest = a
			}
		}
		if l.clients[oldest].known && !c.known {
			return
		}
		delete(l.clients, oldest)
	}
	l.clients[address] = c
}

// known returns the known addresses, that of the latest try last. l is locked.
func (l *loginLimiter) known() []string {
	var known []string
	for address, c := range l.clients {
		if c.known {
			known = append(known, address)
		}
	}
	slices.SortFunc(known, func(a, b string) int {
		return cmp.Or(l.clients[a].last.Compare(l.clients[b].last), cmp.Compare(a, b))
	})
	return known
}

func (l *loginLimiter) hash(password string) []byte {
	h := hmac.New(sha256.New, l.salt)
	h.Write([]byte(password))
	return h.Sum(nil)
}

// sleep waits for d, or until ctx is done, and returns its error then.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
