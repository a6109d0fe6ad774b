package wifi

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/durable"
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

// FixedCode is the password of the set-up network of an image that was made without an
// owner's data. It is no secret: README tells it.
const FixedCode = "pushcam-setup"

// CodeFile has the password of the set-up network of all other images, below /perm.
const CodeFile = "pushcam/setup-code"

// maxCode is how much of the file is read, in bytes.
const maxCode = 128

// An Opening is the set-up network that has come: what a portal needs.
type Opening struct {
	// Link is the network's, which has no address yet, and SSID is what the network is
	// called.
	Link, SSID string
	// Air are the networks that were heard before, the strongest first. SSID has any
	// bytes.
	Air []Heard
	// Failure is a sentence on why the owner's networks are not reached; empty if there
	// are none.
	Failure string
}

// A Heard is a network on the air.
type Heard struct {
	SSID     []byte
	Signal   int    // dBm
	Security string // as in status.SeenNetwork
}

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
	networks   []int     // ids, in the order of the settings
	driver     string    // of the link, when there was one
	loading    chan error
	loaded     time.Time
	closePort  func() // ends the portal; nil: there is none
	recovered  status.Recovered
	code       string
	ssid       string
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
	defer m.stop(now)
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
			if err != nil {
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
	var address, silent, wired bool
	for _, l := range s.Links {
		for _, a := range l.Addresses {
			switch {
			case !l.Carrier:
			case l.Name == m.linkName:
				address = address || a.From == status.DHCP
			default:
				// What is plugged into the board's own USB port may be nothing but a power
				// supply with a computer in it.
				wired = wired || a.From != status.Own
			}
		}
		if l.Name == m.linkName {
			silent = l.Silent
		}
	}
	m.machine.setLink(now, address, silent, wired)
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
		m.machine.setRadio(true, nil)
		m.linkName, m.linkIndex = link, m.radio.index(link)
		m.driver = cmp.Or(m.radio.driver(link), m.driver)
		s, err := startSupplicant(ctx, m.Supplicant, m.Root.Path("run/wpa"), link)
		if err != nil {
			m.retry = now.Add(retryPause)
			m.machine.fail(now)
			m.Log.Error("the radio cannot be used", "err", err)
			return
		}
		m.supplicant = s
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
		m.machine.setRadio(true, nil)
		m.machine.fail(now)
		m.load(m.radio.load)
	case !m.loaded.IsZero() && now.Sub(m.loaded) >= firmwarePause && now.Sub(m.loaded) < 2*firmwarePause:
		m.machine.setRadio(true, missingFirmware(kernelLog()))
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

// do carries a command out.
func (m *Manager) do(ctx context.Context, c verb) {
	if m.supplicant == nil && c != reload && c != reboot {
		return
	}
	var err error
	switch c {
	case setCountry:
		err = m.supplicant.control.tell("SET country %s", m.machine.settings.Country)
	case askCountry:
		var reply string
		if reply, err = m.supplicant.control.ask("GET country"); err == nil {
			m.machine.hasCountry(reply)
		}
	case join:
		err = m.join()
	case scan:
		m.leaveSetUp()
		if err = m.supplicant.control.tell("REMOVE_NETWORK all"); err == nil {
			err = m.supplicant.control.tell("SCAN")
		}
	case serve:
		err = m.serve()
	case list:
		err = m.list()
	case poll:
		err = m.poll()
	case savePower:
		err = stayAwake(m.linkName)
	case reassociate:
		m.recovered.Reassociated++
		err = m.supplicant.control.tell("REASSOCIATE")
	case restartLink:
		m.recovered.Restarted++
		err = restart(m.linkName)
	case reload:
		m.recovered.Reloaded++
		m.stop(time.Now())
		m.reload(ctx)
	case reboot:
		err = m.reboot(ctx)
	}
	switch {
	case err == nil:
	case errors.Is(err, errRefused), c == savePower, c == restartLink, c == reboot:
		m.Log.Warn("not done for the radio", "what", string(c), "err", err)
	default:
		m.Log.Error("wpa_supplicant is started again", "what", string(c), "err", err)
		m.stop(time.Now())
	}
}

// tellAll sends commands, until one is not taken.
func (m *Manager) tellAll(commands ...string) error {
	for _, c := range commands {
		if err := m.supplicant.control.tell("%s", c); err != nil {
			return err
		}
	}
	return nil
}

// addNetwork returns the id of a new network.
func (m *Manager) addNetwork() (int, error) {
	reply, err := m.supplicant.control.ask("ADD_NETWORK")
	if err != nil {
		return 0, err
	}
	id, err := strconv.Atoi(reply)
	if err != nil {
		return 0, fmt.Errorf("%w ADD_NETWORK: %q", errRefused, reply)
	}
	return id, nil
}

// join tells the networks of the settings.
func (m *Manager) join() error {
	m.leaveSetUp()
	m.networks = nil
	if err := m.supplicant.control.tell("REMOVE_NETWORK all"); err != nil {
		return err
	}
	var refused error
	for _, n := range m.machine.settings.Networks {
		id, err := m.addNetwork()
		if err == nil {
			err = m.tellAll(networkCommands(id, n)...)
		}
		if err != nil && !errors.Is(err, errRefused) {
			return err
		}
		refused = errors.Join(refused, err)
		m.networks = append(m.networks, id)
	}
	return refused
}

// networkCommands tell wpa_supplicant a network, and use it.
func networkCommands(id int, n setup.Network) []string {
	set := fmt.Sprintf("SET_NETWORK %d ", id)
	commands := []string{
		set + "ssid " + hex.EncodeToString(n.SSID), // without quotes: any bytes
		set + "scan_ssid 1",                        // it may be hidden
		set + "priority " + strconv.Itoa(n.Priority),
		set + `bgscan "simple:30:-70:300"`, // another access point of the name may be nearer
	}
	if n.PSK == nil {
		commands = append(commands, set+"key_mgmt NONE")
	} else {
		commands = append(commands, set+"psk "+hex.EncodeToString(n.PSK[:]), set+"key_mgmt WPA-PSK WPA-PSK-SHA256", set+"ieee80211w 1")
	}
	return append(commands, fmt.Sprintf("ENABLE_NETWORK %d", id))
}

// list tells the machine what is on the air.
func (m *Manager) list() error {
	var all []bss
	for from := 0; len(all) < maxBSS; {
		reply, err := m.supplicant.control.ask(bssCommand(from))
		if err != nil && !errors.Is(err, errRefused) {
			return err
		}
		found := parseBSS(reply)
		if len(found) == 0 || found[len(found)-1].id < from {
			break
		}
		all = append(all, found...)
		from = found[len(found)-1].id + 1
	}
	m.machine.scanned(time.Now(), all)
	return nil
}

// poll tells the machine how the network is.
func (m *Manager) poll() error {
	reply, err := m.supplicant.control.ask("STATUS")
	if err != nil {
		return err
	}
	s := fields(reply)
	ssid, _ := decodeSSID(s["ssid"])
	n := status.WiFiNetwork{SSID: text(ssid), BSSID: s["bssid"]}
	n.Frequency, _ = strconv.Atoi(s["freq"])
	in := s["wpa_state"] == "COMPLETED" && s["mode"] == "station"
	if in {
		if reply, err = m.supplicant.control.ask("SIGNAL_POLL"); err != nil && !errors.Is(err, errRefused) {
			return err
		}
		signal := fields(reply)
		n.Signal, _ = strconv.Atoi(signal["RSSI"])
		n.Rate, _ = strconv.Atoi(signal["LINKSPEED"])
	}
	n.Channel = channel(n.Frequency)
	m.machine.polled(time.Now(), in, n)
	return nil
}

// askBands finds out whether the radio has 5 GHz.
func (m *Manager) askBands() {
	reply, err := m.supplicant.control.ask("GET_CAPABILITY channels")
	if err != nil {
		return // it is left out of the hints
	}
	m.machine.bands = parseBands(reply)
}

// parseBands reads lines such as "Mode[A] Channels: 36 40".
func parseBands(reply string) bands {
	return bands{known: strings.Contains(reply, "Mode["), five: strings.Contains(reply, "Mode[A]")}
}

// reload loads the driver anew.
func (m *Manager) reload(ctx context.Context) {
	m.load(func() error { return m.radio.reload(m.driver) })
	select {
	case err := <-m.loading:
		if err != nil {
			m.Log.Error("the radio's driver is not loaded anew", "err", err)
		}
		m.loading, m.loaded = nil, time.Now()
	case <-ctx.Done():
	case <-time.After(reloadTimeout):
		m.Log.Error("the radio's driver does not end")
	}
}

func (m *Manager) publish(now time.Time) {
	r := m.machine.radio(now)
	if r != nil {
		r.Link, r.Recovered = m.linkName, m.recovered
		if r.SetUp != nil {
			r.SetUp.SSID = m.setUpSSID()
		}
	}
	m.Status.Update(func(s *status.Status) { s.WiFi = r })
}

// setUpSSID is the name of the set-up network: a part of the camera's id tells two
// cameras apart.
func (m *Manager) setUpSSID() string {
	if m.ssid == "" {
		m.ssid = "pushcam-setup"
		if id, err := device.ID(m.Root); err != nil {
			m.Log.Warn("the set-up network's name does not tell this camera from others", "err", err)
		} else {
			m.ssid += "-" + id[:4]
		}
	}
	return m.ssid
}

// setUpCode is the password of the set-up network.
func (m *Manager) setUpCode() string {
	if m.code == "" {
		text, err := durable.ReadFile(m.Root.Path("perm", CodeFile), maxCode)
		if m.code = strings.TrimSpace(string(text)); err != nil || len(m.code) < 8 || len(m.code) > 63 {
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				m.Log.Warn("the code of the set-up network is the one in README", "err", err)
			}
			m.code = FixedCode
		}
	}
	return m.code
}

