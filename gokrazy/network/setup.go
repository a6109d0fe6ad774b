//go:build linux

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/network/portal"
	"github.com/pushcam/pushcam/gokrazy/network/wifi"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// hostname is this computer's name, which whoever sets it up may change. It is empty
// only if the kernel does not tell it.
func hostname() string {
	name, _ := os.Hostname()
	return name
}

// setUp has the set-up network of the radio take what its owner types.
type setUp struct {
	root   device.Root
	reload func()                  // tells the radio that the settings have changed
	rename func(name []byte) error // gives this computer another name
	log    *slog.Logger
}

// serve is a wifi.Manager's Portal.
func (s *setUp) serve(ctx context.Context, o wifi.Opening) {
	settings, err := setup.Load(s.root)
	if err != nil {
		s.log.Error("the set-up page does not know what is set", "err", err)
	}
	owner := make(chan *device.Ownership, 1)
	go func() { // a card that hangs must not keep the radio from leaving
		known := device.ReadOwner(s.root)
		if settings.Password != "" {
			known = device.NewOwner(settings.Password)
		}
		owner <- device.OpenOwnership(s.root, known)
	}()
	p := &portal.Portal{Link: o.Link, Network: o.SSID, Hostname: hostname(), Failure: o.Failure, Settings: settings.Settings, Submit: s.submit, Log: s.log.With("component", "portal")}
	for _, h := range o.Air {
		p.Seen = append(p.Seen, portal.Seen{SSID: h.SSID, Signal: h.Signal, Security: h.Security})
	}
	select {
	case p.Owner = <-owner:
		p.Run(ctx)
	case <-ctx.Done():
	}
}

// submit is a portal's.
func (s *setUp) submit(change func(*setup.Settings)) error {
	name := ""
	err := setup.Save(s.root, func(settings *setup.Settings) error {
		change(settings)
		name = settings.Hostname
		return nil
	})
	if err != nil && !errors.Is(err, setup.ErrNotKept) {
		return err
	}
	if name != "" && name != hostname() {
		if err := s.rename([]byte(name)); err != nil {
			s.log.Error("the camera has its new name only after its next start", "name", name, "err", err)
		}
	}
	s.reload()
	return err
}
