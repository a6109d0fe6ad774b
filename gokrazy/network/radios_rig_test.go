package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// What tests with radios are made of: the kernel's own (mac80211_hwsim), one in each
// network namespace, with Debian's wpa_supplicant, hostapd and dnsmasq.

// allOfWiFi has all rows run, and the radios look on all channels: 4 s for each look
// under emulation.
var allOfWiFi = os.Getenv("PUSHCAM_WIFI_ALL") != ""

// radios is how many the machine has: wlan0 of phy0 and so on.
const radios = 4

// needRadios loads the kernel's radios, and gives a root for the camera that has their
// modules.
func needRadios(t *testing.T) device.Root {
	t.Helper()
	if os.Getenv("PUSHCAM_RIG") == "" {
		t.Skip(`needs the kernel's radios: run it with "go run ./hack/rig test"`)
	}
	for program, pkg := range map[string]string{"wpa_supplicant": "wpasupplicant", "hostapd": "hostapd", "iw": "iw", "dnsmasq": "dnsmasq-base"} {
		need(t, program, pkg)
	}
	root := device.Root(t.TempDir())
	release, err := device.Root("/").KernelRelease()
	if err != nil {
		t.Fatal(err)
	}
	modules := root.Path("lib/modules", release)
	firmware, err := filepath.Abs("wpa") // the database of countries is looked for where firmware is
	firmware = "/root" + firmware        // by the kernel, in the root of the machine's process 1
	errs := []error{err,
		os.Symlink("/sys", root.Path("sys")), os.Symlink("/proc", root.Path("proc")),
		os.MkdirAll(modules, 0o755), os.MkdirAll(root.Path("run/pushcam"), 0o755), os.MkdirAll(root.Path("perm/pushcam"), 0o755),
		os.MkdirAll("/run/netns", 0o755),
		os.WriteFile("/sys/module/firmware_class/parameters/path", []byte(firmware), 0o644),
	}
	const there = "/run/modules"
	later, err := os.ReadFile(filepath.Join(there, "later.list"))
	errs = append(errs, err)
	var dep, before string
	for name := range strings.FieldsSeq(string(later)) {
		image, err := os.ReadFile(filepath.Join(there, name))
		errs = append(errs, err, os.WriteFile(filepath.Join(modules, name), image, 0o644))
		dep += name + ":" + before + "\n"
		before = " " + name + before
	}
	errs = append(errs, os.WriteFile(filepath.Join(modules, "modules.dep"), []byte(dep), 0o644))
	m := device.Modules{Root: root, Parameters: map[string]string{"mac80211_hwsim": fmt.Sprint("radios=", radios)}}
	errs = append(errs, m.Load("mac80211_hwsim", "ccm", "gcm", "cmac", "ctr"))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return root
}

// take moves a radio into a computer's network.
func (n *namespace) take(radio int) {
	n.t.Helper()
	name := fmt.Sprintf("rig%d", radio) // as iw knows a network
	path := filepath.Join("/run/netns", name)
	os.Remove(path)
	if err := os.Symlink(n.path(), path); err != nil {
		n.t.Fatal(err)
	}
	tool(n.t, "iw", fmt.Sprintf("phy#%d", radio), "set", "netns", "name", name)
}

// give moves a radio back to where radios are when they come.
func (n *namespace) give(radio int) {
	n.t.Helper()
	n.do(func() { tool(n.t, "iw", fmt.Sprintf("phy#%d", radio), "set", "netns", "1") })
}

func tool(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(need(t, program, program), args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %q: %v: %s", program, args, err, out)
	}
	return string(out)
}

// An accessPoint is a router with a radio.
type accessPoint struct {
	*namespace
	link    string
	radio   int
	hostapd *process
	servers []*process
}

func newAccessPoint(t *testing.T, radio int) *accessPoint {
	t.Helper()
	a := &accessPoint{namespace: newNamespace(t), radio: radio, link: fmt.Sprintf("wlan%d", radio)}
	a.take(radio)
	return a
}

// A bss is a network of an access point.
type bss struct {
	ssid   string // as hostapd's ssid2
	prefix string // 10.0.1 for addresses of 10.0.1.0/24; empty: no server
	lines  []string
}

func wpa2(password string, more ...string) []string {
	return append([]string{"wpa=2", "wpa_key_mgmt=WPA-PSK", "rsn_pairwise=CCMP", "wpa_passphrase=" + password}, more...)
}

// on switches the networks on, on one channel.
func (a *accessPoint) on(networks ...bss) {
	a.t.Helper()
	a.off()
	var conf strings.Builder
	for i, n := range networks {
		link := a.link
		if i == 0 {
			fmt.Fprintf(&conf, "interface=%s\ndriver=nl80211\nhw_mode=g\nchannel=%d\n", link, []int{0, 6, 11, 1}[a.radio])
		} else {
			link += fmt.Sprintf("_%d", i)
			fmt.Fprintf(&conf, "bss=%s\n", link)
		}
		fmt.Fprintf(&conf, "ssid2=P\"%s\"\n%s\n", n.ssid, strings.Join(n.lines, "\n"))
	}
	path := filepath.Join(a.t.TempDir(), "hostapd.conf")
	if err := os.WriteFile(path, []byte(conf.String()), 0o600); err != nil {
		a.t.Fatal(err)
	}
	a.hostapd = a.start(exec.Command(need(a.t, "hostapd", "hostapd"), path))
	await(a.t, "the access point", func() error {
		if said := a.hostapd.says(); strings.Count(said, "AP-ENABLED") == 0 {
			return fmt.Errorf("it says %q", said)
		}
		return nil
	})
	for i, n := range networks {
		if n.prefix == "" {
			continue
		}
		link := a.link
		if i > 0 {
			link += fmt.Sprintf("_%d", i)
		}
		a.ip("addr replace " + n.prefix + ".1/24 dev " + link)
		a.servers = append(a.servers, a.start(exec.Command(need(a.t, "dnsmasq", "dnsmasq-base"), "--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--pid-file=", "--user=root",
			"--port=0", "--interface="+link, "--bind-interfaces", "--leasefile-ro", "--dhcp-authoritative", "--no-ping", "--dhcp-range="+n.prefix+".100,"+n.prefix+".120,2m")))
	}
}

