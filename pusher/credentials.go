package pusher

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// role is who somebody has proven to be.
type role int

const (
	nobody     role = iota
	onlyViewer      // knows the viewers' password, or has a token
	theOwner
)

func (r role) String() string { return [...]string{"nobody", "viewer", "owner"}[r] }

// pass is what somebody may look with while viewing is closed.
type pass struct {
	role role
	ctx  context.Context // what began with the pass ends with it
	// issuer names what the URLs that are signed by it end with: a login, or the password
	// that came with the request (its scope).
	issuer string
	token  bool // it is one of Viewing.Tokens
	signed bool // it is a signed URL
}

const (
	// loginTime is how long a login on the page is good for.
	loginTime = 7 * 24 * time.Hour
	// maxLogins bounds how many there are; one more ends the one that was used least
	// lately.
	maxLogins = 256
	// signedTime is how long a signed URL can be opened.
	signedTime = time.Minute
)

// logins are those who have logged in on the page. The browser has a secret of each in a
// cookie; here is only its hash.
type logins struct {
	mu  sync.Mutex
	all map[string]*login // by their names
}

type login struct {
	pass
	end  context.CancelFunc
	used time.Time
}

func newLogins() *logins { return &logins{all: make(map[string]*login)} }

// loginName is the name of the login with a secret. It tells nothing of it.
func loginName(secret string) string {
	hash := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(hash[:])
}

// open begins a login, which ends with ctx or after loginTime, and returns its secret.
func (ls *logins) open(ctx context.Context, who role) (secret string) {
	secret = rand.Text()
	name := loginName(secret)
	ls.mu.Lock()
	defer ls.mu.Unlock()
	oldest := ""
	for n, l := range ls.all {
		if l.ctx.Err() != nil {
			delete(ls.all, n)
		} else if oldest == "" || l.used.Before(ls.all[oldest].used) {
			oldest = n
		}
	}
	if len(ls.all) >= maxLogins {
		ls.all[oldest].end()
		delete(ls.all, oldest)
	}
	l := &login{used: time.Now()}
	l.role, l.issuer = who, name
	l.ctx, l.end = context.WithTimeout(ctx, loginTime)
	ls.all[name] = l
	return secret
}

// named is the pass of the login with a name; nil if there is none any more.
func (ls *logins) named(name string) *pass {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.all[name]
	if l == nil || l.ctx.Err() != nil {
		return nil
	}
	l.used = time.Now()
	return &l.pass
}

// close ends a login, and what began with it.
func (ls *logins) close(name string) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.all[name]; l != nil {
		l.end()
		delete(ls.all, name)
	}
}

// closeAll gives back the timers of all.
func (ls *logins) closeAll() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.all {
		l.end()
	}
	clear(ls.all)
}

// A signer makes URLs that may be opened for a short time without anything else: for an
// <img>, where a cookie does not go and a password cannot be given. Their time is that of
// this computer since the program started, so that nothing happens to them when the clock
// is set.
type signer struct {
	key   [sha256.Size]byte
	began time.Time
}

func newSigner() *signer {
	s := &signer{began: time.Now()}
	rand.Read(s.key[:])
	return s
}

// sign returns the signature for GETs of a path for the time d, by a pass.issuer.
func (s *signer) sign(path, issuer string, d time.Duration) string {
	until := strconv.FormatInt(int64((time.Since(s.began)+d)/time.Millisecond), 36)
	return until + "." + issuer + "." + s.mac(path, issuer, until)
}

func (s *signer) mac(path, issuer, until string) string {
	h := hmac.New(sha256.New, s.key[:])
	for _, part := range []string{"GET", path, issuer, until} {
		fmt.Fprintf(h, "%d %s ", len(part), part)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// verify tells whether a signature is one for a path and whose time is not over, and by
// which pass.issuer it is.
func (s *signer) verify(path, signature string) (issuer string, ok bool) {
	part := strings.Split(signature, ".")
	if len(part) != 3 || !hmac.Equal([]byte(s.mac(path, part[1], part[0])), []byte(part[2])) {
		return "", false
	}
	until, err := strconv.ParseInt(part[0], 36, 64)
	return part[1], err == nil && time.Since(s.began) < time.Duration(until)*time.Millisecond
}
