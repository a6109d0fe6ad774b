package pusher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// verifyTime is what it costs to verify a password.
const verifyTime = 250 * time.Millisecond

// countedLogin is a loginLimiter that counts what is verified.
type countedLogin struct {
	*loginLimiter
	password string
	err      error
	verified int
	at       int // who verify at the same time
	t        *testing.T
}

func newCountedLogin(t *testing.T, password string) *countedLogin {
	l := &countedLogin{password: password, t: t}
	l.restart(nil)
	return l
}

// restart begins anew, as the program does, with what was remembered.
func (l *countedLogin) restart(known []string) {
	l.loginLimiter = newLoginLimiter(l.verify, []role{theOwner}, known, slog.New(slog.DiscardHandler))
}

func (l *countedLogin) verify(password string) (role, error) {
	l.at++
	if l.at > 1 {
		l.t.Error("two verify at once")
	}
	l.verified++
	time.Sleep(verifyTime)
	l.at--
	if l.err != nil || password != l.password {
		return nobody, l.err
	}
	return theOwner, nil
}

// try says how it went: "in", "no", "wait" or another error.
func (l *countedLogin) try(address, password string) string {
	var slow *tooManyTries
	switch _, err := l.login(l.t.Context(), address, password); {
	case err == nil:
		return "in"
	case errors.Is(err, errPassword):
		return "no"
	case errors.As(err, &slow):
		return "wait"
	default:
		return err.Error()
	}
}

// guessing tries wrong passwords from n connections of an address, as fast as that
// goes, until the returned function is called.
func (l *countedLogin) guessing(address string, n int) (stop func()) {
	ctx, cancel := context.WithCancel(l.t.Context())
	var guessing sync.WaitGroup
	for range n {
		guessing.Go(func() {
			for ctx.Err() == nil {
				l.try(address, "wrong")
				time.Sleep(time.Millisecond)
			}
		})
	}
	return func() {
		cancel()
		guessing.Wait()
	}
}

func TestLoginRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCountedLogin(t, "right")
		for range 3 {
			for _, address := range []string{"a", "b"} {
				if got := l.try(address, "right"); got != "in" {
					t.Errorf("%s: %s", address, got)
				}
			}
		}
		if l.verified != 1 {
			t.Errorf("verified %d times", l.verified)
		}
		l.password = "new"
		time.Sleep(rememberFor)
		if got := l.try("a", "right"); got != "no" {
			t.Errorf("the old password: %s", got)
		}
	})
}

// A password of an unknown address is verified later after each wrong one, up to a
// minute, and the address is forgiven in time. Others do not wait for it.
func TestLoginSlowsAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCountedLogin(t, "right")
		guess := func() (took time.Duration) {
			start := time.Now()
			for l.try("guesser", "wrong") == "wait" {
			}
			return time.Since(start)
		}
		guess()
		wait := firstWait
		for i := range 9 {
			if took, want := guess(), wait+verifyTime; took != want {
				t.Errorf("try %d was verified after %v, want %v", i, took, want)
			}
			start := time.Now()
			if got := l.try(fmt.Sprint("other ", i), "right"); got != "in" || time.Since(start) > verifyTime {
				t.Errorf("another address after try %d: %s after %v", i, got, time.Since(start))
			}
			time.Sleep(maxWait)
			guess()
			wait = min(4*wait, maxWait)
		}
		time.Sleep(forgiveAfter + time.Second)
		guess()
		if took := guess(); took != firstWait+verifyTime {
			t.Errorf("forgiven, it waits for %v", took)
		}
	})
}

// Who has guessed wrong gets in with the right password after maxDelay, however long
// another guess would have to wait.
func TestLoginNeverRefusesTheRightPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCountedLogin(t, "right")
		if got := l.try("desk", "right"); got != "in" {
			t.Fatal(got)
		}
		for i := range 30 {
			phone := fmt.Sprint("phone ", i)
			for range i {
				l.try(phone, "rihgt")
			}
			start := time.Now()
			if got := l.try(phone, "right"); got != "in" || time.Since(start) > 5*time.Second {
				t.Errorf("after %d wrong passwords: %s after %v", i, got, time.Since(start))
			}
		}
	})
}

// When the password was changed, the one that is remembered is not what others are
// compared with: the owner gets in with the new one beside those who guess.
func TestLoginWithAChangedPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCountedLogin(t, "old")
		if got := l.try("desk", "old"); got != "in" {
			t.Fatal(got)
		}
		l.password = "new"
		time.Sleep(rememberFor)
		if got := l.try("desk", "old"); got != "no" {
			t.Errorf("the old password: %s", got)
		}
		defer l.guessing("desk", 8)()
		time.Sleep(time.Minute)
		start := time.Now()
		if got := l.try("desk", "new"); got != "in" || time.Since(start) > 5*time.Second {
			t.Errorf("the new password: %s after %v", got, time.Since(start))
		}
	})
}

