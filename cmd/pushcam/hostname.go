package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/durable"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// ownName is what the appliance is called when nobody has changed it on a page: as the
// card's files said last, else as the image says. Later that may be an update's image. Until
// the card says another one, the page's goes before it, so the card does not rule it.
func ownName(root device.Root) given {
	if s, err := setup.Load(root); err == nil && s.CardHostname != "" {
		return given{s.CardHostname, byCard}
	}
	text, err := durable.ReadFile(root.Path(hostnameFile), maxHostname)
	if err != nil {
		return given{"pushcam", "default"}
	}
	return given{strings.TrimSpace(string(text)), "default"}
}

// hostnameFile has the image's name, in at most so many bytes.
const (
	hostnameFile = "etc/hostname"
	maxHostname  = 256
)

// errRenamed ends the program so that the system starts it anew.
var errRenamed = errors.New("the program is started anew, because the camera has another name")

// renameLook is how often the system's name is looked at.
const renameLook = 2 * time.Second

// awaitOtherName waits until the system has another name than this, and tells whether it
// has or ctx is done: the page of the set-up network gives it one. hostname is
// os.Hostname.
func awaitOtherName(ctx context.Context, name string, hostname func() (string, error)) bool {
	for {
		if now, err := hostname(); err == nil && now != name {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(renameLook):
		}
	}
}
