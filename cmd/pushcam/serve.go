package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gpio"
	"github.com/pushcam/pushcam/pusher"
)

// errHeld is why the program stops when its button was held.
var errHeld = errors.New("the button was held")

// serve wires the parts together and runs them until ctx is done, the button is
// held, or one of them fails.
func serve(ctx context.Context, c *config, stdout, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: c.verbose}))
	debug.SetMemoryLimit(int64(c.memory) << 20)
	panel := openPanel(c, log.With("component", "panel"))
	settings := openSettings(c.stateDir, log.With("component", "settings"))

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
	cam := &camera.Camera{
		Source:   newSource(c, log.With("component", "camera")),
		IdleHold: c.idleHold,
		AlwaysOn: c.alwaysOn,
		Log:      log.With("component", "camera"),
	}
	cam.SetPrivacy(settings.privacy())
	hub := pusher.NewHub(cam.SetDemand)
	notices := &notices{hub: hub, states: make(chan camera.State, 1), size: c.size, log: log}
	cam.Deliver = hub.Publish
	cam.OnState = func(s camera.State) {
		panel.follow(s.Phase)
		notices.show(s)
	}
	var sensors device.Sensors
	server := &pusher.Server{
		Hub:    hub,
		Camera: cam,
		State: map[string]func() any{
			"camera":   func() any { return cam.State() },
			"panel":    panel.state,
			"settings": settings.state,
			"board":    func() any { return sensors.Read() },
			"program":  func() any { return programInfo() },
		},
		Metrics:        func(w io.Writer) { writeCameraMetrics(w, cam.State()) },
		Log:            log.With("component", "pusher"),
		MaxViewers:     c.maxViewers,
		ViewerTimeout:  c.viewerTimeout,
		MaxSessions:    c.maxSessions,
		SessionFrames:  c.sessionFrames,
		SessionTimeout: c.sessionTimeout,
	}
	fmt.Fprintln(stdout, greeting(listeners[0].Addr()))

	until, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	short := func() { cam.SetPrivacy(settings.togglePrivacy()) }
	if !c.privacyButton {
		short = nil
	}
	all, until := errgroup.WithContext(until)
	context.AfterFunc(until, func() { panel.end(gpio.ShuttingDown) })
	all.Go(func() error { return server.Serve(until, listeners...) })
	all.Go(func() error { return cam.Run(until) })
	all.Go(func() error { notices.run(until); return nil })
	all.Go(func() error {
		panel.runButton(until, short, func() { stop(errHeld) }, log.With("component", "panel"))
		return nil
	})
	if isAppliance() {
		watch := guard{
			state: cam.State,
			get:   selfCheck(listeners[0].Addr()),
			log:   log.With("component", "guard"),
			end: func(why error) {
				log.Error("the program hangs and ends itself", "why", why)
				dump(stderr)
				os.Exit(1)
			},
		}
		all.Go(func() error { watch.run(until); return nil })
		all.Go(func() error { loadDrivers(log); return nil })
	}
	err = all.Wait()
	log.Info("stopped")
	if errors.Is(context.Cause(until), errHeld) && isAppliance() {
		return powerOff(ctx, panel, log)
	}
	return err
}

// drivers are the kernel's modules for cameras: gokrazy has no udev that would
// load them.
var drivers = []string{"uvcvideo"}

func loadDrivers(log *slog.Logger) {
	modules := device.Modules{Log: log.With("component", "modules")}
	if err := modules.Load(drivers...); err != nil {
		log.Error("cameras may be missing: their drivers cannot be loaded", "err", err)
	}
}

// unplugTime is how long the program waits for its end after the system was
// told to switch off.
const unplugTime = 20 * time.Second

// powerOff switches the appliance off, and shows that it is safe to unplug until
// the system ends the program, which is when ctx is done.
func powerOff(ctx context.Context, p *panel, log *slog.Logger) error {
	log.Info("switching off: the button was held")
	power := device.Power{Log: log}
	// The system's way to switch off begins with ending this program.
	if err := power.Off(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("cannot switch off: %w", err)
	}
	p.end(gpio.SafeToUnplug)
	select {
	case <-ctx.Done():
	case <-time.After(unplugTime):
	}
	return nil
}

// newSource makes what -source asks for.
func newSource(c *config, log *slog.Logger) camera.Source {
	webcam := &camera.V4L2{Device: c.device, Settings: c.settings(), Log: log}
	path, replay := strings.CutPrefix(c.source, "replay:")
	switch {
	case replay:
		return &camera.Replay{Path: path, Settings: c.settings()}
	case c.source == "pattern":
		return &camera.Pattern{Settings: c.settings()}
	case c.source == "v4l2", c.device != "", isAppliance():
		return webcam
	}
	return &camera.Fallback{Source: webcam, Otherwise: func(why error) camera.Source {
		return &camera.Pattern{Settings: c.settings(), Caption: why.Error()}
	}}
}

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
		n.log.Error("cannot draw the picture that says why there is none", "err", err)
		return
	}
	n.hub.Notice(f, errors.New(s.Reason))
}

// version is what -version and /state say.
type version struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	System  string `json:"system"`
}

// imageVersion is that of the image, whose build knows no other. The linker sets
// it (package gokrazy/image).
var imageVersion string

func programInfo() version {
	v := version{Version: imageVersion, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	if b, ok := debug.ReadBuildInfo(); ok && imageVersion == "" {
		v.Version = b.Main.Version
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	return v
}

func (v version) String() string {
	name := "pushcam " + v.Version
	if v.Commit != "" {
		name += " " + v.Commit
	}
	return name + " (" + v.Go + ", " + v.System + ")"
}
