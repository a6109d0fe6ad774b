//go:build linux

package e2e

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/network/wpa"
	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/hack/hwsim"
)

var wifi = flag.Bool("wifi", false, "have a camera in a wireless network, for some minutes")

// Wireless networks, which hack/e2e/router makes on the machine itself.
var (
	downstairs = wireless{"Café", "hyacinth 7", 6}
	upstairs   = wireless{"Attic", "tulip and rose", 1}
)

type wireless struct {
	ssid, password string
	channel        int
}

// simulatedRadio has an image have simulated radios, what the product needs for one, and
// the router, which takes the machine's Ethernet. It returns a kernel that has the
// modules, to replace the product's.
func simulatedRadio(t *testing.T, config map[string]any) (kernel string) {
	t.Helper()
	const program, router = pushcam + "/cmd/pushcam", pushcam + "/hack/e2e/router"
	checkout := checkout(t)
	kernel = filepath.Join(t.TempDir(), "kernel")
	if err := os.CopyFS(kernel, os.DirFS(filepath.Join(checkout, "gokrazy/kernel"))); err != nil {
		t.Fatal(err)
	}
	if err := hwsim.Add(checkout, kernel); err != nil {
		t.Fatal(err)
	}
	config["Packages"] = append(config["Packages"].([]any), router)
	packages := config["PackageConfig"].(map[string]any)
	packages[router] = map[string]any{"CommandLineFlags": []string{downstairs.ssid, downstairs.password, upstairs.ssid, upstairs.password}}
	files := packages[program].(map[string]any)["ExtraFilePaths"].(map[string]any)
	for _, path := range []string{wpa.Path, wpa.RegulatoryDB, wpa.RegulatorySignature} {
		files[path] = filepath.Join(checkout, wpa.Dir, filepath.Base(path))
	}
	return kernel
}

// overTheAir waits until the machine is in a wireless network and nowhere else.
func (m *machine) overTheAir(t *testing.T, network wireless) {
	t.Helper()
	s := m.is(t, "a camera in "+network.ssid, func(s state) bool {
		w := s.Network.WiFi
		return w != nil && w.Network != nil && w.Network.SSID == network.ssid && w.Network.Signal < 0 && w.Network.Rate > 0 && w.Failure == "" && w.Country == "DE" &&
			len(s.Network.Links) == 1 && s.Network.Links[0].Default
	})
	if n := s.Network.WiFi.Network; n.Channel != network.channel {
		t.Errorf("it is in %+v", n)
	}
	if l := s.Network.Links[0]; l.Kind != status.WiFi || len(l.Addresses) == 0 || l.Addresses[0].Prefix.Addr().String() != firstAddress {
		t.Errorf("its link is %+v", l)
	}
	m.metrics(t, `pushcam_wifi_connected 1`)
}

// TestWiFi has pushcam.txt on a card name a wireless network, as an owner writes it on a
// PC, looks at the camera there, has it join another one on the owner's page, and updates it
// over the air, to the root that it has.
func TestWiFi(t *testing.T) {
	t.Attr("fault", "network | the owner's page has the camera join another Wi-Fi network, with a wrong password | the page says so, and finds the camera again | back in the one before within two minutes")
	if !*wifi {
		t.Skip("takes minutes: run it with \"go test -timeout 1h -run TestWiFi$ ./hack/e2e -wifi\"")
	}
	p := built(t)
	replace := make(map[string]string)
	root := variantRoot(t, func(config map[string]any) {
		options := config["PackageConfig"].(map[string]any)[pushcam+"/cmd/pushcam"].(map[string]any)
		options["ExtraFileContents"] = map[string]string{partition.VersionFile: "radio\n"}
		replace[pushcam+"/gokrazy/kernel"] = simulatedRadio(t, config)
	}, replace)
	card := p.card(t)
	copyRoot(t, root, card)
	writeBootFile(t, bootOf(card), "pushcam.txt", "hostname=porch\r\npassword="+password+"\r\nwifi-ssid="+downstairs.ssid+"\r\nwifi-password="+downstairs.password+"\r\nwifi-country=de\r\n")
	m := boot(t, card, p.uefi())
	m.overTheAir(t, downstairs)
	cam := newWebcam()
	cam.plug(t, m)
	t.Cleanup(func() { cam.unplug(t) })
	m.picture(t)
	stream := m.stream(t)
	for range 20 {
		stream.picture(t)
	}
	t.Run("the owner's panel", func(t *testing.T) { testPanelWiFi(t, newTab(t, m)) })
	same, err := os.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	said, err := m.update(t, "-image", with(t, same))
	if err != nil || !strings.Contains(said, "committed") {
		t.Fatalf("it is not committed: %v", err)
	}
	s := m.is(t, "an update on no trial", func(s state) bool { return s.Update.Phase == update.Idle })
	if s.Update.Last.Outcome != update.Committed || s.Hostname != "porch" {
		t.Errorf("the last update is %+v, and the camera is called %s", s.Update.Last, s.Hostname)
	}
	m.overTheAir(t, upstairs)
	m.picture(t)
}

