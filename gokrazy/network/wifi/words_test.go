package wifi

import (
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

func network(ssid string) setup.Network { return setup.Network{SSID: []byte(ssid), PSK: new([32]byte)} }

func heard(ssid string, signal int, s security) bss {
	return bss{ssid: ssid, signal: signal, frequency: 2437, security: s}
}

// Each failure has a sentence of its own, which names the network and says what to do.
func TestExplain(t *testing.T) {
	other := heard("neighbour", -60, wpa2)
	two4 := bands{known: true}
	for _, test := range []struct {
		name    string
		network setup.Network
		air     []bss
		met     status.Failure
		radio   bands
		want    status.Failure
		says    []string
	}{
		{"wrong password", network("home"), []bss{heard("home", -50, wpa2)}, status.WrongPassword, two4, status.WrongPassword, []string{`password for "home" is wrong`}},
		{"wrong password of a hidden network", network("home"), nil, status.WrongPassword, two4, status.WrongPassword, []string{`password for "home" is wrong`}},
		{"capital letters", network("home"), []bss{other, heard("Home", -50, wpa2)}, "", two4, status.OtherSpelling, []string{`There is "Home", not "home"`}},
		{"a blank", network("My Home"), []bss{heard("MyHome ", -50, wpa2)}, "", two4, status.OtherSpelling, []string{`There is "MyHome ", not "My Home"`}},
		{"not seen", network("home"), []bss{other, heard("café", -40, wpa2)}, "", two4, status.NotSeen, []string{`No network called "home" is heard`, `There are "café", "neighbour".`, "no 5 GHz"}},
		{"not seen by a radio of both bands", network("home"), []bss{other}, "", bands{true, true}, status.NotSeen, []string{`"neighbour"`}},
		{"nothing seen", network("home"), nil, "", bands{}, status.NotSeen, []string{"No other network is heard either"}},
		{"WPA3 alone", network("home"), []bss{heard("home", -50, wpa3)}, "", two4, status.WPA3Only, []string{`"home" is secured by WPA3 alone`, "WPA2 + WPA3"}},
		{"WPA3 on one access point of two", network("home"), []bss{heard("home", -50, wpa3), heard("home", -70, wpa2)}, status.WrongPassword, two4, status.WrongPassword, []string{"wrong"}},
		{"open", network("home"), []bss{heard("home", -50, open)}, "", two4, status.OpenNetwork, []string{`"home" has no password, and the camera was given one`}},
		{"no password given", setup.Network{SSID: []byte("home")}, []bss{heard("home", -50, wpa2)}, "", two4, status.PasswordMissing, []string{`"home" has a password, and the camera was given none`}},
		{"a company's", network("eduroam"), []bss{heard("eduroam", -50, enterprise)}, "", two4, status.Enterprise, []string{`"eduroam" wants a name`, "cable"}},
		{"WEP", network("home"), []bss{heard("home", -50, wep)}, "", two4, status.Outdated, []string{"WEP", "WPA2"}},
		{"refused", network("home"), []bss{heard("home", -50, wpa2)}, status.Refused, two4, status.Refused, []string{`router of "home" refuses`, "MAC filter"}},
		{"full", network("home"), []bss{heard("home", -50, wpa2)}, status.Full, two4, status.Full, []string{"takes no more devices"}},
		{"weak", network("home"), []bss{heard("home", -88, wpa2)}, status.NotReached, two4, status.WeakSignal, []string{"too weak", "-88 dBm"}},
		{"not yet", network("home"), []bss{heard("home", -50, wpa2)}, "", two4, status.NotReached, []string{`"home" is heard`}},
		{"any bytes", network("a\xff"), nil, "", two4, status.NotSeen, []string{`"a\xff"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, sentence := explain(test.network, test.air, test.met, test.radio)
			if got != test.want {
				t.Errorf("%s, want %s: %s", got, test.want, sentence)
			}
			for _, say := range test.says {
				if !strings.Contains(sentence, say) {
					t.Errorf("%q does not say %q", sentence, say)
				}
			}
			if test.radio.five && strings.Contains(sentence, "5 GHz") {
				t.Errorf("a radio of both bands is told that it has not: %s", sentence)
			}
			if !strings.HasSuffix(sentence, ".") {
				t.Errorf("no sentence: %q", sentence)
			}
		})
	}
}

func TestMissingFirmware(t *testing.T) {
	const log = "<6>[    3.1] brcmfmac: brcmf_fw_alloc_request: using brcm/brcmfmac43430b0-sdio for chip BCM43430/2\n" +
		"<4>[    3.2] brcmfmac mmc1:0001:1: Direct firmware load for brcm/brcmfmac43430b0-sdio.raspberrypi,model-zero-2-w.bin failed with error -2\n" +
		"<4>[    3.3] brcmfmac mmc1:0001:1: Direct firmware load for brcm/brcmfmac43430b0-sdio.clm_blob failed with error -2\n"
	if got := missingFirmware(log); len(got) != 1 || got[0] != "brcm/brcmfmac43430b0-sdio.raspberrypi,model-zero-2-w.bin" {
		t.Errorf("%q", got)
	}
	if got := missingFirmware("brcmfmac: F1 signature read @0x18000000=0x1541a9a6"); len(got) != 0 {
		t.Errorf("%q", got)
	}
}
