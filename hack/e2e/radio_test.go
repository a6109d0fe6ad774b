//go:build linux

package e2e

import (
	"flag"
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

// A wireless network, which hack/e2e/router makes on the machine itself.
const (
	homeSSID     = "Café"
	homePassword = "hyacinth 7"
)

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
	packages[router] = map[string]any{"CommandLineFlags": []string{"-ssid=" + homeSSID, "-password=" + homePassword}}
	files := packages[program].(map[string]any)["ExtraFilePaths"].(map[string]any)
	for _, path := range []string{wpa.Path, wpa.RegulatoryDB, wpa.RegulatorySignature} {
		files[path] = filepath.Join(checkout, wpa.Dir, filepath.Base(path))
	}
	return kernel
}

// overTheAir waits until the machine is in the wireless network and nowhere else.
func (m *machine) overTheAir(t *testing.T) {
	t.Helper()
	s := m.is(t, "a camera in the wireless network", func(s state) bool {
		w := s.Network.WiFi
		return w != nil && w.Network != nil && w.Network.Signal < 0 && w.Network.Rate > 0 && w.Failure == "" && w.Country == "DE" &&
			len(s.Network.Links) == 1 && s.Network.Links[0].Default
	})
	if n := s.Network.WiFi.Network; n.SSID != homeSSID || n.Channel != 6 {
		t.Errorf("it is in %+v", n)
	}
	if l := s.Network.Links[0]; l.Kind != status.WiFi || len(l.Addresses) == 0 || l.Addresses[0].Prefix.Addr().String() != firstAddress {
		t.Errorf("its link is %+v", l)
	}
	m.metrics(t, `pushcam_wifi_connected 1`)
}

// TestWiFi has pushcam.txt on a card name a wireless network, as an owner writes it on a
// PC, looks at the camera there, and updates it over the air, to the root that it has.
func TestWiFi(t *testing.T) {
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
	writeBootFile(t, bootOf(card), "pushcam.txt", "hostname=porch\r\npassword="+password+"\r\nwifi-ssid="+homeSSID+"\r\nwifi-password="+homePassword+"\r\nwifi-country=de\r\n")
	m := boot(t, card, p.uefi())
	m.overTheAir(t)
	cam := newWebcam()
	cam.plug(t, m)
	t.Cleanup(func() { cam.unplug(t) })
	m.picture(t)
	stream := m.stream(t)
	for range 20 {
		stream.picture(t)
	}
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
	m.overTheAir(t)
	m.picture(t)
}
