package relay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// A clock that is set back by less than a frame may be old is found out at once as well.
func TestClockSetBackALittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wrong atomic.Int64
		there := func() int64 { return time.Now().Add(time.Duration(wrong.Load())).UnixMicro() }
		c := startClock(func(context.Context) (int64, error) { time.Sleep(time.Millisecond); return there(), nil })
		defer c.stop()
		age := func() time.Duration {
			time.Sleep(100 * time.Millisecond)
			now := time.Now()
			return now.Sub(c.captured(there(), now))
		}
		for range 20 {
			age()
		}
		wrong.Store(int64(-30 * time.Second))
		for range 20 {
			age()
		}
		if a := age(); a > 10*time.Millisecond {
			t.Errorf("two seconds after the clock was set back, a frame that comes at once is %v old", a)
		}
	})
}

// While a camera says by a picture why there are no others, it repeats that with the time
// when it was drawn. That is no reason to ask it all the time.
func TestClockAndOldPicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		c := startClock(func(context.Context) (int64, error) {
			asked.Add(1)
			time.Sleep(time.Millisecond)
			return time.Now().UnixMicro(), nil
		})
		defer c.stop()
		drawn := time.Now().UnixMicro()
		for range 3600 {
			time.Sleep(time.Second)
			c.captured(drawn, time.Now())
		}
		if n, most := asked.Load(), int64((time.Hour/clockEvery+3)*clockTries); n > most {
			t.Errorf("asked %d times in an hour, want at most %d", n, most)
		}
	})
}

// The camera may be behind a proxy, below a path.
func TestClockAddress(t *testing.T) {
	var asked string
	camera := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path
		fmt.Fprint(w, `{"time": 1.500000}`)
	}))
	t.Cleanup(camera.Close)
	for path, want := range map[string]string{
		"": "/state", "/stream": "/state", "/cam1/stream": "/cam1/state", "/?action=stream": "/state",
		"/cam1/?action=stream": "/cam1/state", "/webcam/?action=stream": "/webcam/state",
	} {
		u, err := url.Parse(camera.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if micro, err := askTime(t.Context(), camera.Client(), u); err != nil || micro != 1.5e6 || asked != want {
			t.Errorf("of %s: asked %s, got %d, %v; want %s", path, asked, micro, err, want)
		}
	}
}
