package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/pusher"
)

// notices turns the camera's states into what viewers see while there is no
// picture. Drawing takes a Pi a while, so it has a goroutine of its own, which
// draws the newest state only.
type notices struct {
	hub    *pusher.Hub
	states chan camera.State // holds the newest
	size   size
	log    *slog.Logger
}

// show takes the camera's next state; it does not block, and has one caller.
func (n *notices) show(s camera.State) {
	select {
	case <-n.states:
	default:
	}
	n.states <- s
}

func (n *notices) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-n.states:
			n.draw(s)
		}
	}
}

func (n *notices) draw(s camera.State) {
	title := ""
	switch s.Phase {
	case camera.Idle, camera.Live:
		n.hub.Up()
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
	f, err := camera.Placard(n.size.width, n.size.height, title, s.Reason)
	if err != nil {
		// Without it viewers see nothing, and not the camera's last frame.
		n.log.Error("cannot draw the picture that says why there is none", "err", err)
	}
	n.hub.Notice(f, errors.New(s.Reason))
}
