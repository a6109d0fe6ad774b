package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/pusher/api/apitest"
)

// air is what a wifi changes: the networks that are kept, and what the radio is in.
type air struct {
	*wifi
	mu      sync.Mutex // guards the next two
	kept    setup.Settings
	reloads int
	status  atomic.Pointer[status.Status]
	spec    *apitest.Spec
}

// newAir is in the network home, until the test ends. It must be called in a bubble.
func newAir(t *testing.T) *air {
	a := &air{kept: setup.Settings{Country: "DE", Networks: []setup.Network{{SSID: []byte("home"), PSK: new([32]byte), Priority: 1}}}}
	a.wifi = &wifi{
		latest: a.status.Load, tries: make(chan wifiTry, 1), log: slog.New(slog.DiscardHandler),
		load: func() (setup.Setup, error) { kept, _ := a.now(); return setup.Setup{Settings: kept}, nil },
		save: func(change func(*setup.Settings) error) error {
			a.mu.Lock()
			defer a.mu.Unlock()
			return change(&a.kept)
		},
		reload: func(context.Context) error { a.mu.Lock(); defer a.mu.Unlock(); a.reloads++; return nil },
	}
	var err error
	if a.spec, err = apitest.Load(); err != nil {
		t.Fatal(err)
	}
	a.join("home", status.DHCP)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); a.run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return a
}

func (a *air) join(ssid string, from status.Origin) {
	a.status.Store(&status.Status{
		WiFi: &status.Radio{Link: "wlan0", Since: time.Now(), Network: &status.WiFiNetwork{SSID: ssid, Signal: -50}, Seen: []status.SeenNetwork{{SSID: "home", Signal: -50}}},
		Links: []status.Link{{Name: "eth0", Addresses: []status.Address{{Prefix: netip.MustParsePrefix("10.0.0.1/8"), From: status.DHCP}}},
			{Name: "wlan0", Addresses: []status.Address{{Prefix: netip.MustParsePrefix("10.0.0.2/8"), From: from}}}},
	})
}

// keepsAddress has the radio in another network with the address of the one before, which
// nobody there has given.
func (a *air) keepsAddress(ssid string, from status.Origin) {
	a.join(ssid, from)
	s := *a.status.Load()
	s.Links = slices.Clone(s.Links)
	s.Links[1].Unconfirmed = from == status.DHCP
	a.status.Store(&s)
}

// miss says why it is not in another network.
func (a *air) miss(why string) {
	s := *a.status.Load()
	radio := *s.WiFi
	radio.Missed = why
	s.WiFi = &radio
	a.status.Store(&s)
}

func (a *air) ask(t *testing.T, method, body string, code int) (text string) {
	t.Helper()
	method, query, _ := strings.Cut(method, " ")
	r := httptest.NewRequest(method, "/api/wifi"+query, strings.NewReader(body))
	r.Header.Set("Accept", "application/json")
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	if w.Code != code {
		t.Errorf("%s %s: %d %s, want %d", method, body, w.Code, w.Body, code)
	}
	if err := a.spec.Check("/api/wifi", method, w.Code, w.Header().Get("Content-Type"), w.Body.Bytes()); err != nil {
		t.Error(err)
	}
	return w.Body.String()
}

// now is what is kept, and how often the radio was told.
func (a *air) now() (kept setup.Settings, reloads int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.kept, a.reloads
}

func (a *air) ssids() (all []string) {
	kept, _ := a.now()
	for _, n := range kept.Networks {
		all = append(all, string(n.SSID))
	}
	return all
}

func TestAnotherWiFi(t *testing.T) {
	tests := []struct {
		name  string
		then  func(*air)
		state string
		kept  []string
	}{
		{"joined", func(a *air) { a.join("new", status.DHCP) }, "joined", []string{"new", "home"}},
		{"never seen", func(*air) {}, "went back", []string{"home"}},
		{"no address there", func(a *air) { a.join("new", status.LinkLocal) }, "went back", []string{"home"}},
		{"nobody gives an address there", func(a *air) { a.keepsAddress("new", status.DHCP) }, "went back", []string{"home"}},
		{"with a new address of IPv6", func(a *air) { a.join("new", status.IPv6) }, "joined", []string{"new", "home"}},
		{"back in the one before", func(a *air) { a.join("home", status.DHCP) }, "went back", []string{"home"}},
		{"the password is wrong", func(a *air) {
			a.join("home", status.DHCP)
			a.miss(`The password for "new" is wrong.`)
		}, "went back", []string{"home"}},
		{"the network program is gone", func(a *air) {
			a.status.Store(nil)
			time.Sleep(wifiTime)
			a.join("home", status.DHCP)
		}, "went back", []string{"home"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAir(t)
				if said := a.ask(t, "PUT", `{"ssid":"new","password":"tulip and rose","country":"AT"}`, http.StatusAccepted); !strings.Contains(said, `"trying"`) || strings.Contains(said, "tulip") {
					t.Error(said)
				}
				a.ask(t, "PUT", `{"ssid":"third"}`, http.StatusConflict)
				if kept, _ := a.now(); kept.Networks[0].Priority != 2 || kept.Networks[0].PSK == nil || kept.Country != "AT" {
					t.Errorf("meanwhile %+v is kept", kept)
				}
				if diff := cmp.Diff([]string{"new", "home"}, a.ssids()); diff != "" {
					t.Errorf("meanwhile (-want +got):\n%s", diff)
				}
				time.Sleep(10 * time.Second)
				tt.then(a)
				time.Sleep(wifiTime)
				synctest.Wait()
				if diff := cmp.Diff(tt.kept, a.ssids()); diff != "" {
					t.Errorf("kept (-want +got):\n%s", diff)
				}
				var got struct{ Change wifiChange }
				if err := json.Unmarshal([]byte(a.ask(t, "GET", "", http.StatusOK)), &got); err != nil || got.Change.State != tt.state || (got.Change.Why == "") != (tt.state == "joined") {
					t.Errorf("%+v, %v; want %s", got, err, tt.state)
				}
				if said := a.latest().WiFi.Missed; said != "" && got.Change.Why != said {
					t.Errorf("it went back because of %q, want %q", got.Change.Why, said)
				}
				kept, reloads := a.now()
				if back := tt.state == "went back"; back && (kept.Country != "DE" || reloads != 2) || !back && reloads != 1 {
					t.Errorf("country %s, %d reloads", kept.Country, reloads)
				}
			})
		})
	}
}

