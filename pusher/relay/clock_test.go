package relay

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A frame's age is true however the other camera's clock is set, and while it is being
// set. The quickest answer counts, because its time is known best.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var asked, wrong atomic.Int64
		wrong.Store(int64(3 * time.Hour))
		there := func() int64 { return time.Now().Add(time.Duration(wrong.Load())).UnixMicro() }
		c := startClock(func(ctx context.Context) (int64, error) {
			if asked.Add(1)%clockTries == 2 {
				defer time.Sleep(time.Millisecond)
			} else {
				time.Sleep(500 * time.Millisecond) // all of it before the answer
			}
			return there(), ctx.Err()
		})
		defer c.stop()

		if at := c.captured(there(), began); !at.Equal(began) {
			t.Errorf("before the clock is known, a frame was captured at %v, want when it came, %v", at, began)
		}
		age := func() time.Duration {
			const transit = 200 * time.Millisecond
			stamp := there()
			time.Sleep(transit)
			now := time.Now()
			return now.Sub(c.captured(stamp, now))
		}
		true200 := func(when string) {
			t.Helper()
			if a := age(); a < 199*time.Millisecond || a > 201*time.Millisecond {
				t.Errorf("%s a frame is %v old, want 200ms", when, a)
			}
		}
		time.Sleep(3 * time.Second)
		true200("with a clock that is wrong")

		wrong.Store(int64(-20 * time.Minute)) // it is set
		for range 3 {
			if a := age(); a != 0 {
				t.Errorf("after the clock was set, a frame is %v old, want 0 until it is known again", a)
			}
		}
		time.Sleep(5 * time.Second)
		true200("after the clock was set")
		if n := asked.Load(); n != 2*clockTries {
			t.Errorf("asked %d times, want two series of %d", n, clockTries)
		}
		time.Sleep(clockEvery)
		true200("half a minute later")
	})
}

// Frames of a camera that does not tell its time are as old as they arrive.
func TestClockThatIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		c := startClock(func(context.Context) (int64, error) { asked.Add(1); return 0, errors.New("404") })
		defer c.stop()
		time.Sleep(time.Minute - time.Second)
		now := time.Now()
		if at := c.captured(now.Add(-time.Second).UnixMicro(), now); !at.Equal(now) {
			t.Errorf("captured at %v, want %v", at, now)
		}
		if n := asked.Load(); n != 2 {
			t.Errorf("asked %d times in a minute, want 2", n)
		}
	})
}

// A camera that never answers keeps nobody from ending.
func TestClockStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startClock(func(ctx context.Context) (int64, error) { <-ctx.Done(); return 0, ctx.Err() })
		time.Sleep(time.Second)
		began := time.Now()
		if c.stop(); time.Since(began) != 0 {
			t.Errorf("it took %v", time.Since(began))
		}
	})
}