// testPanelWiFi has the owner join another network on the page, with a wrong password at
// first, and forget the one of before.
func testPanelWiFi(t *testing.T, tb *tab) {
	m := tb.m
	t.Cleanup(func() {
		if t.Failed() {
			m.tellWiFi(t)
		}
	})
	const said, others = `document.querySelector("#wifi [role=status]").textContent`, `document.querySelector("#wifi ul").textContent`
	const join = "Join this network"
	says := func(pattern string, args ...any) {
		t.Helper()
		tb.until(t, fmt.Sprintf(`/^`+pattern+`$/.test(`+said+`)`, args...))
	}
	tb.open(t, m.url+"/panel")
	tb.logIn(t, password)
	tb.until(t, moves)
	says(`In %s, -\d+ dBm\.`, downstairs.ssid)
	tb.until(t, others+` === ""`)
	for _, network := range []wireless{downstairs, upstairs} {
		tb.until(t, fmt.Sprintf(`[...document.querySelectorAll("#heard option")].some(o => o.value === %q && o.text.endsWith("dBm, WPA2"))`, network.ssid))
	}

	tb.set(t, "Network", upstairs.ssid)
	tb.set(t, "Its password", "short")
	tb.press(t, join)
	tb.until(t, `document.querySelector("#wifi > .button [role=alert]").textContent.includes("at least 8")`)

	tb.set(t, "Its password", "not "+upstairs.password)
	tb.press(t, join)
	says(`.*Joining %s\..*`, upstairs.ssid)
	says(`In %s, -\d+ dBm\. It could not join %s, and went back\. The password for "%[2]s" is wrong\..*`, downstairs.ssid, upstairs.ssid)
	m.overTheAir(t, downstairs)
	tb.until(t, others+` === ""`)
	tb.until(t, moves)
	tb.shot(t, "wifi-back.png")

	tb.set(t, "Its password", upstairs.password)
	tb.press(t, join)
	says(`.*Joining %s\..*`, upstairs.ssid)
	says(`In %s, -\d+ dBm\. It has joined %[1]s\.`, upstairs.ssid)
	m.overTheAir(t, upstairs)
	tb.until(t, others+` === "`+downstairs.ssid+`Forget it"`)
	tb.until(t, moves)
	tb.shot(t, "wifi.png")

	tb.press(t, "Forget it")
	tb.until(t, others+` === ""`)
	m.overTheAir(t, upstairs)
	tb.until(t, moves)
	tb.open(t, "about:blank")
}

// tellWiFi logs what the camera and its network program say of the radio.
func (m *machine) tellWiFi(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/api/wifi", "/gokrazy/status?path=%2fuser%2fnetwork", "/api/log?q=wi-fi"} {
		_, _, text, err := m.owned(http.MethodGet, path)
		t.Logf("%s: %v\n%s", path, err, text)
	}
}
