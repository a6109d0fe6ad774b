package main

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/network/portal"
	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// joinSetUp has a phone with this radio join the set-up network. It stays there when
// that goes and comes, as phones do.
func joinSetUp(t *testing.T, radio int, ssid string) *camera {
	t.Helper()
	dir, err := os.MkdirTemp("", "phone") // a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &camera{namespace: newNamespace(t), dir: dir}
	link := fmt.Sprintf("wlan%d", radio)
	p.take(radio)
	p.joinAsPhone(link, ssid, device.FixedSetupCode)
	// Addresses are this program's work in a phone too; its root has no radio for it.
	cmd := exec.Command(os.Args[0], "-clock=false", "-socket", p.socket(), "-resolv-conf", filepath.Join(dir, "resolv.conf"), "-root", dir)
	cmd.Env = append(os.Environ(), programEnv+"=1")
	p.program = p.start(cmd)
	return p
}

// awaitPage waits until the set-up page is there and shows a text.
func (n *namespace) awaitPage(what, text string) {
	n.t.Helper()
	await(n.t, what, func() error {
		res, page, err := n.tryGet(http.MethodGet, portal.Address.Addr(), "http://4.3.2.1/", "")
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK || !strings.Contains(page, text) {
			_, page, _ = strings.Cut(page, "<main>")
			return fmt.Errorf("%s: %s", res.Status, page)
		}
		return nil
	})
}

// setUpByPhone has a phone set a camera up that has no network: the checks of all
// systems lead to the page; a wrong password brings the set-up network back, with the
// reason on its page; the right one brings the camera into the network.
func setUpByPhone(t *testing.T, c *wirelessCamera, radio int, ssid, prefix string) {
	c.save(setup.Settings{})
	await(t, "the program", func() error { return status.Reload(t.Context(), c.socket()) })
	s := c.await("the set-up network", func(s status.Status) bool { return s.WiFi != nil && s.WiFi.SetUp != nil })
	if !strings.HasPrefix(s.WiFi.SetUp.SSID, "pushcam-setup-") || len(s.WiFi.Seen) == 0 {
		t.Errorf("%+v", s.WiFi)
	}
	phone := joinSetUp(t, radio, s.WiFi.SetUp.SSID)
	defer phone.give(radio)
	here := portal.Address.Addr()
	phone.await("the phone's router and name server", func(s status.Status) bool {
		return len(s.Links) > 0 && s.Links[0].Router == here && len(s.DNS) == 1 && s.DNS[0] == here
	})
	for _, check := range captiveChecks {
		u, err := url.Parse(check)
		if err != nil {
			t.Fatal(err)
		}
		res, _ := phone.get(http.MethodGet, phone.resolve(here, u.Host), check, "")
		if to := res.Header.Get("Location"); res.StatusCode != http.StatusFound || to != "http://4.3.2.1/" {
			t.Errorf("%s: %s to %q", check, res.Status, to)
		}
	}
	phone.awaitPage("the page with the network", "<b>"+ssid+"</b>")

	form := url.Values{"network": {hex.EncodeToString([]byte(ssid))}, "key": {"a wrong password"}, "country": {"DE"}, "camera": {"rig-camera"}, "password": {ownersPassword}}
	submit := func() {
		t.Helper()
		if res, page := phone.get(http.MethodPost, here, "http://4.3.2.1/", form.Encode()); res.StatusCode != http.StatusOK || !strings.Contains(page, "http://rig-camera.local/") {
			t.Fatalf("%s: %s", res.Status, page)
		}
	}
	began := time.Now()
	submit()
	c.await("the camera away", func(s status.Status) bool { return s.WiFi != nil && s.WiFi.SetUp == nil })
	c.await("the set-up network again", func(s status.Status) bool { return s.WiFi != nil && s.WiFi.SetUp != nil })
	phone.awaitPage("the page with the reason", "The password for &#34;"+ssid+"&#34; is wrong.")
	t.Logf("a wrong password is on the page after %v", time.Since(began).Round(100*time.Millisecond))

	form.Set("key", password)
	began = time.Now()
	submit()
	s = c.awaitNetwork(ssid, prefix)
	t.Logf("the camera is in the network after %v", time.Since(began).Round(100*time.Millisecond))
	c.wantAddresses(fmt.Sprintf("wlan0 %v", given(find(s, "wlan0")))) // none of the set-up network
	if name, err := os.Hostname(); name != "rig-camera" {
		t.Errorf("the camera's name is %q, %v", name, err)
	}
}
