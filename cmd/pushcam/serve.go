package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"runtime/debug"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gpio"
	"github.com/pushcam/pushcam/pusher"
)

// errHeld is why the program stops when its button was held.
var errHeld = errors.New("the button was held")

// serve wires the parts together and runs them until ctx is done, the button is
// held, or one of them fails.
func serve(ctx context.Context, c *config, stdout, stderr io.Writer) error {
	book := newLogbook()
	log := slog.New(slog.NewTextHandler(io.MultiWriter(book, stderr), &slog.HandlerOptions{Level: c.verbose}))
	debug.SetMemoryLimit(int64(c.memory) << 20)

	panel := openPanel(c, log.With("component", "panel"))
	defer panel.light(ctx)() // the last to end, because the LEDs show the end too
	listeners, err := listen(ctx, c.listen)
	if err != nil {
		return err
	}
	address := listeners[0].Addr()

	settings := openSettings(c.stateDir, c.privacyButton && panel.hasButton(), log.With("component", "settings"))
	controls := newControls(c, settings, log.With("component", "camera"))
	cam := newCamera(c, controls.camera, log.With("component", "camera"))
	cam.SetPrivacy(settings.privacy())
	hub := pusher.NewHub(cam.SetDemand)
	placeholders := newPlaceholders(hub, c.size, log)
	cam.Deliver = hub.Publish
	cam.OnState = func(s camera.State) {
		panel.follow(s.Phase)
		placeholders.show(s)
	}
	appliance := newAppliance(c, settings, address, cam, panel, stderr, log)
	server := newServer(c, hub, cam, log.With("component", "pusher"))
	server.Owner = appliance.owner(settings, book, controls)
	server.State = map[string]func() any{
		"camera":   func() any { return cameraState(cam) },
		"panel":    panel.state,
		"flags":    func() any { return c.given },
		"controls": func() any { return controls.camera.ControlStates() },
		"settings": settings.state,
		"board":    func() any { return boardState(c.root) },
		"program":  func() any { return programInfo() },
	}
	maps.Copy(server.State, appliance.state())
	fmt.Fprintln(stdout, greeting(address))

	all := newParts(ctx)
	cam.Ladder = appliance.ladder(c.source, controls.camera, all.stop)
	context.AfterFunc(all.ctx, func() { panel.end(gpio.ShuttingDown) })
	privacy := func() { settings.togglePrivacy(); cam.SetPrivacy(settings.privacy()) }
	if !c.privacyButton {
		privacy = nil
	}
	all.run("the web server", func(ctx context.Context) error { return server.Serve(ctx, listeners...) })
	all.run("the camera", cam.Run)
	all.run("the picture that says why there is none", placeholders.run)
	all.run("the settings", settings.run)
	all.run("the appliance's own work", appliance.run)
	all.run("the button", func(ctx context.Context) error {
		panel.runButton(ctx, privacy, func() { all.stop(errHeld) }, log.With("component", "panel"))
		return nil
	})
	return end(ctx, all, appliance, panel, log)
}

// end waits until the program's parts have ended, and switches the appliance off
// if that is why they ended, whatever of them hangs.
func end(ctx context.Context, all *parts, a *appliance, p *panel, log *slog.Logger) error {
	err := all.wait()
	log.Info("stopped")
	if why := context.Cause(all.ctx); errors.Is(why, errRestart) {
		return errors.Join(why, err)
	}
	if a == nil || !errors.Is(context.Cause(all.ctx), errHeld) {
		return err
	}
	if err != nil {
		log.Error("not everything has ended as it should", "err", err)
	}
	return a.powerOff(ctx, p)
}

// cameraState is the camera's part of /state.
func cameraState(cam *camera.Camera) camera.State {
	s := cam.State()
	s.Since = onClock(s.Since)
	return s
}

// newServer makes the HTTP server. Its state and its owner are set by the caller.
func newServer(c *config, hub *pusher.Hub, cam *camera.Camera, log *slog.Logger) *pusher.Server {
	return &pusher.Server{
		Hub:            hub,
		Camera:         cam,
		Metrics:        func(w io.Writer) { writeCameraMetrics(w, cam.State()) },
		Log:            log,
		MaxViewers:     c.maxViewers,
		ViewerTimeout:  c.viewerTimeout,
		MaxSessions:    c.maxSessions,
		SessionFrames:  c.sessionFrames,
		SessionTimeout: c.sessionTimeout,
	}
}
