package main

import (
	"log/slog"
	"strings"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2"
)

// newCamera watches over what -source asks for, which may be the webcam.
func newCamera(c *config, webcam *v4l2.Source, log *slog.Logger) *camera.Camera {
	return &camera.Camera{
		Source:   newSource(c, webcam),
		IdleHold: c.idleHold,
		AlwaysOn: c.alwaysOn,
		Log:      log,
	}
}

// newSource makes what -source asks for.
func newSource(c *config, webcam *v4l2.Source) camera.Source {
	path, replay := strings.CutPrefix(c.source, "replay:")
	switch {
	case replay:
		return &camera.Replay{Path: path, Settings: c.settings()}
	case c.source == "pattern":
		return &camera.Pattern{Settings: c.settings()}
	case c.source == "v4l2", c.device != "":
		return webcam
	}
	return &camera.Fallback{Source: webcam, Otherwise: func(why error) camera.Source {
		return &camera.Pattern{Settings: c.settings(), Caption: why.Error()}
	}}
}
