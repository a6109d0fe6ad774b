//go:build linux && (amd64 || arm64)

package clock

import (
	"context"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/network/status"
)

// movable skips the test where the clock is somebody's, and puts it back in the end.
func movable(t *testing.T) {
	if os.Getenv("PUSHCAM_RIG") == "" {
		t.Skip("moves the computer's clock: run it with \"go run ./hack/rig test ./gokrazy/network/clock\"")
	}
	wall, began := time.Now().Round(0), time.Now()
	t.Cleanup(func() {
		if err := (systemClock{}).step(wall.Add(time.Since(began)).Sub(time.Now().Round(0))); err != nil {
			t.Error(err)
		}
	})
}

// left is what is left of a slow correction.
func left(t *testing.T) time.Duration {
	t.Helper()
	x := unix.Timex{Modes: unix.ADJ_OFFSET_SS_READ}
	if _, err := unix.Adjtimex(&x); err != nil {
		t.Fatal(err)
	}
	return time.Duration(x.Offset) * time.Microsecond
}

func TestRigSystemClock(t *testing.T) {
	t.Attr("fault", "system | the computer's clock jumps by hours and by 56 years, both ways | the time by which ages are measured goes on | –")
	movable(t)
	var c systemClock
	for _, by := range []time.Duration{time.Hour + 123456*time.Microsecond, -2*time.Hour - 7*time.Microsecond, 56 * 365 * 24 * time.Hour, -56 * 365 * 24 * time.Hour} {
		if err := c.slew(400 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
		wall, began := c.now().Round(0), time.Now()
		if err := c.step(by); err != nil {
			t.Fatal(err)
		}
		// The monotonic clock goes on, so that no age is wrong.
		if moved := c.now().Round(0).Sub(wall) - time.Since(began); (moved - by).Abs() > 10*time.Millisecond {
			t.Errorf("a step by %v moved the clock by %v", by, moved)
		}
		if d := left(t); d != 0 {
			t.Errorf("a step leaves a correction by %v of the clock as it was", d)
		}
	}
	for _, by := range []time.Duration{-300 * time.Millisecond, 300 * time.Millisecond} {
		if err := c.slew(by); err != nil {
			t.Fatal(err)
		}
		if d := left(t); d == 0 || d.Abs() > by.Abs() || d > 0 != (by > 0) {
			t.Errorf("of a correction by %v %v are left at once", by, d)
		}
	}
	if err := c.synced(); err != nil {
		t.Fatal(err)
	}
	var x unix.Timex
	if _, err := unix.Adjtimex(&x); err != nil || x.Status&unix.STA_UNSYNC != 0 {
		t.Errorf("the kernel's clock has status %#x, %v; want it to be in sync", x.Status, err)
	}
}

// The whole of it, with a server that listens where servers do.
func TestRigClock(t *testing.T) {
	t.Attr("fault", "system | a clock that is wrong by years | a time server sets it, and the state says so | at once")
	movable(t)
	told := time.Date(2040, 3, 1, 12, 0, 0, 0, time.UTC)
	server := serveTime(t, "127.0.0.1:123", func(q []byte) []byte { return timeMessage(q, told) })
	s := new(status.Server)
	s.Update(func(s *status.Status) { s.NTP = []netip.Addr{server.Addr()} })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { new(Clock).Run(ctx, s) })
	for {
		now, changed := s.Status()
		if now.Clock.Set {
			cancel()
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the clock is not set: %+v", now.Clock)
		}
	}
	if off := time.Since(told); off < -time.Second || off > time.Hour {
		t.Errorf("the clock shows %v, and the server said %v", time.Now(), told)
	}
	if now, _ := s.Status(); time.Since(now.Clock.Since) > time.Hour || now.Clock.Server != "127.0.0.1" {
		t.Errorf("the state is %+v", now.Clock)
	}
}
