package main

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/pusher/api"
)

// cameras is the answer to /api/cameras: the pushcams of the network, as multicast DNS knows
// them. Everybody in the network can ask for them likewise. They are looked for while
// somebody asks, and not more often than all askAgain.
type cameras struct {
	browse func(context.Context) ([]discovery.Found, error)
	// self tells whether a host name, as pushcam.local, is this camera's.
	self func(host string) bool
	log  *slog.Logger

	mu     sync.Mutex // held while it is looked for
	found  []foundCamera
	failed error
	until  time.Time // what was found serves until then
}

const (
	browseTime = 2 * time.Second
	askAgain   = 15 * time.Second
)

// foundCamera is a pushcam of the network.
type foundCamera struct {
	Name      string   `json:"name"`
	Host      string   `json:"host"`
	URL       string   `json:"url"` // by its address, because not every browser knows names below .local
	Addresses []string `json:"addresses"`
	Version   string   `json:"version,omitempty"`
	Model     string   `json:"model,omitempty"`
	Self      bool     `json:"self,omitempty"`
}

func (c *cameras) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found, err := c.look()
	if err != nil {
		api.Fail(w, r, http.StatusServiceUnavailable, err)
		return
	}
	api.Answer(w, r, http.StatusOK, map[string]any{"cameras": found})
}

// look returns what is there. Those who ask meanwhile wait for the same.
func (c *cameras) look() ([]foundCamera, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.until) {
		return c.found, c.failed
	}
	// It serves all who ask, so it does not end with the request of the first.
	ctx, cancel := context.WithTimeout(context.Background(), browseTime)
	defer cancel()
	all, err := c.browse(ctx)
	c.found, c.failed = []foundCamera{}, err // in JSON a list, also if it is empty
	for _, f := range all {
		if shown, ok := c.camera(f); ok {
			c.found = append(c.found, shown)
		}
	}
	if err != nil {
		c.log.Warn("the pushcams of the network are not known", "err", err)
	}
	c.until = time.Now().Add(askAgain)
	return c.found, c.failed
}

// camera is what was found as a page shows it; false if there is no URL for it. All of it
// comes from the network.
func (c *cameras) camera(f discovery.Found) (shown foundCamera, ok bool) {
	if len(f.Addresses) == 0 {
		return shown, false
	}
	shown = foundCamera{Name: f.Name, Host: f.Host, Version: f.Version, Model: f.Model, Self: c.self(f.Host)}
	for _, a := range f.Addresses {
		shown.Addresses = append(shown.Addresses, a.String())
	}
	host := f.Addresses[0]
	switch {
	case host.Zone() != "": // a browser takes no zone (RFC 6874 was withdrawn), so the name has to do
		if _, err := setup.CheckHostname(f.Host); err != nil {
			return shown, false
		}
		shown.URL = "http://" + f.Host
	case host.Is6():
		shown.URL = "http://[" + host.String() + "]"
	default:
		shown.URL = "http://" + host.String()
	}
	if f.Port != 80 {
		shown.URL += ":" + strconv.Itoa(f.Port)
	}
	path := cmp.Or(f.Path, "/")
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "\\\"'<>?#\r\n ") {
		path = "/"
	}
	shown.URL += strings.TrimSuffix(path, "/") + "/"
	return shown, true
}