// Another password for the network in which the camera is serves only if it joins that anew:
// the radio's program still tells for a moment that it is there.
func TestAnotherWiFiPassword(t *testing.T) {
	for _, right := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			a := newAir(t)
			before, _ := a.now()
			a.ask(t, "PUT", `{"ssid":"home","password":"tulip and rose"}`, http.StatusAccepted)
			time.Sleep(10 * time.Second)
			if right {
				a.join("home", status.DHCP)
			} else {
				a.status.Store(&status.Status{WiFi: &status.Radio{Link: "wlan0", Since: time.Now(), Why: "The password is wrong."}})
			}
			time.Sleep(wifiTime)
			synctest.Wait()
			kept, _ := a.now()
			if old := cmp.Equal(before.Networks, kept.Networks); old == right || (a.last().State == "joined") != right {
				t.Errorf("the password is right: %v; it %s, and the one of before is kept: %v", right, a.last().State, old)
			}
		})
	}
}

// What somebody types on the set-up page meanwhile is not taken back with the change.
func TestWiFiSetAnewMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAir(t)
		a.ask(t, "PUT", `{"ssid":"new","password":"tulip and rose"}`, http.StatusAccepted)
		time.Sleep(time.Minute)
		if err := a.save(func(s *setup.Settings) error {
			s.Networks = append([]setup.Network{{SSID: []byte("typed"), Priority: 3}}, s.Networks...)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(wifiTime)
		synctest.Wait()
		if diff := cmp.Diff([]string{"typed", "new", "home"}, a.ssids()); diff != "" || a.last().State != "went back" {
			t.Errorf("%+v, kept (-want +got):\n%s", a.last(), diff)
		}
	})
}

// A network is forgotten, but for the one that the camera is in and while a change is under way.
func TestWiFiIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAir(t)
		a.kept.Networks = append(a.kept.Networks, setup.Network{SSID: []byte("old & gone")})
		forget := func(ssid string, code int) string { return a.ask(t, "DELETE ?ssid="+ssid, "", code) }
		if said := forget("home", http.StatusConflict); !strings.Contains(said, "join another one first") {
			t.Error(said)
		}
		forget("never", http.StatusNotFound)
		forget("", http.StatusNotFound)
		if said := forget("old+%26+gone", http.StatusOK); !strings.Contains(said, `"known": [
    "home"
  ]`) {
			t.Error(said)
		}
		if _, reloads := a.now(); reloads != 1 {
			t.Errorf("the radio was told %d times", reloads)
		}
		a.ask(t, "PUT", `{"ssid":"new"}`, http.StatusAccepted)
		forget("new", http.StatusConflict)
		time.Sleep(10 * time.Second)
		a.join("new", status.DHCP)
		time.Sleep(wifiTime)
		synctest.Wait()
		forget("home", http.StatusOK)
		a.save = func(func(*setup.Settings) error) error { return errors.New("no room in /run") }
		forget("home", http.StatusServiceUnavailable)
		if diff := cmp.Diff([]string{"new"}, a.ssids()); diff != "" {
			t.Errorf("kept (-want +got):\n%s", diff)
		}
	})
}

func TestWiFiIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAir(t)
		for body, code := range map[string]int{
			`{"ssid":""}`: 422, `{"ssid":"` + strings.Repeat("x", 33) + `"}`: 422, `{"ssid":"a","password":"short"}`: 422,
			`{"ssid":"a","country":"Germany"}`: 422, `{"ssid":"a","key":"x"}`: 400, `[]`: 400,
		} {
			a.ask(t, "PUT", body, code)
		}
		a.save = func(func(*setup.Settings) error) error { return errors.New("no room in /run") }
		if a.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("PUT", "/api/wifi", strings.NewReader(`{"ssid":"a"}`))); a.last().State != "went back" {
			t.Errorf("%+v", a.last())
		}
		if _, reloads := a.now(); reloads != 0 {
			t.Error("the radio was told")
		}
		a.status.Store(&status.Status{})
		a.ask(t, "GET", "", http.StatusConflict)
	})
}
