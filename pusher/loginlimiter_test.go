package pusher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// countedLogin is a loginLimiter with what it costs to verify.
type countedLogin struct {
	loginLimiter
	password string
	err      error
	verified int
	at       int // who verify at the same time
	t        *testing.T
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
	switch err := l.login(l.t.Context(), l.verify, address, password, slog.New(slog.DiscardHandler)); {
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
		l := &countedLogin{password: "right", t: t}
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

// An address waits twice as long after each wrong password, up to a minute, even
// with the right one, and is forgiven in time.
func TestLoginSlowsAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &countedLogin{password: "right", t: t}
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

// Who has many addresses does not get more tries, nor room; the owner comes in
// all the while.
func TestLoginSlowsAllStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &countedLogin{password: "right", t: t}
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
		l := &countedLogin{password: "right", t: t}
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
		l := &countedLogin{err: errors.New("no lock"), t: t}
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
		l := &countedLogin{password: "right", t: t}
		go l.try("a", "wrong")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := l.login(ctx, l.verify, "b", "right", slog.New(slog.DiscardHandler)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(time.Second)
	})
}
