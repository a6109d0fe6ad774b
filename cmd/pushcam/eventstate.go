package main

import (
	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/pusher"
)

// eventState is what the event state of /api/events tells: the sections of /api/state that
// the page shows, without what changes with each frame.
func eventState(server *pusher.Server, cam *camera.Camera, a *appliance) any {
	s := cameraState(cam)
	all := map[string]any{
		"watching": server.Watching(),
		"camera": map[string]any{
			"phase": s.Phase, "reason": s.Reason, "since": s.Since, "device": s.Device, "format": s.Format,
		},
		"settings": server.State["settings"](),
		"panel":    server.State["panel"](),
	}
	if a != nil {
		all["update"], all["card"] = a.updates.State(), a.watch.state()
		all["network"], all["wifi"] = a.network.state(a.name.State()), a.wifi.last()
	}
	return all
}
