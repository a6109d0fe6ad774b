package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/gokrazy/update/card"
	"github.com/pushcam/pushcam/gpio"
	"github.com/pushcam/pushcam/pusher"
)

// machine is the appliance: gokrazy's image, where this program has the computer
// for itself and does what a system's other programs do elsewhere. It is nil on a
// PC, where its methods do nothing.
type machine struct {
	root  device.Root
	log   *slog.Logger
	power device.Power
	off   func(context.Context) error // is power.Off

	drivers  *drivers
	name     *discovery.Announcer
	updates  *update.Server
	recovery *recovery
	watchdog *watchdog
}

// newMachine is nil where gokrazy does not run the system. The program answers at
// address, and its hang is dumped to stderr.
func newMachine(c *config, address net.Addr, cam *camera.Camera, p *panel, stderr io.Writer, log *slog.Logger) *machine {
	if !c.root.Gokrazy() {
		return nil
	}
	web := selfClient(address)
	m := &machine{root: c.root, log: log, power: device.Power{Root: c.root, Log: log}}
	m.off = m.power.Off
	m.drivers = newDrivers(m.root, c.size, log.With("component", "modules"))
	m.name = m.newAnnouncer(address)
	m.updates = m.newUpdates(c.stateDir, cam, p, web)
	m.recovery = newRecovery(m.root, c.stateDir, m.power.Reboot, log.With("component", "recovery"))
	m.watchdog = newWatchdog(cam, web, stderr, log.With("component", "watchdog"))
	return m
}

func (m *machine) newAnnouncer(a net.Addr) *discovery.Announcer {
	host, err := os.Hostname()
	if err != nil {
		m.log.Warn("the host name is not known", "err", err)
	}
	port := 80
	if tcp, ok := a.(*net.TCPAddr); ok {
		port = tcp.Port
	}
	return &discovery.Announcer{
		Hostname: host,
		Port:     port,
		Version:  programInfo().Version,
		Model:    m.root.Model(),
		Log:      m.log.With("component", "discovery"),
	}
}

// newUpdates is for the owner's updates over the network, and tries this one if
// it is new.
func (m *machine) newUpdates(dir string, cam *camera.Camera, p *panel, web *http.Client) *update.Server {
	return &update.Server{
		Card:      &card.Card{Root: m.root},
		Dir:       dir,
		Version:   programInfo().Version,
		Health:    &health{root: m.root, web: web, cam: cam},
		Reboot:    m.power.Reboot,
		ShowTrial: p.onTrial,
		Log:       m.log.With("component", "update"),
	}
}

// run does the appliance's own work until ctx is done.
func (m *machine) run(ctx context.Context) error {
	if m == nil {
		return nil
	}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { m.drivers.run(ctx); return nil })
	all.Go(func() error {
		if err := m.name.Run(ctx); err != nil {
			m.log.Error("this pushcam cannot be found by name", "err", err)
		}
		return nil
	})
	all.Go(func() error { m.updates.Run(ctx); return nil })
	all.Go(func() error { m.watchdog.run(ctx); return nil })
	return all.Wait()
}

// state is the appliance's part of /state.
func (m *machine) state() map[string]func() any {
	if m == nil {
		return nil
	}
	return map[string]func() any{
		"kernel":   func() any { return m.drivers.state() },
		"network":  func() any { return m.name.State() },
		"update":   func() any { return m.updates.State() },
		"recovery": m.recovery.state,
	}
}

// owner gives the appliance's owner what is theirs alone: the log, the camera's
// controls, updates and gokrazy's own pages.
func (m *machine) owner(s *settings, log, controls http.Handler) *pusher.Owner {
	if m == nil {
		return nil
	}
	owner := device.Owner{Root: m.root}
	return &pusher.Owner{
		Verify: owner.Verify,
		Names: func() []string {
			announced := m.name.State().Host // has a number if another one was there before
			short := strings.TrimSuffix(announced, ".local")
			return []string{m.name.Hostname, m.name.Hostname + ".local", announced, short}
		},
		Answers: map[string]http.Handler{
			"/api/log":      log,
			"/api/controls": controls,
			update.Path:     m.updates,
			"/gokrazy/":     &device.WebInterface{Prefix: "/gokrazy/", Root: m.root, Log: m.log.With("component", "gokrazy")},
		},
		Known:    s.ownersAddresses(),
		Remember: s.setOwnersAddresses,
	}
}

// unplugTime is how long the program waits for its end after the system was
// told to switch off.
const unplugTime = 20 * time.Second

// powerOff switches the appliance off, and shows that it is safe to unplug until
// the system ends the program, which is when ctx is done.
func (m *machine) powerOff(ctx context.Context, p *panel) error {
	m.log.Info("switching off: the button was held")
	// The system's way to switch off begins with ending this program.
	if err := m.off(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("cannot switch off: %w", err)
	}
	p.end(gpio.SafeToUnplug)
	select {
	case <-ctx.Done():
	case <-time.After(unplugTime):
	}
	return nil
}

// boardState is the part of /state about the board, which a PC may have too.
func boardState(root device.Root) any {
	return struct {
		Model string `json:"model,omitempty"`
		device.Health
	}{root.Model(), (&device.Sensors{Root: root}).Read()}
}