// fromStrangers tries wrong passwords until ctx is done, each from an address that
// was never seen, as fast as that goes.
func (l *countedLogin) fromStrangers(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		if l.try(fmt.Sprint("stranger ", i), fmt.Sprint("guess ", i)) == "wait" {
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// However long strangers guess, the owner comes in at once from an address that
// knew the password, also when the program has started again since.
func TestLoginWhileStrangersGuess(t *testing.T) {
	t.Attr("fault", "abuse | passwords are guessed from all addresses of a network | the owner comes in at once from an address that knew it | –")
	for name, restart := range map[string]bool{"same program": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newCountedLogin(t, "right")
				var known []string
				l.remember = func(k []string) { known = k }
				for _, address := range []string{"desk", "phone"} {
					if got := l.try(address, "right"); got != "in" {
						t.Fatal(got)
					}
					time.Sleep(time.Second)
				}
				if diff := cmp.Diff([]string{"desk", "phone"}, known); diff != "" {
					t.Errorf("remembered (-want +got):\n%s", diff)
				}
				if restart {
					l.restart(known)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var guessing sync.WaitGroup
				defer guessing.Wait()
				defer cancel()
				guessing.Go(func() { l.fromStrangers(ctx) })
				for range 60 {
					time.Sleep(time.Minute)
					start := time.Now()
					if got := l.try("desk", "right"); got != "in" || time.Since(start) > time.Second {
						t.Fatalf("the owner: %s after %v", got, time.Since(start))
					}
				}
				start := time.Now()
				if got := l.try("new address", "right"); got != "in" || time.Since(start) > 5*time.Second {
					t.Errorf("an unknown address meanwhile: %s after %v", got, time.Since(start))
				}
			})
		})
	}
}

// Who guesses at the owner's own address, from many connections, does not lock the
// owner out for more than 5 s, and does not guess fast.
func TestLoginBesideAGuesserOfTheSameAddress(t *testing.T) {
	t.Attr("fault", "abuse | passwords are guessed from the owner's own address | the owner waits 5 s at most | –")
	for name, guessers := range map[string]int{"one": 1, "many": 30} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newCountedLogin(t, "right")
				if got := l.try("shared", "right"); got != "in" {
					t.Fatal(got)
				}
				stop := l.guessing("shared", guessers)
				defer stop()
				begin := time.Now()
				for i := range 100 {
					time.Sleep(time.Duration(i) * 37 * time.Millisecond % (20 * time.Second))
					start := time.Now()
					if got := l.try("shared", "right"); got != "in" || time.Since(start) > 5*time.Second {
						t.Fatalf("the owner, time %d: %s after %v", i, got, time.Since(start))
					}
				}
				stop()
				if limit := int(time.Since(begin)/knownInterval) + 2 + int(time.Since(begin)/rememberFor); l.verified > limit {
					t.Errorf("verified %d times in %v, at most %d", l.verified, time.Since(begin), limit)
				}
			})
		})
	}
}

// Right after a restart nothing is known of the password. Then those who guess at the
// owner's own address have one turn each before the owner has one.
func TestLoginBesideGuessersAfterARestart(t *testing.T) {
	for _, guessers := range []int{1, 3, 16, 100} {
		t.Run(fmt.Sprint(guessers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newCountedLogin(t, "right")
				l.restart([]string{"shared"})
				defer l.guessing("shared", guessers)()
				time.Sleep(time.Minute)
				start := time.Now()
				got, took := l.try("shared", "right"), time.Since(start)
				if want := time.Duration(guessers+2) * verifyTime; got != "in" || took > want || guessers <= 16 && took > 5*time.Second {
					t.Errorf("the owner: %s after %v, want at most %v", got, took, want)
				}
			})
		})
	}
}

// After a restart those who have guessed before, from all the addresses of a network, do
// not keep the owner out who comes from a new one and mistypes.
func TestLoginFromANewAddressAfterARestart(t *testing.T) {
	t.Attr("fault", "abuse | the program starts anew while passwords are guessed | the owner comes in from a new address | –")
	synctest.Test(t, func(t *testing.T) {
		l := newCountedLogin(t, "right")
		ctx, cancel := context.WithCancel(t.Context())
		var guessing sync.WaitGroup
		defer guessing.Wait()
		defer cancel()
		for k := range 8 {
			guessing.Go(func() {
				for i := k; ctx.Err() == nil; i += 8 {
					if l.try(fmt.Sprint("10.99.1.", i%220), "wrong") == "wait" {
						time.Sleep(50 * time.Millisecond)
					}
				}
			})
		}
		time.Sleep(10 * time.Minute)
		for _, password := range []string{"rihgt", "right"} {
			start := time.Now()
			if got, want := l.try("10.99.0.3", password), map[string]string{"rihgt": "no", "right": "in"}[password]; got != want || time.Since(start) > 5*time.Second {
				t.Errorf("%s: %s after %v", password, got, time.Since(start))
			}
		}
		if limit := 220*firstTries + unknownBurst + int(10*time.Minute/unknownInterval) + 10; l.verified > limit {
			t.Errorf("verified %d times, at most %d", l.verified, limit)
		}
	})
}

