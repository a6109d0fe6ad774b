// Package clock sets the computer's clock by servers on the network (NTP, RFC 5905).
//
// The protocol is github.com/beevik/ntp's: its messages, the random number by which an
// answer is known to be one, and whether a server believes its own clock. What is here
// is whom to ask and when, what to believe, and how the clock is moved. gokrazy's own
// program has no such rules: without the Internet it asks DNS 200 times a minute for
// ever, and it steps the clock, also backwards, by whatever one server says.
package clock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/beevik/ntp"

	"github.com/pushcam/pushcam/gokrazy/network/status"
)

const (
	// A question that nobody answers is asked again after firstRetry, then after twice
	// that and so on.
	firstRetry = 4 * time.Second
	maxRetry   = 10 * time.Minute
	// An answer is followed by the next question after minPoll, then after twice that
	// and so on: the crystal of a Pi is wrong by up to 50 ms in maxPoll.
	minPoll = 64 * time.Second
	maxPoll = 1024 * time.Second
	// stepFrom is the error from which the clock is stepped. Below that it runs faster
	// or slower until it is right, by 0.5 ms a second, so that no time comes twice.
	stepFrom = 500 * time.Millisecond
	// A clock that was set is stepped again only if a second server agrees, to about
	// agreeWithin. That one is asked after secondOpinion.
	agreeWithin   = time.Second
	secondOpinion = 16 * time.Second
	// maxServers is how many servers of each source are asked at a time, one after the
	// other.
	maxServers   = 3
	queryTimeout = 3 * time.Second
	ntpPort      = 123
	// lookupTimeout is enough for a second name server if the first one is silent.
	lookupTimeout = 12 * time.Second
	// changePause is the least time between two questions when the network changes again
	// and again.
	changePause = 2 * time.Second
	// A server that does not want to be asked (a kiss-o'-death packet, RFC 5905, 7.4) is
	// not asked for kissTime. At most maxKissed are remembered.
	kissTime  = 24 * time.Hour
	maxKissed = 64
)

// pool are names of time servers of the Internet, gokrazy's own ones in the public pool,
// whose operators ask makers of devices not to use the names for everybody. Each name is
// several servers, others every time.
var pool = []string{"0.gokrazy.pool.ntp.org.", "1.gokrazy.pool.ntp.org.", "2.gokrazy.pool.ntp.org.", "3.gokrazy.pool.ntp.org."}

// A Clock sets the computer's clock.
type Clock struct {
	Log *slog.Logger
	// NotBefore is a time that is over for sure, such as when the program was made: a
	// server that tells an earlier one is not believed.
	NotBefore time.Time

	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	query  func(ctx context.Context, server netip.AddrPort) (*ntp.Response, error)
	system system
	port   uint16
	tell   func(status.Clock)

	state    status.Clock
	failures int                      // since the last answer
	polls    int                      // answered since the network changed
	doubt    *reading                 // asks for a step that nobody has confirmed
	kissed   map[netip.Addr]time.Time // servers that are not to be asked, and until when
}

// system is the computer's clock.
type system interface {
	// now is what it shows.
	now() time.Time
	// step moves it at once.
	step(by time.Duration) error
	// slew has it run faster or slower until it has moved.
	slew(by time.Duration) error
	// synced says that it shows the time, so that the kernel keeps it in the clock that
	// runs on a battery, where there is one.
	synced() error
}

// reading is what a server has told.
type reading struct {
	server netip.Addr
	offset time.Duration // of its clock from ours, positive if ours is slow
	delay  time.Duration // of the question and the answer on their way; half of it may be error
}

