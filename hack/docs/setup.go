//go:build linux

package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/pushcam/pushcam/gokrazy/network/portal"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// startSetUp serves what a phone finds in the set-up network of a new camera.
func startSetUp() *httptest.Server {
	p := portal.Portal{
		Network: "pushcam-setup-3F2A", Hostname: "pushcam", Owner: nobody{},
		Seen: []portal.Seen{
			{SSID: []byte("Home"), Signal: -48, Security: "WPA2"}, {SSID: []byte("Garden"), Signal: -62, Security: "WPA2"},
			{SSID: []byte("Café"), Signal: -74, Security: "open"},
		},
		Submit: func(func(*setup.Settings)) error { return setup.ErrNotKept },
		Log:    slog.New(slog.DiscardHandler),
	}
	site := p.Site()
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = portal.Address.Addr().String() // where it is in the set-up network
		site.ServeHTTP(w, r)
	}))
}

// nobody owns a camera yet.
type nobody struct{}

func (nobody) Free() bool                  { return true }
func (nobody) Verify(string) (bool, error) { return false, nil }