// A client that leaves while its try is delayed is not waited for.
func TestLoginClientLeavesWhileDelayed(t *testing.T) {
	for name, after := range map[string]time.Duration{"before its time": knownInterval / 2, "in its turn": knownInterval + time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newCountedLogin(t, "right")
				l.try("desk", "right")
				l.try("desk", "wrong")
				ctx, cancel := context.WithTimeout(t.Context(), after)
				defer cancel()
				go func() {
					time.Sleep(knownInterval - time.Millisecond)
					l.try("stranger", "wrong") // is being verified when the delay is over
				}()
				if _, err := l.login(ctx, "desk", "right"); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				time.Sleep(time.Minute)
				if got := l.try("desk", "right"); got != "in" {
					t.Errorf("later: %s", got)
				}
			})
		})
	}
}

// A typing error delays the owner's next try, and none after that.
func TestLoginAfterATypingError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCountedLogin(t, "right")
		l.try("desk", "right")
		if got := l.try("desk", "rihgt"); got != "no" {
			t.Fatal(got)
		}
		start := time.Now()
		for i := range 20 {
			if got := l.try("desk", "right"); got != "in" || time.Since(start) > knownInterval {
				t.Fatalf("try %d after it: %s after %v", i, got, time.Since(start))
			}
		}
	})
}

// There are never more addresses than fit, and strangers displace no known one.
func TestLoginRemembersSoMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCountedLogin(t, "right")
		var known []string
		l.remember = func(k []string) { known = k }
		for i := range 2 * maxKnown {
			if got := l.try(fmt.Sprint("owner ", i), "right"); got != "in" {
				t.Fatal(got)
			}
			time.Sleep(time.Second)
		}
		l.restart(append([]string{"too old"}, known...))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		l.fromStrangers(ctx)
		if diff := cmp.Diff(known, l.known(), cmpopts.SortSlices(strings.Compare)); len(known) != maxKnown || diff != "" {
			t.Errorf("%d are known (-want +got):\n%s", len(known), diff)
		}
	})
}

// Who has many addresses does not get more tries, nor room; the owner comes in
// all the while.
func TestLoginSlowsAllStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCountedLogin(t, "right")
		if got := l.try("owner", "right"); got != "in" {
			t.Fatal(got)
		}
		start, wrong := time.Now(), 0
		for i := 0; time.Since(start) < time.Hour; i++ {
			switch got := l.try(fmt.Sprint("stranger ", i), fmt.Sprint("guess ", i)); got {
			case "no":
				wrong++
			case "wait":
				time.Sleep(time.Second)
			default:
				t.Fatal(got)
			}
			if i%100 == 0 {
				if got := l.try("owner", "right"); got != "in" {
					t.Fatalf("the owner, after %d tries of others: %s", i, got)
				}
			}
			if n := len(l.clients); n > maxLoginClients {
				t.Fatalf("%d clients are remembered", n)
			}
		}
		if limit := int(time.Hour/unknownInterval) + unknownBurst; wrong > limit || wrong < limit/2 {
			t.Errorf("%d guesses in an hour, at most %d", wrong, limit)
		}
	})
}

// Guesses that come at the same time are no way around the waiting.
func TestLoginTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCountedLogin(t, "right")
		var all sync.WaitGroup
		got := make(chan string, 100)
		for range cap(got) {
			all.Go(func() { got <- l.try("guesser", "wrong") })
		}
		all.Wait()
		close(got)
		count := make(map[string]int)
		for g := range got {
			count[g]++
		}
		// One is verified at once, and one when that one's wait is over.
		if count["no"] != 2 || count["wait"] != 98 || l.verified != 2 {
			t.Errorf("%v, verified %d times", count, l.verified)
		}
	})
}

func TestLoginWithoutAPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCountedLogin(t, "")
		l.err = errors.New("no lock")
		for _, password := range []string{"", "x", "x"} {
			if got := l.try("a", password); got != "no lock" {
				t.Errorf("%q: %s", password, got)
			}
		}
		l.err, l.password, l.verified = nil, "right", 0
		for range 5 {
			if got := l.try("a", ""); got != "no" {
				t.Error(got)
			}
		}
		if l.verified != 1 {
			t.Errorf("that there is a password was found out %d times", l.verified)
		}
	})
}

// A client that leaves does not wait for its turn.
func TestLoginClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCountedLogin(t, "right")
		go l.try("a", "wrong")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := l.login(ctx, "b", "right"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(time.Second)
	})
}

// An address is the same for each connection, and for IPv4 on a socket of IPv6. All who
// come by a unix socket are one.
func TestAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"192.168.1.20:1234": "192.168.1.20", "[::ffff:192.168.1.20]:1234": "192.168.1.20", "[fe80::1%eth0]:80": "fe80::1%eth0", "@": "@",
	} {
		if got := address(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}
