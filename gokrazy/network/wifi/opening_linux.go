package wifi

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// An Opening is the set-up network that has come: what a portal needs.
type Opening struct {
	// Link is the network's. It has no address yet. SSID is the network's name.
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

// nameSetUp finds out the set-up network's name and password: as soon as there is a radio,
// because a card may hang when the network is wanted. A part of the camera's id tells two cameras
// apart.
func (m *Manager) nameSetUp() {
	id, err := device.ID(m.Root)
	if err != nil {
		m.Log.Warn("the set-up network's name does not tell this camera from others", "err", err)
	}
	m.ssid = device.SetupNetwork(id)
	if m.code, err = device.SetupCode(m.Root); err != nil {
		m.Log.Warn("the password of the set-up network is the one in README", "err", err)
	}
}

// serve makes the set-up network. What comes then is apEnabled.
func (m *Manager) serve() error {
	link := m.linkName
	m.serving.Store(&link)
	if err := flush(m.linkName); err != nil {
		m.Log.Warn("an address of the radio is left over", "err", err)
	}
	psk, err := setup.ParseKey([]byte(m.ssid), m.code)
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
	return m.tellAll(set+"ssid "+hex.EncodeToString([]byte(m.ssid)), set+"mode 2", set+"frequency 2437",
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
	o := Opening{Link: m.linkName, SSID: m.ssid, Failure: m.machine.setUp.failure}
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
