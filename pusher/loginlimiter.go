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

// loginLimiter lets in who knows the owner's password, and limits how fast it can
// be guessed. After each wrong password its address must wait, twice as long as
// before. All addresses that never knew the password share one limit as well, so
// that nobody guesses faster by having many. The zero value is ready.
//
// Passwords are verified one at a time, because the hash of one keeps a core of a
// Pi busy for a quarter of a second.
type loginLimiter struct {
	once      sync.Once
	verifying chan struct{} // holds a token while the rest is in use

	configured bool   // there is a password
	salt       []byte // random, so that right is in nobody's table of hashes
	right      []byte // HMAC of the password that was right
	rightUntil time.Time
	clients    map[string]*loginClient // by address
	backlog    time.Time               // when the leaky bucket of unknown addresses' wrong passwords is empty
}

// loginClient is an address that has tried a password.
type loginClient struct {
	known bool // it knew the password
	wrong int  // tries since
	wait  time.Time
	last  time.Time
}

const (
	rememberFor     = 10 * time.Minute // then a password is verified anew: it may have been changed
	firstWait       = time.Second      // of an address, after its first wrong password
	maxWait         = time.Minute
	forgiveAfter    = 15 * time.Minute // an address without a try
	maxLoginClients = 64
	unknownInterval = 5 * time.Second // in which the bucket of unknown addresses leaks one wrong password
	unknownBurst    = 10              // wrong passwords that fit into it
)

// errPassword is returned for a password that is missing or wrong.
var errPassword = errors.New("no or a wrong password")

// tooManyTries says how long to wait before the next try.
type tooManyTries struct{ wait time.Duration }

func (e *tooManyTries) Error() string {
	return fmt.Sprintf("Too many wrong passwords were tried; try again in %v", (e.wait + time.Second).Truncate(time.Second))
}

// login returns nil for the owner. Otherwise its error is errPassword, a
// *tooManyTries, that of ctx, or that of verify.
func (l *loginLimiter) login(ctx context.Context, verify func(string) (bool, error), address, password string, log *slog.Logger) error {
	l.once.Do(func() {
		l.verifying, l.salt, l.clients = make(chan struct{}, 1), make([]byte, sha256.Size), make(map[string]*loginClient)
		rand.Read(l.salt)
	})
	select {
	case l.verifying <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.verifying }()

	if password == "" {
		return l.isConfigured(verify)
	}
	now := time.Now()
	c := l.client(address, now)
	if wait := l.wait(c, now); wait > 0 {
		return &tooManyTries{wait}
	}
	hash := l.hash(password)
	ok := now.Before(l.rightUntil) && hmac.Equal(hash, l.right)
	if !ok {
		var err error
		if ok, err = verify(password); err != nil {
			return err
		}
		l.configured, now = true, time.Now()
		if ok {
			l.right, l.rightUntil = hash, now.Add(rememberFor)
		}
	}
	c.last = now
	l.keep(address, c)
	if !ok {
		if !c.known {
			l.backlog = later(l.backlog, now).Add(unknownInterval)
		}
		c.wait = now.Add(min(firstWait<<min(c.wrong, 10), maxWait))
		c.wrong++
		log.Warn("a wrong password for the owner", "from", address, "tries", c.wrong)
		return errPassword
	}
	if !c.known {
		log.Info("the owner came", "from", address)
	}
	c.known, c.wrong = true, 0
	return nil
}

// isConfigured is login without a password: its error says whether there is one
// at all.
func (l *loginLimiter) isConfigured(verify func(string) (bool, error)) error {
	if !l.configured {
		if _, err := verify(""); err != nil {
			return err
		}
		l.configured = true
	}
	return errPassword
}

func (l *loginLimiter) client(address string, now time.Time) *loginClient {
	c := cmp.Or(l.clients[address], new(loginClient))
	if now.Sub(c.last) > forgiveAfter {
		c.wrong = 0
	}
	return c
}

// wait is how long c has to wait before it may try.
func (l *loginLimiter) wait(c *loginClient, now time.Time) time.Duration {
	own := c.wait.Sub(now)
	if c.known {
		return own
	}
	return max(own, l.backlog.Add(-(unknownBurst-1)*unknownInterval).Sub(now))
}

// keep remembers a client. When there are too many it forgets another one: the
// unknown before the known, the oldest first.
func (l *loginLimiter) keep(address string, c *loginClient) {
	if l.clients[address] == nil && len(l.clients) >= maxLoginClients {
		oldest := ""
		for a, o := range l.clients {
			if b := l.clients[oldest]; b == nil || b.known && !o.known || b.known == o.known && o.last.Before(b.last) {
				oldest = a
			}
		}
		delete(l.clients, oldest)
	}
	l.clients[address] = c
}

func (l *loginLimiter) hash(password string) []byte {
	h := hmac.New(sha256.New, l.salt)
	h.Write([]byte(password))
	return h.Sum(nil)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
