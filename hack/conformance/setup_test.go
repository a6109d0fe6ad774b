package conformance

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/network/portal"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// setUpSite is the URL of what a phone finds in a camera's set-up network, after the camera
// has tried a network in vain.
func setUpSite(t *testing.T) string {
	t.Helper()
	p := portal.Portal{
		Network: "pushcam-setup-3F2A", Hostname: "pushcam", Owner: nobody{},
		Seen: []portal.Seen{
			{SSID: []byte("Home"), Signal: -48, Security: "WPA2"}, {SSID: []byte("Café"), Signal: -66, Security: "open"},
			{SSID: []byte("eduroam"), Signal: -70, Security: "EAP"},
		},
		Failure:  "The password of \"Home\" is not right.",
		Settings: setup.Settings{Networks: []setup.Network{{SSID: []byte("Home")}}},
		Submit:   func(func(*setup.Settings)) error { return nil },
		Log:      slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	site := p.Site()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = portal.Address.Addr().String() // where it is in the set-up network
		site.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// nobody owns a camera yet.
type nobody struct{}

func (nobody) Free() bool                  { return true }
func (nobody) Verify(string) (bool, error) { return false, nil }
