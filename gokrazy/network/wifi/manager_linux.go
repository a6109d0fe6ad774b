package wifi

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/network/firmware"
	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

const (
	// tick is how often the machine looks at the time, and for a link that is missing.
	tick = time.Second
	// firmwarePause is how long after its loading a driver has for its link to come.
	firmwarePause = 8 * time.Second
	// reloadTimeout is for a driver to be loaded. One that hangs is left to the reboot.
	reloadTimeout = 30 * time.Second
	// retryPause is between two tries to start wpa_supplicant.
	retryPause = 2 * time.Second
)

// A Manager looks after the radio. Its fields must not change while Run runs.
type Manager struct {
	// Root is where the settings, /sys, /run and modules are looked for.
	Root device.Root
	// Supplicant is the program wpa_supplicant.
	Supplicant string
	// Portal serves the set-up network until ctx is done, and takes what it gave the
	// link away again.
	Portal func(ctx context.Context, o Opening)
	// Status is read for the links, and gets what there is to say of the radio.
	Status *status.Server
	Log    *slog.Logger

	changed atomic.Bool // the settings may have
	serving atomic.Pointer[string]

	radio      *radio
	machine    *machine
	supplicant *supplicant
	linkName   string // that supplicant is for
	linkIndex  string
	retry      time.Time // when to start it again
	said       string    // why it did not start
	networks   []int     // ids, in the order of the settings
	driver     string    // of the link, when there was one
	loading    chan error
	loaded     time.Time
	closePort  func() // ends the portal; nil: there is none
	recovered  status.Recovered
	ssid       string // of the set-up network
	code       string // its password
}

// Reload tells that the settings have changed (setup.Save). Run takes them within a
// second. Any goroutine may call it.
func (m *Manager) Reload() { m.changed.Store(true) }

// Serves says whether a link is that of the set-up network, on which this computer
// gives others their addresses. Any goroutine may call it.
func (m *Manager) Serves(link string) bool {
	serving := m.serving.Load()
	return serving != nil && *serving == link
}

// Run does it until ctx is done.
func (m *Manager) Run(ctx context.Context) {
	now := time.Now()
	m.radio = newRadio(m.Root, m.Log)
	m.machine = newMachine(now, now.Add(-time.Duration(m.Root.Uptime()*float64(time.Second))), m.Log)
	m.recall()
	m.configure(now)
	defer func() { m.stop(time.Now()) }()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		if m.changed.Swap(false) {
			m.configure(time.Now())
		}
		links, linksChanged := m.Status.Status()
		m.takeLinks(time.Now(), links)
		m.look(ctx)
		m.machine.step(time.Now())
		for commands := m.machine.commands(); len(commands) > 0; commands = m.machine.commands() {
			for _, c := range commands {
				m.do(ctx, c)
			}
			m.machine.step(time.Now())
		}
		m.publish(time.Now())
		var events chan event
		var ended chan struct{}
		if m.supplicant != nil {
			events, ended = m.supplicant.control.events, m.supplicant.done
		}
		select {
		case <-ctx.Done():
			return
		case <-linksChanged:
		case <-ticker.C:
		case err := <-m.loading:
			m.loading, m.loaded = nil, time.Now()
			if errors.Is(err, device.ErrNoModule) {
				m.machine.setRadio(true, sentence(firmware.NoWiFi))
			} else if err != nil {
				m.Log.Error("the radio's driver cannot be loaded", "err", err)
			}
		case <-ended:
			m.Log.Warn("wpa_supplicant has ended; it is started again", "said", m.supplicant.said.String())
			m.stop(time.Now())
		case e, ok := <-events:
			if !ok {
				m.stop(time.Now())
				continue
			}
			m.take(ctx, e)
		}
	}
}

func (m *Manager) configure(now time.Time) {
	s, err := setup.Load(m.Root)
	if err != nil {
		m.Log.Error("the settings cannot be read", "err", err)
	}
	m.machine.configure(now, s.Settings)
}

