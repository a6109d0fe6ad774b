package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/network/status"
)

// network is the appliance's network as the program gokrazy/network tells of it. Nothing
// waits for that program: what it said last is what is known.
type network struct {
	log     *slog.Logger
	missing func(bool)    // is told whether there is none
	setUp   func(bool)    // is told whether there is the one that waits for its owner
	changed chan struct{} // holds one when something has changed
	latest  atomic.Pointer[status.Status]

	// follow is status.Follow of the program's socket.
	follow func(ctx context.Context, tell func(status.Status, error))
}

// networkPatience is how long there may be no network before that is said: a router
// needs a while for an address, and the program that asks for it is started again if it
// ends.
const networkPatience = 15 * time.Second

var errNoNetwork = errors.New("nobody can reach this pushcam")

func newNetwork(socket string, missing, setUp func(bool), log *slog.Logger) *network {
	return &network{
		log: log, missing: missing, setUp: setUp, changed: make(chan struct{}, 1),
		follow: func(ctx context.Context, tell func(status.Status, error)) { status.Follow(ctx, socket, tell) },
	}
}

// run follows the network until ctx is done.
func (n *network) run(ctx context.Context) {
	news := make(chan error)
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() {
		n.follow(ctx, func(s status.Status, err error) {
			if err == nil {
				err = n.take(s)
			}
			select {
			case news <- err:
			case <-ctx.Done():
			}
		})
	})
	var trouble, said error
	var patience <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case trouble = <-news:
			switch {
			case trouble == nil:
				if said != nil {
					n.log.Info("there is a network again")
				}
				said, patience = nil, nil
				n.missing(false)
			case patience == nil && (said == nil || trouble.Error() != said.Error()):
				patience = time.After(networkPatience)
			}
		case <-patience:
			said, patience = trouble, nil
			n.log.Warn("there is no network", "why", trouble)
			n.missing(errors.Is(trouble, errNoNetwork))
		}
	}
}

// take remembers a status. Its error says that nobody can reach this pushcam, and why.
func (n *network) take(s status.Status) error {
	n.latest.Store(&s)
	select {
	case n.changed <- struct{}{}:
	default:
	}
	n.setUp(s.WiFi != nil && s.WiFi.SetUp != nil)
	why := "it has no network adapter"
	for i, l := range s.Links {
		// An address that nobody has given is one, too: a laptop at the other end of the
		// cable finds it.
		if l.Carrier && len(l.Addresses) > 0 {
			return nil
		}
		if i == 0 {
			why = l.Name + ": " + l.Why
		}
	}
	if s.WiFi != nil && s.WiFi.Why != "" { // of the radio there is more to say than of a cable
		why = s.WiFi.Why
	}
	return fmt.Errorf("%w: %s", errNoNetwork, why)
}

// domain is the name of the network that the router has given, such as fritz.box; "" if
// there is none.
func (n *network) domain() string {
	if s := n.latest.Load(); s != nil {
		return s.Domain
	}
	return ""
}

// networkState is the part of /state. It tells viewers what is the camera's own, and not
// what else is in its network.
type networkState struct {
	discovery.State
	Links []status.Link `json:"links,omitempty"`
	Clock *status.Clock `json:"clock,omitempty"`
	WiFi  *status.Radio `json:"wifi,omitempty"`
}

func (n *network) state(name discovery.State) networkState {
	s := n.latest.Load()
	if s == nil {
		return networkState{State: name}
	}
	links := make([]status.Link, len(s.Links))
	for i, l := range s.Links {
		l.Router, l.LeaseUntil = netip.Addr{}, time.Time{}
		links[i] = l
	}
	state := networkState{name, links, &s.Clock, nil}
	if s.WiFi != nil {
		radio := *s.WiFi
		radio.Seen, radio.Missed = nil, "" // by which a place can be found
		if radio.Network != nil {
			in := *radio.Network
			in.BSSID = "" // by that, too
			radio.Network = &in
		}
		state.WiFi = &radio
	}
	return state
}

// writeMetrics writes the network's part of /metrics.
func (n *network) writeMetrics(w io.Writer) {
	s := n.latest.Load()
	if s == nil {
		return
	}
	for _, l := range s.Links {
		metrics.WriteGaugeUint64(w, fmt.Sprintf("pushcam_link_up{link=%q,kind=%q}", l.Name, l.Kind), one(l.Carrier && len(l.Addresses) > 0))
	}
	if r := s.WiFi; r != nil {
		metrics.WriteGaugeUint64(w, "pushcam_wifi_connected", one(r.Network != nil))
		metrics.WriteGaugeUint64(w, "pushcam_wifi_setup", one(r.SetUp != nil))
		if n := r.Network; n != nil && n.Signal != 0 {
			metrics.WriteGaugeFloat64(w, "pushcam_wifi_signal_dbm", float64(n.Signal))
			metrics.WriteGaugeFloat64(w, "pushcam_wifi_rate_mbit", float64(n.Rate))
		}
		for _, did := range []struct {
			what  string
			count int
		}{{"reassociation", r.Recovered.Reassociated}, {"restart", r.Recovered.Restarted}, {"reload", r.Recovered.Reloaded}, {"reboot", r.Recovered.Reboots}} {
			metrics.WriteCounterUint64(w, fmt.Sprintf("pushcam_wifi_recovered_total{by=%q}", did.what), uint64(did.count))
		}
	}
	metrics.WriteGaugeUint64(w, "pushcam_clock_set", one(s.Clock.Set))
	metrics.WriteGaugeFloat64(w, "pushcam_clock_offset_seconds", s.Clock.Offset.Seconds())
}

func one(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}
