package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

const (
	password       = "correct horse"
	ownersPassword = "my own password"
)

// TestRigWiFi is one boot of the radios for all rows, as that takes longest.
func TestRigWiFi(t *testing.T) {
	root := needRadios(t)
	home := newAccessPoint(t, 1)
	others := newAccessPoint(t, 2)
	home.on(bss{"home", "10.0.1", wpa2(password)})
	sae := []string{"wpa=2", "rsn_pairwise=CCMP", "sae_password=" + password, "sae_require_mfp=1", "sae_pwe=2"}
	deny := root.Path("deny")
	if err := os.WriteFile(deny, []byte("02:00:00:00:00:00\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	others.on(
		bss{`transition`, "10.0.2", append([]string{"wpa_key_mgmt=WPA-PSK SAE", "wpa_passphrase=" + password, "ieee80211w=1"}, sae...)},
		bss{`P\xc3\xbcsh \"cam\" \\x`, "10.0.3", wpa2(password, "ignore_broadcast_ssid=1")},
		bss{`open net`, "10.0.4", nil},
		bss{`old`, "10.0.5", []string{"wpa=1", "wpa_key_mgmt=WPA-PSK", "wpa_pairwise=TKIP", "wpa_passphrase=" + password}},
		bss{`strict`, "10.0.6", []string{"wpa=2", "wpa_key_mgmt=WPA-PSK-SHA256", "rsn_pairwise=CCMP", "wpa_passphrase=" + password, "ieee80211w=2"}},
		bss{`wpa3`, "", append([]string{"wpa_key_mgmt=SAE", "ieee80211w=2"}, sae...)},
		bss{`company`, "", []string{"ieee8021x=1", "wpa=2", "wpa_key_mgmt=WPA-EAP", "rsn_pairwise=CCMP", "own_ip_addr=127.0.0.1", "auth_server_addr=127.0.0.1", "auth_server_port=1812", "auth_server_shared_secret=x"}},
		bss{`refusing`, "", wpa2(password, "macaddr_acl=0", "deny_mac_file="+deny)},
	)
	hash, err := device.HashPassword(ownersPassword)
	if err == nil {
		err = os.WriteFile(root.Path("perm", device.OwnerFile), []byte(hash+"\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := newWirelessCamera(t, root, setup.Settings{Networks: []setup.Network{secured(t, "home", password)}, Country: "DE"})

	t.Run("WPA2", func(t *testing.T) {
		c.at(t)
		s := c.awaitNetwork("home", "10.0.1")
		s = c.await("signal, rate and country", func(s status.Status) bool {
			n := s.WiFi.Network
			return n != nil && n.Signal < 0 && n.Rate > 0 && n.Channel == 6 && n.Frequency == 2437 && s.WiFi.Country == "DE" && s.WiFi.Failure == ""
		})
		if s.WiFi.Link != "wlan0" || s.WiFi.Since.IsZero() || find(s, "wlan0").Kind != status.WiFi || !find(s, "wlan0").Default {
			t.Errorf("%+v, %+v", s.WiFi, find(s, "wlan0"))
		}
		if got := c.iw("dev", "wlan0", "get", "power_save"); !strings.Contains(got, "off") {
			t.Errorf("power saving: %s", got)
		}
	})

	for _, row := range []struct {
		name    string
		network setup.Network
		prefix  string
		all     bool // it is left out in CI
	}{
		{"WPA2 and WPA3", secured(t, "transition", password), "10.0.2", false},
		{"hidden, of any bytes", secured(t, `Püsh "cam" \x`, password), "10.0.3", false},
		{"open", unsecured("open net"), "10.0.4", true},
		{"WPA", secured(t, "old", password), "10.0.5", true},
		{"WPA2 with protected management frames", secured(t, "strict", password), "10.0.6", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.all && !allOfWiFi {
				t.Skip("it runs with PUSHCAM_WIFI_ALL=1")
			}
			c.at(t)
			c.set(row.network)
			c.awaitNetwork(string(row.network.SSID), row.prefix)
			c.wantAddresses(fmt.Sprintf("wlan0 %v", given(find(c.await("a status", func(status.Status) bool { return true }), "wlan0"))))
		})
	}

	for _, row := range []struct {
		failure status.Failure
		network setup.Network
		says    string
		all     bool
	}{
		{status.OtherSpelling, secured(t, "Home", password), `There is "home", not "Home"`, false},
		{status.NotSeen, secured(t, "elsewhere", password), `No network called "elsewhere" is heard.`, false},
		{status.WPA3Only, secured(t, "wpa3", password), "WPA3 alone", false},
		{status.OpenNetwork, secured(t, "open net", password), `"open net" has no password`, false},
		{status.PasswordMissing, unsecured("home"), `"home" has a password`, false},
		{status.Enterprise, secured(t, "company", password), `"company" wants a name`, false},
		{status.Refused, secured(t, "refusing", password), "MAC filter", true},
		{status.WrongPassword, secured(t, "home", "wrong horse"), `password for "home" is wrong`, false},
	} {
		t.Run(string(row.failure), func(t *testing.T) {
			if row.all && !allOfWiFi {
				t.Skip("it runs with PUSHCAM_WIFI_ALL=1")
			}
			c.at(t)
			c.set(row.network)
			c.awaitFailure(row.failure, row.says)
		})
	}

	// What follows changes the routers, one thing after the other.
	another := secured(t, "home", "another horse")
	t.Log("the router's password changes")
	c.set(secured(t, "home", password))
	c.awaitNetwork("home", "10.0.1")
	home.on(bss{"home", "10.0.1", wpa2("another horse")})
	c.awaitFailure(status.WrongPassword, `"home"`)
	c.set(another)
	c.awaitNetwork("home", "10.0.1")

	t.Log("the access point goes and comes back")
	home.off()
	c.await("in no network", func(s status.Status) bool { return s.WiFi.Network == nil && !find(s, "wlan0").Carrier })
	home.on(bss{"home", "10.0.1", wpa2("another horse", "wpa_group_rekey=5")})
	c.awaitNetwork("home", "10.0.1")

	// That nothing stops meanwhile is for TestRigWiFiStream: a busy emulator can be too
	// late for one of the keys.
	t.Log("keys are renewed")
	await(t, "three new keys", func() error {
		if n := strings.Count(home.hostapd.says(), "group key handshake completed"); n < 3 {
			return fmt.Errorf("there were %d", n)
		}
		return nil
	})
	c.awaitNetwork("home", "10.0.1")

	if !allOfWiFi {
		return
	}

	t.Log("the radio goes and comes back, as after a crash of its firmware")
	c.give(0)
	c.await("no link", func(s status.Status) bool { return find(s, "wlan0").Name == "" && s.WiFi.Network == nil })
	c.take(0)
	c.awaitNetwork("home", "10.0.1")
	if got := c.iw("dev", "wlan0", "get", "power_save"); !strings.Contains(got, "off") {
		t.Errorf("power saving: %s", got)
	}

	t.Log("the router is silent, and gives no address then")
	home.unserve()
	c.awaitFailure(status.Silent, `"home"`)
	c.await("a new association", func(s status.Status) bool { return s.WiFi.Recovered.Reassociated > 0 })
	c.await("the link switched off and on", func(s status.Status) bool { return s.WiFi.Recovered.Restarted > 0 })
	c.awaitFailure(status.NoAddress, "DHCP")
	home.on(bss{"home", "10.0.1", wpa2("another horse")})
	c.awaitNetwork("home", "10.0.1")

	t.Log("two access points of one name")
	twin := newAccessPoint(t, 3)
	twin.on(bss{"home", "10.0.9", wpa2("another horse")})
	home.off()
	c.awaitNetwork("home", "10.0.9")
	home.on(bss{"home", "10.0.1", wpa2("another horse")})
	twin.off()
	c.awaitNetwork("home", "10.0.1")
	twin.give(3)

	t.Log("the other network when the first goes")
	second := secured(t, "transition", password)
	another.Priority, second.Priority = 2, 1
	c.set(another, second)
	c.awaitNetwork("home", "10.0.1")
	home.off()
	s := c.awaitNetwork("transition", "10.0.2")
	c.wantAddresses(fmt.Sprintf("wlan0 %v", given(find(s, "wlan0")))) // none of the first

	// The camera was in a network since it was started: without networks it makes one of
	// its own all the same.
	t.Log("the set-up network")
	setUpByPhone(t, c, 3, "transition", "10.0.2")
}

// at has the helpers report to a part of the test.
func (n *namespace) at(t *testing.T) {
	before := n.t
	n.t = t
	t.Cleanup(func() { n.t = before })
}

// iw runs iw(8) here and returns what it says.
func (n *namespace) iw(args ...string) (said string) {
	n.t.Helper()
	n.do(func() { said = tool(n.t, "iw", args...) })
	return said
}