// take hands an event to the machine.
func (m *Manager) take(ctx context.Context, e event) {
	if e.network >= 0 { // by its place in the settings
		id := e.network
		e.network = -1
		for i, n := range m.networks {
			if n == id {
				e.network = i
			}
		}
	}
	m.machine.event(time.Now(), e)
	if e.kind == apEnabled && m.serving.Load() != nil {
		m.openPortal(ctx)
	}
}

// takeLinks tells the machine what package link says.
func (m *Manager) takeLinks(now time.Time, s status.Status) {
	m.machine.setLink(now, usable(s, m.linkName))
}

// usable is what the links are good for, of which one is the radio's.
func usable(s status.Status, radio string) (u links) {
	for _, l := range s.Links {
		six := false // there are networks of IPv6 alone, in which no DHCP server answers
		for _, a := range l.Addresses {
			six = six || a.From == status.IPv6
			switch {
			case !l.Carrier:
			case l.Name == radio:
				u.address = u.address || a.From == status.DHCP || a.From == status.IPv6
			default:
				// What is plugged into the board's own USB port may be nothing but a power
				// supply with a computer in it.
				u.wired = u.wired || a.From != status.Own
			}
		}
		if l.Name == radio {
			u.silent = l.Silent && !six
		}
	}
	return u
}

// look sees whether the radio's link is there, and starts wpa_supplicant for it.
func (m *Manager) look(ctx context.Context) {
	now := time.Now()
	link := m.radio.link()
	if m.supplicant != nil {
		if link != m.linkName || m.radio.index(link) != m.linkIndex {
			m.Log.Warn("the radio's link has gone", "link", m.linkName)
			m.stop(now) // also for one that is back: as access point it would send nothing
		}
		return
	}
	switch {
	case link == "":
		m.awaitLink(now)
	case m.loading == nil && !now.Before(m.retry):
		m.machine.setRadio(true, "")
		m.linkName, m.linkIndex = link, m.radio.index(link)
		m.driver = cmp.Or(m.radio.driver(link), m.driver)
		s, err := startSupplicant(ctx, m.Supplicant, m.Root.Path("run/wpa"), link)
		if err != nil {
			m.retry = now.Add(retryPause)
			m.machine.fail(now)
			if said := err.Error(); said != m.said {
				m.said = said
				m.Log.Error("the radio cannot be used; it is tried again", "err", err)
			}
			return
		}
		m.supplicant, m.said = s, ""
		if m.ssid == "" {
			m.nameSetUp()
		}
		m.Log.Info("the radio is ready", "link", link, "driver", m.driver)
		m.askBands()
		m.machine.ready(time.Now(), true)
	}
}

// awaitLink loads the driver of a radio that the board has, once; what is to be done
// later is the machine's.
func (m *Manager) awaitLink(now time.Time) {
	switch {
	case m.loading != nil:
	case m.loaded.IsZero() && m.radio.present():
		m.machine.setRadio(true, "")
		m.machine.fail(now)
		m.load(m.radio.load)
	case !m.loaded.IsZero() && now.Sub(m.loaded) >= firmwarePause && now.Sub(m.loaded) < 2*firmwarePause:
		if files := missingFirmware(kernelLog()); len(files) > 0 {
			m.machine.setRadio(true, m.radio.whatIsMissing(files))
		}
	}
}

// load does what may hang in a goroutine that is left to itself if it does.
func (m *Manager) load(do func() error) {
	done := make(chan error, 1)
	m.loading = done
	go func() { done <- do() }()
}

// stop ends wpa_supplicant.
func (m *Manager) stop(now time.Time) {
	m.leaveSetUp()
	if m.supplicant != nil {
		m.supplicant.stop()
		m.supplicant, m.networks = nil, nil
		m.retry = now.Add(tick)
	}
	m.machine.ready(now, false)
}

func (m *Manager) publish(now time.Time) {
	r := m.machine.radio(now)
	if r != nil {
		r.Link, r.Recovered = m.linkName, m.recovered
		if r.SetUp != nil {
			r.SetUp.SSID = m.ssid
		}
	}
	m.Status.Update(func(s *status.Status) { s.WiFi = r })
}
