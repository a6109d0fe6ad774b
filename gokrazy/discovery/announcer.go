package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// lookInterval is how often the networks are looked at.
	lookInterval = 2 * time.Second
	// goodbyes is how often a goodbye is sent. Wireless networks lose some.
	goodbyes     = 2
	goodbyePause = 100 * time.Millisecond
)

// An Announcer makes a pushcam found on the networks of its computer, whichever
// there are, and says goodbye in the end.
type Announcer struct {
	// Hostname is the wanted name, without ".local". Characters that a name cannot have
	// are replaced by hyphens. Empty means "pushcam".
	Hostname string
	Port     int    // of the web server
	Version  string // of the program
	Model    string // of the board; empty if it is not known
	ID       string // of the camera (device.ID); empty if it has none
	Log      *slog.Logger

	// Kept is the name that Keep got last before the program started. It is tried
	// first, so that cameras that lose their power together do not swap their names.
	// A name that does not come from Hostname is ignored.
	Kept string
	// Keep gets the name that was won, without ".local", if it is another one than was
	// kept, or than Hostname if none was. It must not block. nil: the name is forgotten
	// with the program.
	Keep func(name string)
	// Changed has the networks looked at at once. Without it a change is noticed
	// within two seconds. It must not be closed.
	Changed <-chan struct{}

	kept     string // by Keep
	root     string // where /sys is looked for; a test's
	networks func() ([]*network, error)
	open     func([]*network) (wire, error)
	state    atomic.Pointer[State]
}

// State is what an Announcer says of itself. It is a value: nothing in it changes
// after it was handed out.
type State struct {
	// Host is the name that this computer can be called by, as pushcam.local.
	// Empty means that it has none (yet).
	Host string `json:"host,omitempty"`
	// Addresses are those announced with it.
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Reason is why there is no name, or why it is not the wanted one, in a
	// sentence.
	Reason string `json:"reason,omitempty"`
}

func (s State) equal(o State) bool {
	return s.Host == o.Host && s.Reason == o.Reason && slices.Equal(s.Addresses, o.Addresses)
}

// State is the latest. It may be called at any time, by any goroutine.
func (a *Announcer) State() State {
	if s := a.state.Load(); s != nil {
		return *s
	}
	return State{Reason: "the networks were not yet looked at"}
}

func (a *Announcer) publish(s State) { a.state.Store(&s) }

// Run announces until ctx is done, and then returns nil. It waits while there is no
// network, and returns an error only if the port is impossible. It must be called
// once.
func (a *Announcer) Run(ctx context.Context) error {
	if a.Port < 1 || a.Port > 65535 {
		return fmt.Errorf("cannot announce port %d: a port is from 1 to 65535", a.Port)
	}
	a.Log = cmp.Or(a.Log, slog.New(slog.DiscardHandler))
	if a.networks == nil {
		a.networks = func() ([]*network, error) { return systemNetworks(cmp.Or(a.root, "/")) }
	}
	if a.open == nil {
		a.open = openSockets
	}
	defer a.publish(State{Reason: "stopped"})
	r := &responder{base: label(a.Hostname), profile: a.profile()}
	r.number, a.kept = numberOf(r.base, a.Kept), a.Kept
	var said string
	for ctx.Err() == nil {
		err := a.announce(ctx, r)
		if err == nil {
			said = ""
			continue
		}
		a.publish(State{Reason: err.Error()})
		if why := err.Error(); why != said {
			said = why
			a.Log.Warn("this computer cannot be found by name; it is tried again until it can", "why", err)
		}
		select {
		case <-ctx.Done():
		case <-a.Changed:
		case <-time.After(lookInterval):
		}
	}
	return nil
}

func (a *Announcer) profile() profile {
	text := map[string]string{"path": page, "version": a.Version}
	if a.Model != "" {
		text["model"] = a.Model
	}
	if a.ID != "" {
		text["id"] = a.ID
	}
	for k, v := range text {
		text[k] = strings.ReplaceAll(printable(v), `\`, `\\`) // miekg/dns takes it off again
	}
	return profile{port: a.Port, pushcam: text}
}

var errNoNetwork = errors.New("there is no network")

// announce answers in the networks that there are now. It returns nil when they have
// changed or ctx is done.
func (a *Announcer) announce(ctx context.Context, r *responder) error {
	networks, err := a.networks()
	if err != nil {
		return fmt.Errorf("cannot list the networks: %w", err)
	}
	if len(networks) == 0 {
		return errNoNetwork
	}
	w, err := a.open(networks)
	if err != nil {
		return err
	}
	defer w.close()

	r.start(time.Now(), w, networks)
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Stop()
		if next := r.next(); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		look := false
		select {
		case <-ctx.Done():
			for range goodbyes {
				r.goodbye()
				time.Sleep(goodbyePause)
			}
			return nil
		case p := <-w.packets():
			r.handle(time.Now(), p)
		case <-timer.C:
			r.step(time.Now())
		case <-ticker.C:
			look = true
		case <-a.Changed:
			look = true
		}
		if look {
			if now, err := a.networks(); err == nil && !sameNetworks(now, networks) {
				a.Log.Debug("the networks have changed")
				return nil
			}
		}
		if r.held {
			a.report(r)
		}
	}
}

// report publishes the name that is held, and keeps and logs it if it is new.
func (a *Announcer) report(r *responder) {
	s := State{Host: r.name() + "." + domain}
	for _, l := range r.links {
		s.Addresses = append(s.Addresses, l.addresses()...)
	}
	switch home := r.home.number; {
	case r.number != home:
		s.Reason = "another device has taken the name " + numbered(r.base, home) + "." + domain + ", which is taken back when that device is gone"
	case r.number > 1:
		s.Reason = "another device had the name " + r.base + "." + domain + " first"
	}
	if before := a.State(); before.equal(s) {
		return
	}
	if a.Keep != nil && r.number == r.home.number && r.name() != cmp.Or(a.kept, r.base) {
		a.Keep(r.name())
		a.kept = r.name()
	}
	if s.Reason != "" {
		a.Log.Warn("this pushcam has another name on the network than the one that it was given", "host", s.Host, "addresses", s.Addresses, "why", s.Reason)
	} else {
		a.Log.Info("this pushcam has a name on the network", "host", s.Host, "addresses", s.Addresses)
	}
	a.publish(s)
}
