package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gpio"
	"github.com/pushcam/pushcam/pusher"
	"github.com/pushcam/pushcam/pusher/api"
)

// gcPercent lets more garbage gather than Go does by itself. Frames are nearly all that there
// is, and with 100 each some of them are looked through for the little else. 150 takes an eighth
// of our own instructions away, for some 3 MB (hack/bench, cost and instructions). With 200
// 100 viewers would need more than the 25 MB that they may.
const gcPercent = 150

// serve wires the parts together and runs them until ctx is done, the button is
// held, or one of them fails.
func serve(ctx context.Context, c *config, stdout, stderr io.Writer) error {
	book := newLogbook()
	lines := newAsyncWriter(stderr)
	defer lines.close()
	level := new(slog.LevelVar)
	level.Set(c.verbose)
	handler := func(of io.Writer) slog.Handler {
		return slog.NewTextHandler(io.MultiWriter(of, lines), &slog.HandlerOptions{Level: level})
	}
	visitors := newVisitors(handler(book), handler(book.others(visitLine)), handler(book.others(securityLine)))
	log := slog.New(visitors)
	debug.SetMemoryLimit(c.budget() * 4 / 5) // the rest is for the program's own pages, which Go does not count
	debug.SetGCPercent(gcPercent)

	panel := openPanel(c, log.With("component", "panel"))
	defer panel.light(ctx)() // the last to end, because the LEDs show the end too
	listeners, err := listen(ctx, c.listen, c.appliance)
	if err != nil {
		return err
	}
	address := listeners[0].Addr()
	secure, err := openTLSDoor(ctx, c, log.With("component", "tls"))
	if err != nil {
		return err
	}
	itself := pusher.NewMemoryListener()

	settings := openSettings(c.stateDir, c.privacyButton && panel.hasButton(), log.With("component", "settings"))
	settings.takeViewing(c.setUpViewing)
	c = withPage(c, settings.page(), log.With("component", "settings"))
	page := &pageSettings{kept: settings, controls: newControls(c, settings, log.With("component", "camera")), lacksLED: panel.lacksLED()}
	page.now.Store(c)
	level.Set(c.verbose)
	panel.setDark(!c.led)
	controls := page.controls
	asked := func() camera.Settings { return page.now.Load().settings() }
	cam := newCamera(c, controls.camera, asked, address, log.With("component", "camera"))
	cam.SetPrivacy(settings.privacy())
	hub := pusher.NewHub(cam.SetDemand)
	placeholders := newPlaceholders(hub, c.size, log)
	cam.Deliver = hub.Publish
	cam.OnState = func(s camera.State) {
		panel.follow(s.Phase)
		placeholders.show(s)
	}
	all := newParts(ctx)
	appliance := newAppliance(c, settings, address, itself.Client(), secure, cam, panel, all.stop, book, lines, log)
	appliance.confine(c.source.kind == "stream")
	server := newServer(page.now.Load, hub, cam, log.With("component", "pusher"))
	hosts := func() []string { return page.now.Load().allowHosts.all }
	page.wire(appliance, server, cam, panel, level)
	events := &api.Events{}
	document := &api.Document{Settings: page, Changed: events.Settings}
	events.Version = document.Version
	controls.changed = func() { events.Controls(); events.Settings(document.Version()) }
	book.tell, panel.pressed = events.Log, events.Button
	private := privacySwitch{settings: settings, show: placeholders.privacy(cam.SetPrivacy)}
	owners := ownersAPI{
		settings: document, events: events, controls: controls, log: book, visitors: visitors,
		actions: actions{reopen: cam.Reopen, privacy: private.set, testLED: panel.test, end: appliance.ends(all.stop)},
		camera:  &cameraAnswer{state: cam.State, webcam: controls.camera.Modes, cameras: controls.camera.Cameras, source: c.source.kind, asking: make(chan struct{}, 1), last: hub.LastSize},
		report:  &diagnosis{appliance.lines(cam), c.problems, book},
	}
	server.Owner = newOwner(c, appliance, settings, page, hosts, owners.answers())
	server.Answers = map[string]http.Handler{"/api/cameras": &cameras{browse: new(discovery.Browser).Browse, self: appliance.isCalled, log: log.With("component", "discovery")}}
	server.Viewing = newViewing(c, settings, server.Owner != nil, log)
	server.Metrics = func(w io.Writer) {
		writeCameraMetrics(w, cam.State())
		appliance.writeMetrics(w)
	}
	server.Names = func() []string { return append(appliance.names(), hosts()...) }
	server.Licenses = appliance.licenses()
	server.State = map[string]func() any{
		"camera":   func() any { return viewersCameraState(cam) },
		"panel":    panel.state,
		"flags":    func() any { return page.viewersFlags() },
		"controls": func() any { return controls.camera.ControlStates() },
		"settings": settings.state,
		"board":    func() any { return boardState(c.root) },
		"program":  func() any { return programInfo() },
	}
	maps.Copy(server.State, appliance.state())
	events.Viewers = func() any { return server.Viewers() }
	events.State = func() any { return eventState(server, cam, settings, panel, appliance) }
	server.News = func() map[string]any { return news(cam, settings, appliance) }
	server.OwnersState = map[string]func() any{
		"camera": func() any { return cameraState(cam) },
		"flags":  func() any { return page.now.Load().given },
	}
	if secure != nil {
		listeners = append(listeners, secure.listener())
		secure.id, secure.names = appliance.identifies()
		server.State["tls"] = secure.state
		if c.tlsRedirect {
			server.TLSPort = secure.port()
		}
		all.run("the key for TLS", secure.run)
	}
	fmt.Fprintln(stdout, greeting(address))

	cam.Ladder = appliance.ladder(c.source.kind, controls.camera, all.stop)
	context.AfterFunc(all.ctx, func() { panel.end(gpio.ShuttingDown) })
	press := private.toggle
	if !c.privacyButton {
		press = nil
	}
	all.run("the web server", func(ctx context.Context) error { return server.Serve(ctx, append(listeners, itself)...) })
	all.run("the camera", cam.Run)
	all.run("the picture that says why there is none", placeholders.run)
	all.run("the processors", newProcessors().run)
	all.run("the settings", settings.run)
	all.run("the events", events.Run)
	all.run("the appliance's own work", appliance.run)
	all.run("who may look, as the set-up page says", func(ctx context.Context) error { appliance.followViewing(ctx, page.takeViewing); return nil })
	all.run("the button", func(ctx context.Context) error {
		panel.runButton(ctx, press, func() { all.stop(fmt.Errorf("%w: its button was held", errOff)) }, appliance.allowUpdate, log.With("component", "panel"))
		return nil
	})
	return end(all, appliance, panel, log)
}

