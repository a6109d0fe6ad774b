package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/durable"
	"github.com/pushcam/pushcam/gokrazy/network/firmware"
	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/gokrazy/update/card"
)

// appliance is what this program does on gokrazy's image besides showing a camera. It
// has the computer for itself there, and does what other programs do on other systems.
// It is nil on a PC, where its methods do nothing.
type appliance struct {
	root     device.Root
	id       string // device.ID; empty if there is none
	log      *slog.Logger
	end      func(why error)        // ends the program, and with errOff or errReboot the system
	lock     func() (int64, error)  // is device.LockText
	hostname func() (string, error) // is os.Hostname
	// onEnding is device.OnEnding.
	onEnding func(ctx context.Context, off, restart func())

	card     *card.Card
	watch    *cardWatch
	owners   *device.Ownership
	drivers  *drivers
	network  *network
	name     *discovery.Announcer
	updates  *update.Server
	recovery *recovery
	watchdog *watchdog
	system   system
	screen   *screen
	reporter *reporter
	wifi     *wifi
}

// newAppliance returns nil on a PC. The program answers at address, and itself by web;
// end ends it. If it hangs, what it was doing is written to lines.
func newAppliance(c *config, s *settings, address net.Addr, web *http.Client, secure *tlsDoor, cam *camera.Camera, p *panel, end func(error), book *logbook, lines *asyncWriter, log *slog.Logger) *appliance {
	if !c.appliance {
		return nil
	}
	owner := device.ReadOwner(c.root)
	if c.ownerHash != "" {
		owner = device.NewOwner(c.ownerHash)
	}
	a := &appliance{root: c.root, log: log, end: end, lock: device.LockText, hostname: os.Hostname, card: &card.Card{Root: c.root}, owners: device.OpenOwnership(c.root, owner)}
	a.onEnding = device.OnEnding
	power := device.OpenPower()
	a.system = system{settle: a.card.Settle, unkept: s.unkept, endOthers: power.EndOthers, off: power.Off, restart: power.Restart}
	a.watch = &cardWatch{root: c.root, show: p.onCard, log: log.With("component", "card")}
	var err error
	if a.id, err = device.ID(c.root); err != nil {
		log.Error("this pushcam has no id, so its owner's computer knows it by its name only", "err", err)
	}
	code, err := device.SetupCode(c.root)
	if err != nil {
		log.Warn("the set-up network has the password that is in README", "err", err)
	}
	a.drivers = newDrivers(a.root, c.size, log.With("component", "modules"))
	a.network = newNetwork(a.root.Path(status.Socket), p.noNetwork, p.settingUp, log.With("component", "network"))
	a.wifi = &wifi{latest: a.network.latest.Load, tries: make(chan wifiTry, 1), log: log.With("component", "wifi"),
		load:   func() (setup.Setup, error) { return setup.Load(a.root) },
		save:   func(change func(*setup.Settings) error) error { return setup.Save(a.root, change) },
		reload: func(ctx context.Context) error { return status.Reload(ctx, a.root.Path(status.Socket)) }}
	a.name = a.newAnnouncer(address, s)
	a.updates = a.newUpdates(c, cam, p, web, book)
	a.recovery = newRecovery(a.root, c.stateDir, a.reboot, log.With("component", "recovery"))
	a.watchdog = newWatchdog(cam, web, lines, log.With("component", "watchdog"))
	a.watchdog.beat = func() error { return device.Beat(c.root) }
	a.watchdog.cardAnswers = a.watch.answers
	a.screen = &screen{root: a.root, port: a.name.Port, name: a.name.State, means: p.means, log: log.With("component", "screen")}
	a.reporter = &reporter{problems: c.problems, network: a.network.latest.Load, camera: cam.State, model: a.root.Model(), code: code, key: secure.fingerprint, edit: a.card.EditBoot,
		links: func() []string { return a.screen.links(a.name.State()) }, log: log.With("component", "setup")}
	return a
}

// reboot has the system start anew, when this program has ended.
func (a *appliance) reboot(context.Context) error {
	a.end(errReboot)
	return nil
}

func (a *appliance) newAnnouncer(address net.Addr, s *settings) *discovery.Announcer {
	host, err := a.hostname()
	if err != nil {
		a.log.Warn("the host name is not known", "err", err)
	}
	port := 80
	if tcp, ok := address.(*net.TCPAddr); ok {
		port = tcp.Port
	}
	return &discovery.Announcer{
		Hostname: host,
		Port:     port,
		Version:  programInfo().Version,
		Model:    a.root.Model(),
		ID:       a.id,
		Log:      a.log.With("component", "discovery"),
		Kept:     s.networkName(),
		Keep:     s.setNetworkName,
		Changed:  a.network.changed,
	}
}

// newUpdates is for the owner's updates over the network, and tries this one if
// it is new.
func (a *appliance) newUpdates(c *config, cam *camera.Camera, p *panel, web *http.Client, book *logbook) *update.Server {
	return &update.Server{
		Card:       a.card,
		Dir:        c.stateDir,
		Version:    programInfo().Version,
		ID:         a.id,
		Hostname:   a.name.Hostname,
		Chips:      firmware.Chips(a.root),
		Health:     &health{root: a.root, web: web, cam: cam},
		Reboot:     a.reboot,
		ShowTrial:  p.onTrial,
		Keys:       c.updateKeys,
		ShowWindow: p.onAllowed,
		LastLines:  book.last,
		Log:        a.log.With("component", "update"),
	}
}

