package relay

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	// clockTries is how often the other camera is asked for its time in a row; the answer
	// that came soonest counts.
	clockTries = 5
	// clockEvery is how long it is relied on that the clocks differ by as much as they did.
	clockEvery = 30 * time.Second
	// clockTimeout bounds one try.
	clockTimeout = 2 * time.Second
	// oldest is the greatest age that a frame of a stream can have. One that seems older, or
	// captured only later, shows that one of the clocks has been set.
	oldest = time.Minute
	// ahead is by how much a frame may seem to come before its capture, because the
	// difference of the clocks is known no better.
	ahead = 100 * time.Millisecond
	// jump is by how much a frame may be older than the one before, which may be the same
	// picture, repeated each second. One that is older by more comes by a link that is slow,
	// or from a clock that was set back.
	jump = 2 * time.Second
)

// A clock is that of another pushcam, whose stamps it turns into this computer's time, so
// that a frame's age stays true here whatever the clocks show. It is asked while the stream
// goes on: until it has answered, frames count as captured when they come.
type clock struct {
	ask  func(context.Context) (micro int64, err error) // of the other camera, since 1970
	know chan difference                                // the newest
	wake chan struct{}                                  // asks for a new one at once
	end  func()
	done chan struct{}

	// Those of who calls captured.
	now   difference
	known bool
	same  bool          // the clocks were compared anew because of a stamp, and neither had been set
	age   time.Duration // of the frame before
}

// difference is what the clocks showed at the same time.
type difference struct {
	here  time.Time
	there int64 // in microseconds since 1970
}

// newClock asks the pushcam whose stream is at u, until stop is called.
func newClock(web *http.Client, u *url.URL) *clock {
	return startClock(func(ctx context.Context) (int64, error) { return askTime(ctx, web, u) })
}

func startClock(ask func(context.Context) (int64, error)) *clock {
	ctx, end := context.WithCancel(context.Background())
	c := &clock{ask: ask, know: make(chan difference, 1), wake: make(chan struct{}, 1), end: end, done: make(chan struct{})}
	go c.run(ctx)
	return c
}

func (c *clock) stop() {
	c.end()
	<-c.done
}

func (c *clock) run(ctx context.Context) {
	defer close(c.done)
	for {
		if d, ok := c.compare(ctx); ok {
			select {
			case <-c.know: // nobody has taken it
			default:
			}
			c.know <- d
		}
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
			// Not more than one series a second, whatever the stamps are.
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		case <-time.After(clockEvery):
		}
	}
}

// compare compares the clocks by the quickest of some answers.
func (c *clock) compare(ctx context.Context) (best difference, ok bool) {
	shortest := clockTimeout
	for range clockTries {
		trying, cancel := context.WithTimeout(ctx, clockTimeout)
		began := time.Now()
		there, err := c.ask(trying)
		took := time.Since(began)
		cancel()
		if err != nil {
			return best, ok
		}
		if took < shortest {
			best, ok, shortest = difference{began.Add(took / 2), there}, true, took
		}
	}
	return best, ok
}

// captured is when a frame was captured that came now and has that stamp, in microseconds
// since 1970 by the other clock. It is now if the other clock is not known.
func (c *clock) captured(stamp int64, now time.Time) time.Time {
	select {
	case d := <-c.know:
		c.same = c.now.there != 0 && d.since(c.now).Abs() < ahead
		c.now, c.known = d, true
	default:
	}
	if !c.known {
		return now
	}
	at := c.now.here.Add(time.Duration(stamp-c.now.there) * time.Microsecond)
	age := now.Sub(at)
	switch {
	case (age < -ahead || age > oldest) && c.same: // it is the frame: one that says why there are no others
		return now
	case age < -ahead || age > oldest:
		c.known = false
		c.askSoon()
		return now
	case age > c.age+jump:
		c.askSoon()
	default:
		c.same = false
	}
	c.age = max(age, 0)
	if age < 0 {
		return now
	}
	return at
}

// since is by how much more the other clock went on than this one between two comparisons.
func (d difference) since(before difference) time.Duration {
	return time.Duration(d.there-before.there)*time.Microsecond - d.here.Sub(before.here)
}

// askSoon has the clocks compared anew.
func (c *clock) askSoon() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

var errNoTime = errors.New("it does not tell its time")

// askTime asks the pushcam whose stream is at u for its time.
func askTime(ctx context.Context, web *http.Client, u *url.URL) (micro int64, err error) {
	at := u.ResolveReference(&url.URL{Path: "state"})
	query := url.Values{"viewer": {"relay"}} // the short form
	if token := u.Query().Get("token"); token != "" {
		query.Set("token", token)
	}
	at.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return 0, err
	}
	answer, err := web.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	var state struct {
		Time json.Number `json:"time"` // as X-Timestamp
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&state); err != nil {
		return 0, err
	}
	if micro = parseStamp(state.Time.String()); answer.StatusCode != http.StatusOK || micro == 0 {
		return 0, errNoTime
	}
	return micro, nil
}
