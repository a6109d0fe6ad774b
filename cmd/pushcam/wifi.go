package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/pusher/api"
)

// wifi is the answer to /api/wifi: which networks there are, and the way to another one. A
// network that cannot be joined within wifiTime is forgotten, and the camera goes back to
// what it had. Those networks stay in the list meanwhile, so that a power cut costs nothing,
// but for the password of one with the same name.
type wifi struct {
	latest func() *status.Status // of the network program; nil: not known
	load   func() (setup.Setup, error)
	save   func(change func(*setup.Settings) error) error
	reload func(context.Context) error // tells the network program
	log    *slog.Logger

	tries chan wifiTry // holds one at most

	mu     sync.Mutex
	change *wifiChange // the last; never changed
}

// wifiChange is how it goes with another network.
type wifiChange struct {
	SSID  string    `json:"ssid"`
	State string    `json:"state"` // trying, joined, or went back
	Until time.Time `json:"until"`
	Why   string    `json:"why,omitempty"` // it went back
}

// wifiTry is a change that is being made, and what was before.
type wifiTry struct {
	ssid     string
	tried    setup.Network
	since    time.Time        // status.Radio's, of before
	had      []status.Address // that the radio had before
	country  string
	networks []setup.Network
}

const (
	// wifiTime leaves the radio some seconds of two minutes to join the network of before.
	wifiTime = 105 * time.Second
	wifiLook = time.Second
)

var (
	errInIt           = errors.New("the camera is in this network: have it join another one first")
	errUnknownNetwork = errors.New("the camera does not know a network of that name; GET /api/wifi lists those that it knows")

	errNoWiFi    = errors.New("there is no Wi-Fi here that this pushcam rules")
	errOvertaken = errors.New("the networks were set anew meanwhile")
	errChanging  = errors.New("another change of the Wi-Fi is under way: wait until it is joined, or the camera has gone back")
)

func (w *wifi) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if !api.Allows(rw, r, http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete) {
		return
	}
	if s := w.latest(); s == nil || s.WiFi == nil {
		api.Fail(rw, r, http.StatusConflict, errNoWiFi)
		return
	}
	code := http.StatusOK
	if r.Method == http.MethodDelete {
		if failed, err := w.forget(r.Context(), r.URL.Query().Get("ssid")); err != nil {
			api.Fail(rw, r, failed, err)
			return
		}
	}
	if r.Method == http.MethodPut {
		code = http.StatusAccepted
		var wish struct{ SSID, Password, Country string }
		if !api.Read(rw, r, &wish) {
			return
		}
		if failed, err := w.begin(wish.SSID, wish.Password, wish.Country); err != nil {
			api.Fail(rw, r, failed, err)
			return
		}
	}
	api.Answer(rw, r, code, w.state())
}

// state is the answer.
func (w *wifi) state() any {
	known := []string{} // in JSON a list, also if it is empty
	if s, err := w.load(); err == nil {
		for _, n := range s.Networks {
			known = append(known, string(n.SSID))
		}
	}
	var radio status.Radio
	if s := w.latest(); s != nil && s.WiFi != nil {
		radio = *s.WiFi
	}
	if radio.Seen == nil {
		radio.Seen = []status.SeenNetwork{}
	}
	return struct {
		status.Radio
		Seen   []status.SeenNetwork `json:"seen"`
		Known  []string             `json:"known"`
		Change *wifiChange          `json:"change,omitempty"`
	}{radio, radio.Seen, known, w.last()}
}

func (w *wifi) last() *wifiChange {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.change
}

func (w *wifi) set(c wifiChange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.change = &c
}

// forget takes a network out of those that are kept. The one that the radio is in stays, so
// that nobody locks himself out.
func (w *wifi) forget(ctx context.Context, ssid string) (code int, err error) {
	if c := w.last(); c != nil && c.State == "trying" {
		return http.StatusConflict, errChanging
	}
	if s := w.latest(); s != nil && s.WiFi != nil && s.WiFi.Network != nil && s.WiFi.Network.SSID == ssid {
		return http.StatusConflict, errInIt
	}
	err = w.save(func(s *setup.Settings) error {
		left := slices.DeleteFunc(slices.Clone(s.Networks), func(n setup.Network) bool { return string(n.SSID) == ssid })
		if len(left) == len(s.Networks) {
			return errUnknownNetwork
		}
		s.Networks = left
		return nil
	})
	switch {
	case errors.Is(err, errUnknownNetwork):
		return http.StatusNotFound, err
	case err != nil && !errors.Is(err, setup.ErrNotKept):
		return http.StatusServiceUnavailable, err
	}
	w.log.Info("a Wi-Fi network is forgotten", "ssid", ssid)
	if err := w.reload(ctx); err != nil {
		return http.StatusServiceUnavailable, fmt.Errorf("it is forgotten, and the radio does not hear of it: %w", err)
	}
	return 0, nil
}