// serve makes the set-up network. What comes then is apEnabled.
func (m *Manager) serve() error {
	m.serving.Store(&m.linkName)
	if err := flush(m.linkName); err != nil {
		m.Log.Warn("an address of the radio is left over", "err", err)
	}
	ssid := m.setUpSSID()
	psk, err := setup.ParseKey([]byte(ssid), m.setUpCode())
	if err != nil {
		return fmt.Errorf("%w: the code of the set-up network: %w", errRefused, err)
	}
	if err := m.supplicant.control.tell("REMOVE_NETWORK all"); err != nil {
		return err
	}
	id, err := m.addNetwork()
	if err != nil {
		return err
	}
	set := fmt.Sprintf("SET_NETWORK %d ", id)
	return m.tellAll(set+"ssid "+hex.EncodeToString([]byte(ssid)), set+"mode 2", set+"frequency 2437",
		set+"key_mgmt WPA-PSK", set+"proto RSN", set+"pairwise CCMP", set+"group CCMP", set+"psk "+hex.EncodeToString(psk[:]),
		set+"ieee80211w 0", // the firmware of these boards fails with it as access point
		fmt.Sprintf("SELECT_NETWORK %d", id))
}

// leaveSetUp ends the portal; the network itself ends with the next one.
func (m *Manager) leaveSetUp() {
	if m.closePort != nil {
		m.closePort()
		m.closePort = nil
	}
	m.serving.Store(nil)
}

func (m *Manager) openPortal(ctx context.Context) {
	if m.closePort != nil || m.Portal == nil {
		return
	}
	o := Opening{Link: m.linkName, SSID: m.setUpSSID(), Failure: m.machine.setUp.failure}
	for _, b := range strongest(m.machine.air) {
		if len(o.Air) < maxSeen {
			o.Air = append(o.Air, Heard{[]byte(b.ssid), b.signal, string(b.security)})
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { m.Portal(ctx, o) })
	m.closePort = func() {
		cancel()
		running.Wait()
	}
}
