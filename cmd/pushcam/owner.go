package main

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/pusher"
)

// newOwner gives the appliance's owner what is theirs alone. root is where the
// system's files are, name what the appliance is called on the network.
func newOwner(root string, name *discovery.Announcer, book *logbook, update http.Handler, log *slog.Logger) *pusher.Owner {
	owner := device.Owner{Root: root}
	return &pusher.Owner{
		Verify: owner.Verify,
		Names: func() []string {
			announced := name.State().Host // has a number if another one was there before
			short := strings.TrimSuffix(announced, ".local")
			return []string{name.Hostname, name.Hostname + ".local", announced, short}
		},
		Answers: map[string]http.Handler{
			"/api/log":  book,
			updatePath:  update,
			"/gokrazy/": &device.WebInterface{Prefix: "/gokrazy/", Root: root, Log: log.With("component", "gokrazy")},
		},
	}
}