// end waits until the program's parts have ended, and ends the appliance's system if
// that is why they ended, whatever of them hangs.
func end(all *parts, a *appliance, p *panel, log *slog.Logger) error {
	err := all.wait()
	why := context.Cause(all.ctx)
	log.Info("stopped", "why", why)
	switch {
	case errors.Is(why, errRestart), errors.Is(why, errRenamed):
		return errors.Join(why, err)
	case a == nil || !errors.Is(why, errOff) && !errors.Is(why, errReboot):
		return err
	case err != nil:
		log.Error("not everything has ended as it should", "err", err)
	}
	return a.system.finish(why, p, log)
}

// cameraState is the camera's part of the owner's state.
func cameraState(cam *camera.Camera) camera.State {
	s := cam.State()
	s.Since = onClock(s.Since)
	return s
}

// viewersCameraState is without what is only the owner's business: which device of that
// make it is, and where it is plugged in.
func viewersCameraState(cam *camera.Camera) camera.State {
	s := cameraState(cam)
	s.Device = camera.Device{Name: s.Device.Name, Driver: s.Device.Driver}
	return s
}

// newServer makes the HTTP server, with the settings of the moment. Its state, its metrics
// and its owner are set by the caller.
func newServer(now func() *config, hub *pusher.Hub, cam *camera.Camera, log *slog.Logger) *pusher.Server {
	return &pusher.Server{
		Hub:          hub,
		Camera:       cam,
		Log:          log,
		AllowOrigins: func() []string { return now().allowOrigins.all },
		Memory:       now().budget(),
		Limits: func() pusher.Limits {
			c := now()
			return pusher.Limits{MaxViewers: c.maxViewers, ViewerTimeout: c.viewerTimeout, MaxSessions: c.maxSessions, SessionFrames: c.sessionFrames, SessionTimeout: c.sessionTimeout}
		},
	}
}