// Run sets the clock by the network that server tells of, until ctx is done, and tells
// server how the clock stands.
func (c *Clock) Run(ctx context.Context, server *status.Server) {
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	c.lookup, c.query, c.system, c.port = lookup, query, systemClock{}, ntpPort
	c.tell = func(s status.Clock) { server.Update(func(all *status.Status) { all.Clock = s }) }
	networks := make(chan network)
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { c.run(ctx, networks) })
	for {
		s, changed := server.Status()
		select {
		case networks <- networkOf(s):
		case <-ctx.Done():
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// A network is what matters for the time of the computer's networks.
type network struct {
	// route names the way to the Internet, as "eth0 192.168.1.1"; "" if there is none.
	route string
	// servers are time servers that routers have named (DHCP option 42).
	servers []netip.Addr
}

func (n network) equal(o network) bool {
	return n.route == o.route && slices.Equal(n.servers, o.servers)
}

func networkOf(s status.Status) network {
	n := network{servers: s.NTP}
	for _, l := range s.Links {
		if l.Default {
			n.route = l.Name + " " + l.Router.String()
			return n
		}
		for _, a := range l.Addresses {
			if l.Carrier && a.From == status.IPv6 && n.route == "" {
				n.route = l.Name + " " + a.Prefix.Masked().String() // its router is the kernel's business
			}
		}
	}
	return n
}

// run asks nobody until it is told of a network, and asks at once when it is told of
// another one.
func (c *Clock) run(ctx context.Context, networks <-chan network) {
	c.kissed = make(map[netip.Addr]time.Time)
	type answer struct {
		reading
		err error
	}
	var (
		now     network
		next    time.Time   // when to ask
		asked   time.Time   // last
		answers chan answer // nil while nobody is asked
		stop    = func() {} // of that, which is over when it returns
	)
	for {
		var due <-chan time.Time
		if answers == nil && (now.route != "" || len(now.servers) > 0) {
			due = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
			stop()
			return
		case n := <-networks:
			if n.equal(now) {
				continue
			}
			stop()
			now, answers, next = n, nil, asked.Add(changePause)
			c.failures, c.polls, c.doubt = 0, 0, nil
		case <-due:
			asked = time.Now()
			asking, cancel := context.WithCancel(ctx)
			given := make(chan answer)
			var running sync.WaitGroup
			running.Go(func() {
				r, err := c.ask(asking, now)
				select {
				case given <- answer{r, err}:
				case <-asking.Done():
				}
			})
			answers, stop = given, func() { cancel(); running.Wait() }
		case a := <-answers:
			stop()
			answers, next = nil, time.Now().Add(c.take(a.reading, a.err))
		}
	}
}

// ask asks one server after the other until one answers well: first those that the
// router has named, then some of the pool. The one that is in doubt comes last.
func (c *Clock) ask(ctx context.Context, n network) (reading, error) {
	failed := errNoServer
	var doubtful []netip.Addr
	try := func(servers []netip.Addr) (reading, bool) {
		asked := 0
		for _, s := range servers {
			if c.doubt != nil && s == c.doubt.server {
				doubtful = []netip.Addr{s}
				continue
			}
			if asked == maxServers || time.Now().Before(c.kissed[s]) {
				continue
			}
			asked++
			r, err := c.read(ctx, s)
			if err == nil {
				return r, true
			}
			if failed == errNoServer {
				failed = err
			}
		}
		return reading{}, false
	}
	if r, ok := try(n.servers); ok {
		return r, nil
	}
	if n.route != "" && ctx.Err() == nil {
		found, err := c.find(ctx)
		if err != nil && failed == errNoServer {
			failed = err
		}
		if r, ok := try(found); ok {
			return r, nil
		}
	}
	if doubtful != nil && ctx.Err() == nil {
		return c.read(ctx, doubtful[0])
	}
	return reading{}, failed
}

var errNoServer = errors.New("no time server may be asked")

// find looks for servers of the pool.
func (c *Clock) find(ctx context.Context) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	host := pool[rand.N(len(pool))]
	found, err := c.lookup(ctx, host)
	switch {
	case ctx.Err() != nil:
		err = errors.New("the time servers of the Internet are not found: no name server answers")
	case err != nil:
		err = fmt.Errorf("the time servers of the Internet are not found: %w", err)
	}
	return found, err
}

// read asks a server for the time, and refuses what cannot be.
func (c *Clock) read(ctx context.Context, server netip.Addr) (reading, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	answer, err := c.query(ctx, netip.AddrPortFrom(server, c.port))
	switch {
	case ctx.Err() != nil:
		return reading{}, fmt.Errorf("the time server %s does not answer", server)
	case err != nil:
		return reading{}, fmt.Errorf("the time server %s does not answer: %w", server, err)
	case answer.Stratum == 0 && slices.Contains(kisses, answer.KissCode):
		c.kiss(server)
		return reading{}, fmt.Errorf("the time server %s does not want to be asked (%s)", server, answer.KissCode)
	}
	if err := answer.Validate(); err != nil {
		return reading{}, fmt.Errorf("the time server %s does not know the time itself: %w", server, err)
	}
	// The library's own ClockOffset overflows from a clock in 1970 to a year after 2038.
	now := answer.Time.Add(answer.RTT / 2)
	if now.Before(c.NotBefore) {
		return reading{}, fmt.Errorf("the time server %s is wrong: it says %s, and this program is of %s", server, now.UTC().Format(time.DateOnly), c.NotBefore.UTC().Format(time.DateOnly))
	}
	return reading{server, now.Sub(c.system.now().Round(0)), answer.RTT}, nil
}

// kisses are those that ask for silence. A server that does not know the time yet may
// send other ones, such as INIT.
var kisses = []string{"DENY", "RSTR", "RATE"}

// kiss remembers that a server does not want to be asked.
func (c *Clock) kiss(server netip.Addr) {
	if len(c.kissed) >= maxKissed {
		clear(c.kissed)
	}
	c.kissed[server] = time.Now().Add(kissTime)
}

// take moves the clock as a server has told, and returns how long to wait for the next
// question.
func (c *Clock) take(r reading, err error) time.Duration {
	if err != nil {
		c.fail(err)
		return c.retry()
	}
	c.failures = 0
	switch off := r.offset.Abs(); {
	case off >= stepFrom && c.state.Set && !c.confirmed(r):
		c.Log.Warn("a time server says that the clock is wrong; another one is asked", "server", r.server, "offset", r.offset)
		c.doubt = &r
		return secondOpinion
	case off >= stepFrom:
		if err = c.system.step(r.offset); err == nil {
			c.Log.Info("the clock is set", "server", r.server, "offset", r.offset)
		}
	case off > r.delay/2:
		if err = c.system.slew(r.offset); err == nil {
			c.Log.Debug("the clock is corrected", "server", r.server, "offset", r.offset)
		}
	}
	c.doubt = nil
	if err != nil {
		c.fail(fmt.Errorf("the clock cannot be moved by %v: %w", r.offset, err))
		return c.retry()
	}
	if err := c.system.synced(); err != nil {
		c.Log.Debug("the kernel does not take it that the clock is right", "err", err)
	}
	c.publish(status.Clock{Set: true, Server: r.server.String(), Offset: r.offset, Since: time.Now()})
	c.polls++
	return jitter(min(minPoll<<min(c.polls-1, 10), maxPoll))
}

// confirmed says whether the server before asked for about the same step.
func (c *Clock) confirmed(r reading) bool {
	return c.doubt != nil && (c.doubt.offset-r.offset).Abs() <= agreeWithin
}

func (c *Clock) retry() time.Duration {
	c.failures++
	d := min(firstRetry<<min(c.failures-1, 10), maxRetry)
	if c.state.Set {
		d = max(d, minPoll)
	}
	return jitter(d)
}

// jitter keeps cameras that lost their power together from asking together.
func jitter(d time.Duration) time.Duration { return d - d/8 + rand.N(d/4) }

// fail makes known why the time is not known, and logs it if it was known before.
func (c *Clock) fail(err error) {
	level := slog.LevelDebug
	if c.state.Error == "" {
		level = slog.LevelWarn
	}
	c.Log.Log(context.Background(), level, "no time server tells the time; they are asked again, less and less often", "why", err)
	state := c.state
	state.Error = err.Error()
	c.publish(state)
}

func (c *Clock) publish(s status.Clock) {
	c.state = s
	c.tell(s)
}
