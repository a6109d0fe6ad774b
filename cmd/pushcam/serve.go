package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2"
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
	settings := openSettings(c.stateDir, c.privacyButton && panel.button.Input != nil, log.With("component", "settings"))

	// The LEDs show the program's end too: they run longer than the rest.
	light, dark := context.WithCancel(context.WithoutCancel(ctx))
	var lit sync.WaitGroup
	lit.Go(func() { panel.run(light) })
	defer lit.Wait()
	defer dark()

	listeners, err := listen(ctx, c.listen)
	if err != nil {
		return err
	}
	controls := newControls(c, settings, log.With("component", "camera"))
	cam := &camera.Camera{
		Source:   newSource(c, controls.camera),
		IdleHold: c.idleHold,
		AlwaysOn: c.alwaysOn,
		Log:      log.With("component", "camera"),
	}
	cam.SetPrivacy(settings.privacy())
	hub := pusher.NewHub(cam.SetDemand)
	placeholders := &placeholders{hub: hub, states: make(chan camera.State, 1), size: c.size, log: log}
	cam.Deliver = hub.Publish
	cam.OnState = func(s camera.State) {
		panel.follow(s.Phase)
		placeholders.show(s)
	}
	state := map[string]func() any{
		"camera":   func() any { return cam.State() },
		"panel":    panel.state,
		"flags":    func() any { return c.given },
		"controls": func() any { return controls.camera.ControlStates() },
		"settings": settings.state,
		"board":    func() any { return boardState(c.root) },
		"program":  func() any { return programInfo() },
	}
	server := &pusher.Server{
		Hub:            hub,
		Camera:         cam,
		State:          state,
		Metrics:        func(w io.Writer) { writeCameraMetrics(w, cam.State()) },
		Log:            log.With("component", "pusher"),
		MaxViewers:     c.maxViewers,
		ViewerTimeout:  c.viewerTimeout,
		MaxSessions:    c.maxSessions,
		SessionFrames:  c.sessionFrames,
		SessionTimeout: c.sessionTimeout,
	}
	machine := newMachine(c, listeners[0].Addr(), cam, panel, stderr, log)
	maps.Copy(state, machine.state())
	server.Owner = machine.owner(book, controls)
	fmt.Fprintln(stdout, greeting(listeners[0].Addr()))

	privacy := func() { settings.togglePrivacy(); cam.SetPrivacy(settings.privacy()) }
	if !c.privacyButton {
		privacy = nil
	}
	all := newParts(ctx)
	context.AfterFunc(all.ctx, func() { panel.end(gpio.ShuttingDown) })
	all.run("the web server", func(ctx context.Context) error { return server.Serve(ctx, listeners...) })
	all.run("the camera", cam.Run)
	all.run("the picture that says why there is none", placeholders.run)
	all.run("the appliance's own work", machine.run)
	all.run("the settings", settings.run)
	all.run("the button", func(ctx context.Context) error {
		panel.runButton(ctx, privacy, func() { all.stop(errHeld) }, log.With("component", "panel"))
		return nil
	})
	return end(ctx, all, machine, panel, log)
}

// end waits until the program's parts have ended, and switches the appliance off
// if that is why they ended, whatever of them hangs.
func end(ctx context.Context, all *parts, m *machine, p *panel, log *slog.Logger) error {
	err := all.wait()
	log.Info("stopped")
	if m == nil || !errors.Is(context.Cause(all.ctx), errHeld) {
		return err
	}
	if err != nil {
		log.Error("not everything has ended as it should", "err", err)
	}
	return m.powerOff(ctx, p)
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
