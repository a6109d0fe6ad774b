package main

import (
	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/pusher"
)

// news are the sections of /state that the page shows, without what changes with each frame.
func news(cam *camera.Camera, settings *settings, a *appliance) map[string]any {
	all := map[string]any{"camera": cameraNews(viewersCameraState(cam)), "settings": settings.state()}
	if a != nil {
		all["update"], all["card"] = a.updates.State(), a.watch.news()
	}
	return all
}

func cameraNews(s camera.State) any {
	return map[string]any{"phase": s.Phase, "reason": s.Reason, "since": s.Since, "device": s.Device, "format": s.Format}
}

// eventState is what the event state of /api/events tells: the news, and what is the owner's
// alone.
func eventState(server *pusher.Server, cam *camera.Camera, settings *settings, panel *panel, a *appliance) any {
	all := news(cam, settings, a)
	all["watching"], all["camera"], all["panel"] = server.Watching(), cameraNews(cameraState(cam)), panel.state()
	if a != nil {
		all["network"], all["wifi"] = a.network.state(a.name.State()), a.wifi.last()
	}
	return all
}
