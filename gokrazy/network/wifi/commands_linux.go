package wifi

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

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
	if m.loading == nil { // one that hangs is waited for again, and not joined by others
		m.load(func() error { return m.radio.reload(m.driver) })
	}
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