// off switches the access point off, without a goodbye.
func (a *accessPoint) off() {
	a.t.Helper()
	a.unserve()
	if a.hostapd != nil {
		a.ip("link set " + a.link + " down") // the radio is silent first
		a.hostapd.stop()
		a.hostapd = nil
	}
}

// unserve ends the servers of addresses, and takes the routers' own away.
func (a *accessPoint) unserve() {
	a.t.Helper()
	for _, s := range a.servers {
		s.stop()
	}
	a.servers = nil
	a.ip("-4 addr flush dev " + a.link)
}

// A wirelessCamera is a camera with a radio, wlan0.
type wirelessCamera struct {
	*camera
	root device.Root
}

func newWirelessCamera(t *testing.T, root device.Root, s setup.Settings) *wirelessCamera {
	t.Helper()
	c := &wirelessCamera{&camera{namespace: newNamespace(t), dir: string(root)}, root}
	c.save(s)
	c.take(0)
	c.boot()
	return c
}

// boot starts the program, with a /sys that shows this computer's network.
func (c *wirelessCamera) boot() {
	c.t.Helper()
	supplicant := need(c.t, "wpa_supplicant", "wpasupplicant")
	if !allOfWiFi {
		// A look on three channels takes half a second, on all of them four.
		conf, wrapper := c.root.Path("wpa.conf"), c.root.Path("wpa")
		script := fmt.Sprintf("#!/bin/sh\nexec %s -c %s \"$@\"\n", supplicant, conf)
		if err := errors.Join(os.WriteFile(conf, []byte("freq_list=2412 2437 2462\n"), 0o600), os.WriteFile(wrapper, []byte(script), 0o755)); err != nil {
			c.t.Fatal(err)
		}
		supplicant = wrapper
	}
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", `mount -t sysfs sys /sys && exec "$0" "$@"`,
		os.Args[0], "-clock=false", "-socket", c.socket(), "-resolv-conf", filepath.Join(c.dir, "resolv.conf"), "-root", string(c.root), "-supplicant", supplicant)
	cmd.Env = append(os.Environ(), programEnv+"=1")
	c.program = c.start(cmd)
}

func (c *wirelessCamera) save(s setup.Settings) {
	c.t.Helper()
	if err := setup.Save(c.root, func(now *setup.Settings) error { *now = s; return nil }); err != nil {
		c.t.Fatal(err)
	}
}

// set changes the settings while the program runs.
func (c *wirelessCamera) set(networks ...setup.Network) {
	c.t.Helper()
	c.save(setup.Settings{Networks: networks, Country: "DE"})
	if err := status.Reload(c.t.Context(), c.socket()); err != nil {
		c.t.Fatal(err)
	}
}

// secured is a network with a password; open one without.
func secured(t *testing.T, ssid, password string) setup.Network {
	t.Helper()
	psk, err := setup.ParseKey([]byte(ssid), password)
	if err != nil {
		t.Fatal(err)
	}
	return setup.Network{SSID: []byte(ssid), PSK: psk}
}

func unsecured(ssid string) setup.Network { return setup.Network{SSID: []byte(ssid)} }

// awaitNetwork waits until the camera is in a network and has an address of it.
func (c *wirelessCamera) awaitNetwork(ssid, prefix string) status.Status {
	c.t.Helper()
	return c.await(fmt.Sprintf("in %q with an address of %s.0/24", ssid, prefix), func(s status.Status) bool {
		a := given(find(s, "wlan0"))
		return s.WiFi != nil && s.WiFi.Network != nil && s.WiFi.Network.SSID == ssid && a.IsValid() && strings.HasPrefix(a.String(), prefix+".")
	})
}

// awaitFailure waits until the camera says why it is in no network.
func (c *wirelessCamera) awaitFailure(want status.Failure, says string) {
	c.t.Helper()
	c.await(string(want), func(s status.Status) bool {
		return s.WiFi != nil && s.WiFi.Failure == want && strings.Contains(s.WiFi.Why, says)
	})
}

// supplicantOf starts a wpa_supplicant as a phone has one, and returns when it is in a
// network.
func (n *namespace) joinAsPhone(link, ssid, password string) *process {
	n.t.Helper()
	conf := filepath.Join(n.t.TempDir(), "phone.conf")
	text := fmt.Sprintf("network={\n ssid=\"%s\"\n psk=\"%s\"\n}\n", ssid, password)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
	p := n.start(exec.Command(need(n.t, "wpa_supplicant", "wpasupplicant"), "-i", link, "-D", "nl80211", "-c", conf))
	await(n.t, "the phone is in "+ssid, func() error {
		if said := p.says(); !strings.Contains(said, "CTRL-EVENT-CONNECTED") {
			return fmt.Errorf("it says %q", said)
		}
		return nil
	})
	return p
}
