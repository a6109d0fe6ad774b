package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/pusher"
)

// placeholders draws what viewers see while the camera gives no picture: the reason.
// A Pi needs a while to draw, so that is done by a goroutine of its own, which skips
// all states but the newest.
type placeholders struct {
	hub    *pusher.Hub
	states chan camera.State // holds the newest
	size   size              // before the camera's first frame
	log    *slog.Logger
}

func newPlaceholders(hub *pusher.Hub, s size, log *slog.Logger) *placeholders {
	return &placeholders{hub: hub, states: make(chan camera.State, 1), size: s, log: log}
}

// show takes the camera's next state; it does not block, and has one caller.
func (p *placeholders) show(s camera.State) {
	select {
	case <-p.states:
	default:
	}
	p.states <- s
}

// privacy returns what closes the camera, or opens it, by close. It has nobody see the last
// frame of a camera that is closed.
func (p *placeholders) privacy(close func(why error)) func(why error) {
	return func(why error) {
		if close(why); why != nil {
			p.hub.Forget(errors.New(pusher.Public(why.Error())))
		}
	}
}

func (p *placeholders) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-p.states:
			p.draw(s)
		}
	}
}

func (p *placeholders) draw(s camera.State) {
	title := ""
	switch s.Phase {
	case camera.Idle, camera.Live:
		p.hub.Up()
		return
	case camera.Privacy:
		title = "Privacy"
	case camera.NoCamera:
		title = "No camera"
	case camera.Fault:
		title = "The camera does not work"
	default:
		return
	}
	width, height := p.hub.Size()
	if width == 0 || height == 0 {
		width, height = p.size.width, p.size.height
	}
	reason := pusher.Public(s.Reason)
	f, err := camera.Placeholder(width, height, title, reason)
	if err != nil {
		// Without it viewers see nothing, and not the camera's last frame.
		p.log.Error("cannot draw the picture that says why there is none", "err", err)
	}
	p.hub.ShowPlaceholder(f, errors.New(reason), s.Frames)
}