// allowUpdate is for who is at the camera and presses its button.
func (a *appliance) allowUpdate() {
	if a != nil {
		a.updates.OpenWindow()
	}
}

// run does the appliance's own work until ctx is done.
func (a *appliance) run(ctx context.Context) error {
	if a == nil {
		return nil
	}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { a.drivers.run(ctx); return nil })
	all.Go(func() error { a.watch.run(ctx); return nil })
	all.Go(func() error {
		if size, err := a.lock(); err != nil {
			a.log.Error("this program stops when the card does", "err", err)
		} else {
			a.log.Info("what runs needs nothing from the card", "locked_bytes", size)
		}
		return nil
	})
	all.Go(func() error {
		a.onEnding(ctx, func() { a.end(errOff) }, func() { a.end(errReboot) })
		return nil
	})
	all.Go(func() error { a.network.run(ctx); return nil })
	all.Go(func() error { a.wifi.run(ctx); return nil })
	all.Go(func() error {
		if err := a.name.Run(ctx); err != nil {
			a.log.Error("this pushcam cannot be found by name", "err", err)
		}
		return nil
	})
	all.Go(func() error { a.updates.Run(ctx); return nil })
	all.Go(func() error {
		if err := a.owners.Run(ctx, a.settled); err != nil {
			a.log.Error(err.Error())
		}
		return nil
	})
	all.Go(func() error { a.keepName(); return nil })
	all.Go(func() error {
		if awaitOtherName(ctx, a.name.Hostname, a.hostname) {
			a.end(errRenamed)
		}
		return nil
	})
	all.Go(func() error { a.watchdog.run(ctx); return nil })
	all.Go(func() error { a.screen.run(ctx); return nil })
	all.Go(func() error { a.reporter.run(ctx); return nil })
	return all.Wait()
}

// settled tells whether this version is here to stay: no update is on trial, as far as is
// known.
func (a *appliance) settled() bool {
	p := a.updates.State().Phase
	return p != update.Starting && p != update.OnTrial
}

// keepName has /perm keep the camera's name, which so far may only be in the root file
// system: from then on an update may be made for any name.
func (a *appliance) keepName() {
	if err := setup.KeepHostname(a.root, a.name.Hostname); err != nil {
		a.log.Error("the name is not kept, so updates must be made for it", "err", err)
		return
	}
	a.updates.KeepsName.Store(true)
}

// state is the appliance's part of /state.
func (a *appliance) state() map[string]func() any {
	if a == nil {
		return nil
	}
	return map[string]func() any{
		"id":       func() any { return a.id },
		"hostname": func() any { return a.name.Hostname },
		"unowned":  func() any { return a.owners.Free() },
		"card":     func() any { return a.watch.state() },
		"kernel":   func() any { return a.drivers.state() },
		"network":  func() any { return a.network.state(a.name.State()) },
		"update":   func() any { return a.updates.State() },
		"recovery": a.recovery.state,
		"setup":    func() any { return newSetupState(a.reporter.problems) },
	}
}

// maxLicenses is how much of the licences is read, in bytes.
const maxLicenses = 4 << 20

// licenses are those of what is on the card; nil on a PC. They are read once, because
// the card may not answer later.
func (a *appliance) licenses() []byte {
	if a == nil {
		return nil
	}
	text, err := durable.ReadFile(a.root.Path(device.LicensesFile), maxLicenses)
	if err != nil {
		a.log.Warn("the licences are not to be had", "err", err)
		return nil
	}
	return text
}

// identifies returns the id and the names that the certificate for TLS is for.
func (a *appliance) identifies() (id string, names []string) {
	if a == nil {
		return "", []string{"localhost"}
	}
	return a.id, []string{a.name.Hostname + ".local", a.name.Hostname}
}

// names are what viewers may call the appliance: its own names, and those of the network
// that the router has given a name.
func (a *appliance) names() []string {
	if a == nil {
		return nil
	}
	all := a.ownNames()
	if domain := a.network.domain(); domain != "" {
		all = append(all, "."+domain)
	}
	return all
}

// ownNames are what browsers on the network may call the appliance: its host name and the
// one that it has, which may have a number, as they are, and in the domains of multicast
// DNS and of the router.
func (a *appliance) ownNames() []string {
	all := []string{a.name.Hostname, strings.TrimSuffix(a.name.State().Host, ".local")}
	for _, name := range all[:len(all):len(all)] {
		for _, domain := range []string{"local", a.network.domain()} {
			if name != "" && domain != "" {
				all = append(all, name+"."+domain)
			}
		}
	}
	return all
}

// boardState is the part of /state about the board, which a PC may have too.
func boardState(root device.Root) any {
	return struct {
		Model string `json:"model,omitempty"`
		device.Health
	}{root.Model(), (&device.Sensors{Root: root}).Read()}
}