// begin has the radio try a network before all others.
func (w *wifi) begin(ssid, password, country string) (code int, err error) {
	refused := make(api.Refusals)
	first := setup.Network{SSID: []byte(ssid)}
	if err := setup.CheckSSID(first.SSID); err != nil {
		refused["ssid"] = err.Error()
	} else if password != "" {
		if first.PSK, err = setup.ParseKey(first.SSID, password); err != nil {
			refused["password"] = err.Error()
		}
	}
	if country != "" {
		if country, err = setup.CheckCountry(country); err != nil {
			refused["country"] = err.Error()
		}
	}
	if len(refused) > 0 {
		return http.StatusUnprocessableEntity, refused
	}
	w.mu.Lock()
	if w.change != nil && w.change.State == "trying" {
		w.mu.Unlock()
		return http.StatusConflict, errChanging
	}
	w.change = &wifiChange{SSID: ssid, State: "trying", Until: time.Now().Add(wifiTime)}
	w.mu.Unlock()

	try := wifiTry{ssid: ssid}
	if s := w.latest(); s != nil && s.WiFi != nil {
		try.since, try.had = s.WiFi.Since, radioLink(s).Addresses
	}
	err = w.save(func(s *setup.Settings) error {
		try.country, try.networks = s.Country, slices.Clone(s.Networks)
		s.Prefer(first)
		try.tried = s.Networks[0]
		if country != "" {
			s.Country = country
		}
		return nil
	})
	if err != nil && !errors.Is(err, setup.ErrNotKept) {
		w.set(wifiChange{SSID: ssid, State: "went back", Why: err.Error()})
		return http.StatusServiceUnavailable, err
	}
	w.tries <- try
	return 0, nil
}

// run sees to what was begun, until ctx is done.
func (w *wifi) run(ctx context.Context) {
	for {
		select {
		case try := <-w.tries:
			w.follow(ctx, try)
		case <-ctx.Done():
			return
		}
	}
}

// follow waits until the radio is in the network, or takes the change back.
func (w *wifi) follow(ctx context.Context, try wifiTry) {
	limit, tick := time.NewTimer(wifiTime), time.NewTicker(wifiLook)
	defer limit.Stop()
	defer tick.Stop()
	if err := w.reload(ctx); err != nil {
		w.back(ctx, try, err.Error())
		return
	}
	why := ""
	for {
		select {
		case <-tick.C:
		case <-limit.C:
			w.back(ctx, try, why)
			return
		case <-ctx.Done(): // the networks before are in the list, behind this one
			return
		}
		var joined bool
		if joined, why = w.joined(try); joined {
			w.set(wifiChange{SSID: try.ssid, State: "joined"})
			w.log.Info("the camera is in another Wi-Fi network", "ssid", try.ssid)
			return
		}
	}
}

// radioLink is the link of the radio.
func radioLink(s *status.Status) status.Link {
	i := slices.IndexFunc(s.Links, func(l status.Link) bool { return l.Name == s.WiFi.Link })
	if i < 0 {
		return status.Link{}
	}
	return s.Links[i]
}

// joined tells whether the radio is in a network and has an address there, or why not. If it
// was in a network of that name before, it must have joined it anew, with the new password:
// until it does, its program tells how it was. An address of before is none, until a DHCP
// server says that it is: without one the camera would stay where nobody finds it.
func (w *wifi) joined(try wifiTry) (bool, string) {
	s := w.latest()
	if s == nil || s.WiFi == nil {
		return false, "the radio does not answer"
	}
	if n := s.WiFi.Network; n == nil || n.SSID != try.ssid || s.WiFi.Since.Equal(try.since) {
		return false, cmp.Or(s.WiFi.Missed, s.WiFi.Why)
	}
	l := radioLink(s)
	given := slices.ContainsFunc(l.Addresses, func(a status.Address) bool {
		return a.From == status.DHCP && !l.Unconfirmed || a.From == status.IPv6 && !slices.Contains(try.had, a)
	})
	if !given {
		return false, "it gives no address"
	}
	return true, ""
}

// back takes a change back, unless somebody has set the networks meanwhile, as on the page of
// the set-up network.
func (w *wifi) back(ctx context.Context, try wifiTry, why string) {
	if why == "" {
		why = fmt.Sprintf("it was not joined within %v", wifiTime)
	}
	err := w.save(func(s *setup.Settings) error {
		if len(s.Networks) == 0 || !reflect.DeepEqual(s.Networks[0], try.tried) {
			return errOvertaken
		}
		s.Country, s.Networks = try.country, try.networks
		return nil
	})
	if errors.Is(err, errOvertaken) {
		w.set(wifiChange{SSID: try.ssid, State: "went back", Why: err.Error()})
		return
	}
	if err == nil || errors.Is(err, setup.ErrNotKept) {
		err = w.reload(ctx)
	}
	if err != nil {
		w.log.Error("the Wi-Fi networks of before are not told to the radio", "err", err)
	}
	w.log.Warn("the camera goes back to the Wi-Fi networks of before", "ssid", try.ssid, "why", why)
	w.set(wifiChange{SSID: try.ssid, State: "went back", Why: why})
}
