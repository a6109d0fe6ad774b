package pusher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// countedLogin is a loginLimiter with what it costs to verify.
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
	l.loginLimiter = newLoginLimiter(&Owner{Verify: l.verify, Known: known}, slog.New(slog.DiscardHandler))
}

func (l *countedLogin) verify(password string) (bool, error) {
	l.at++
	if l.at > 1 {
		l.t.Error("two verify at once")
	}
	l.verified++
	time.Sleep(250 * time.Millisecond)
	l.at--
	return password == l.password, l.err
}

// try says how it went: "in", "no", "wait" or another error.
func (l *countedLogin) try(address, password string) string {
	var slow *tooManyTries
	switch err := l.login(l.t.Context(), address, password); {
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

// An unknown address waits twice as long after each wrong password, up to a minute, even
// with the right one, and is forgiven in time.
func TestLoginSlowsAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCountedLogin(t, "right")
		wait := firstWait
		for i := range 9 {
			if got := l.try("guesser", "wrong"); got != "no" {
				t.Fatalf("try %d: %s", i, got)
			}
			time.Sleep(wait - time.Millisecond)
			if got := l.try("guesser", "right"); got != "wait" {
				t.Errorf("%v after try %d: %s", wait-time.Millisecond, i, got)
			}
			if got := l.try(fmt.Sprint("other ", i), "right"); got != "in" {
				t.Errorf("another address after try %d: %s", i, got)
			}
			time.Sleep(time.Millisecond)
			wait = min(2*wait, maxWait)
		}
		time.Sleep(forgiveAfter)
		l.try("guesser", "wrong")
		time.Sleep(firstWait)
		if got := l.try("guesser", "right"); got != "in" {
			t.Errorf("forgiven: %s", got)
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
	for name, restart := range map[string]bool{"same program": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newCountedLogin(t, "right")
				var known []string
				l.owner.Remember = func(k []string) { known = k }
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
				if got := l.try("new address", "right"); got != "wait" {
					t.Errorf("an unknown address meanwhile: %s", got)
				}
			})
		})
	}
}

// Who guesses at the owner's own address, from many connections, does not lock the
// owner out for more than 5 s, and does not guess fast.
func TestLoginBesideAGuesserOfTheSameAddress(t *testing.T) {
	for name, guessers := range map[string]int{"one": 1, "many": 30} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newCountedLogin(t, "right")
				if got := l.try("shared", "right"); got != "in" {
					t.Fatal(got)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var guessing sync.WaitGroup
				defer guessing.Wait()
				defer cancel()
				for range guessers {
					guessing.Go(func() {
						for ctx.Err() == nil {
							l.try("shared", "wrong")
							time.Sleep(time.Millisecond)
						}
					})
				}
				begin := time.Now()
				for i := range 100 {
					time.Sleep(time.Duration(i) * 37 * time.Millisecond % (20 * time.Second))
					start := time.Now()
					if got := l.try("shared", "right"); got != "in" || time.Since(start) > 5*time.Second {
						t.Fatalf("the owner, time %d: %s after %v", i, got, time.Since(start))
					}
				}
				cancel()
				guessing.Wait()
				if limit := int(time.Since(begin)/knownInterval) + 2 + int(time.Since(begin)/rememberFor); l.verified > limit {
					t.Errorf("verified %d times in %v, at most %d", l.verified, time.Since(begin), limit)
				}
			})
		})
	}
}

// Right after a restart nothing is known of the password: one who guesses at the
// owner's own address gets every other turn at most.
func TestLoginBesideAGuesserAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCountedLogin(t, "right")
		l.restart([]string{"shared"})
		ctx, cancel := context.WithCancel(t.Context())
		var guessing sync.WaitGroup
		defer guessing.Wait()
		defer cancel()
		guessing.Go(func() {
			for ctx.Err() == nil {
				l.try("shared", "wrong")
				time.Sleep(time.Millisecond)
			}
		})
		time.Sleep(time.Minute)
		start := time.Now()
		if got := l.try("shared", "right"); got != "in" || time.Since(start) > 5*time.Second {
			t.Fatalf("the owner: %s after %v", got, time.Since(start))
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
				if err := l.login(ctx, "desk", "right"); !errors.Is(err, context.DeadlineExceeded) {
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
		l.owner.Remember = func(k []string) { known = k }
		for i := range 2 * maxLoginClients {
			if got := l.try(fmt.Sprint("owner ", i), "right"); got != "in" {
				t.Fatal(got)
			}
			time.Sleep(time.Second)
		}
		l.restart(append([]string{"too old"}, known...))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		l.fromStrangers(ctx)
		if diff := cmp.Diff(known, l.known(), cmpopts.SortSlices(strings.Compare)); len(known) != maxLoginClients || diff != "" {
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
		if count["no"] != 1 || count["wait"] != 99 || l.verified != 1 {
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
		if err := l.login(ctx, "b", "right"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(time.Second)
	})
}
