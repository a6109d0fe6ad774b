package wifi

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestParseEvent(t *testing.T) {
	for text, want := range map[string]event{
		"<3>CTRL-EVENT-CONNECTED - Connection to 02:00:00:00:00:01 completed [id=3 id_str=]":                                     {kind: connected, network: 3, station: "02:00:00:00:00:01"},
		"<3>CTRL-EVENT-DISCONNECTED bssid=02:00:00:00:00:01 reason=15":                                                           {kind: disconnected, network: -1, station: "02:00:00:00:00:01", reason: "15"},
		`<3>CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid="home" auth_failures=1 duration=10 reason=WRONG_KEY`:                         {kind: tempDisabled, network: 0, reason: "WRONG_KEY"},
		`<3>CTRL-EVENT-SSID-TEMP-DISABLED id=1 ssid="a" reason=WRONG_KEY id=7 b" auth_failures=1 duration=10 reason=CONN_FAILED`: {kind: tempDisabled, network: 1, reason: "CONN_FAILED"},
		"<3>CTRL-EVENT-ASSOC-REJECT bssid=02:00:00:00:00:01 status_code=17":                                                      {kind: assocReject, network: -1, station: "02:00:00:00:00:01", status: 17},
		"<3>CTRL-EVENT-AUTH-REJECT 02:00:00:00:00:01 auth_type=0 auth_transaction=2 status_code=1":                               {kind: authReject, network: -1, station: "02:00:00:00:00:01", status: 1},
		"<3>CTRL-EVENT-NETWORK-NOT-FOUND ":                                                                                       {kind: notFound, network: -1},
		"<3>CTRL-EVENT-SCAN-RESULTS ":                                                                                            {kind: scanResults, network: -1},
		"<3>CTRL-EVENT-REGDOM-CHANGE init=USER type=COUNTRY alpha2=DE":                                                           {kind: regdomChange, network: -1, country: "DE"},
		"<3>AP-STA-CONNECTED 02:00:00:00:00:09":                                                                                  {kind: apConnected, network: -1, station: "02:00:00:00:00:09"},
		"AP-ENABLED ":                                                                                                            {kind: apEnabled, network: -1},
	} {
		got, ok := parseEvent(text)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(event{})); !ok || diff != "" {
			t.Errorf("%s: %v, -want +got:\n%s", text, ok, diff)
		}
	}
	for _, text := range []string{"", "<3>", "<3", "OK", "<3>CTRL-EVENT-BSS-ADDED 1 02:00:00:00:00:01", "CTRL-EVENT-CONNECTEDLY"} {
		if e, ok := parseEvent(text); ok {
			t.Errorf("%q is %+v", text, e)
		}
	}
}

// A reply of wpa_supplicant 2.10 to bssCommand, with the names that people give.
const bssReply = `id=0
bssid=02:00:00:00:00:00
freq=2437
level=-30
flags=[WPA2-PSK-CCMP][ESS]
ssid=home
====
id=4
bssid=02:00:00:00:02:00
freq=5180
level=-71
flags=[WPA2--CCMP][SAE-H2E][ESS]
ssid=K\xc3\xbcche\" \\x
====
id=5
bssid=02:00:00:00:03:00
freq=2412
level=-60
flags=[WPS][ESS]
ssid=\x00\x00\x00
####
`

func TestParseBSS(t *testing.T) {
	want := []bss{
		{0, "home", "02:00:00:00:00:00", -30, 2437, wpa2},
		{4, "Küche\" \\x", "02:00:00:00:02:00", -71, 5180, wpa3},
		{5, "", "02:00:00:00:03:00", -60, 2412, open},
	}
	if diff := cmp.Diff(want, parseBSS(bssReply), cmp.AllowUnexported(bss{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, bad := range []string{"", "####\n", "id=0\n", "id=-1\nbssid=02:00:00:00:00:00\nssid=a\n", "id=0\nbssid=02\nssid=a\n",
		"id=0\nbssid=02:00:00:00:00:00\nssid=" + strings.Repeat("a", 33), "id=0\nbssid=02:00:00:00:00:00\nssid=\\q"} {
		if got := parseBSS(bad); len(got) != 0 {
			t.Errorf("%q gives %+v", bad, got)
		}
	}
}

// A router may have WPA3 alone on one band, and anybody can give an access point without a
// password any name: the network is the one that can be joined with its password.
func TestStrongest(t *testing.T) {
	all := []bss{
		{0, "home", "02:00:00:00:00:00", -40, 5180, wpa3}, {1, "home", "02:00:00:00:00:01", -60, 2437, wpa2}, {2, "home", "02:00:00:00:00:02", -30, 2412, open},
		{3, "", "02:00:00:00:00:03", -20, 2412, open}, {4, "cafe", "02:00:00:00:00:04", -70, 2412, open}, {5, "cafe", "02:00:00:00:00:05", -50, 2412, open},
		{6, "work", "02:00:00:00:00:06", -80, 2412, enterprise},
	}
	if diff := cmp.Diff([]bss{all[5], all[1], all[6]}, strongest(all), cmp.AllowUnexported(bss{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSecurity(t *testing.T) {
	for flags, want := range map[string]security{
		"[ESS]": open, "": open, "[WPS][ESS]": open, "[WEP][ESS]": wep,
		"[WPA2-PSK-CCMP][ESS]": wpa2, "[WPA-PSK-TKIP][WPA2-PSK-CCMP][ESS]": wpa2, "[WPA2-PSK+PSK-SHA256-CCMP][ESS]": wpa2,
		"[WPA2-PSK+SAE-CCMP][SAE-H2E][ESS]": wpa2, "[WPA-PSK-TKIP][ESS]": wpa1, "[WPA-PSK-TKIP][WPA2--CCMP][ESS]": wpa1,
		"[WPA2-SAE-CCMP][SAE-H2E][ESS]": wpa3, "[WPA2--CCMP][ESS]": wpa3, "[RSN--CCMP][ESS]": wpa3,
		"[WPA2-EAP-CCMP][ESS]": enterprise, "[WPA-EAP-TKIP][WPA2-EAP-CCMP][ESS]": enterprise, "[WPA2-FT/EAP-CCMP][ESS]": enterprise,
		"[WPA2-PSK": wpa2, "]]]": open,
	} {
		if got := securityOf(flags); got != want {
			t.Errorf("%s is %s, want %s", flags, got, want)
		}
	}
}

func TestText(t *testing.T) {
	for ssid, want := range map[string]string{
		"home": "home", "Küche 厨房": "Küche 厨房", "a\x00\xffb": `a\x00\xffb`, "tab\t": `tab\x09`, "\x1b[31mred": `\x1b[31mred`, "\u202eleft": `\xe2\x80\xaeleft`,
	} {
		if got := text(ssid); got != want {
			t.Errorf("%q is %q, want %q", ssid, got, want)
		}
	}
}

func TestChannel(t *testing.T) {
	for mhz, want := range map[int]int{2412: 1, 2437: 6, 2472: 13, 2484: 14, 5180: 36, 5825: 165, 0: 0, 60480: 0} {
		if got := channel(mhz); got != want {
			t.Errorf("%d MHz is channel %d, want %d", mhz, got, want)
		}
	}
}

func TestParseBands(t *testing.T) {
	for reply, want := range map[string]bands{
		"Mode[G] Channels: 1 2 3\nMode[A] Channels: 36 40\n": {true, true}, "Mode[G] Channels: 1 2 3\nMode[B] Channels: 1\n": {true, false}, "": {},
	} {
		if got := parseBands(reply); got != want {
			t.Errorf("%q: %+v", reply, got)
		}
	}
}

// What comes over the socket may be anything: access points choose their names.
func FuzzReplies(f *testing.F) {
	f.Add(bssReply)
	f.Add(`<3>CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid="home" auth_failures=1 duration=10 reason=WRONG_KEY`)
	f.Add("<3>CTRL-EVENT-CONNECTED - Connection to 02:00:00:00:00:01 completed [id=0 id_str=]")
	f.Add("wpa_state=COMPLETED\nssid=K\\xc3\\xbcche\nfreq=2437\nmode=station\n")
	f.Fuzz(func(t *testing.T, reply string) {
		if e, ok := parseEvent(reply); ok && (e.network < -1 || e.station != "" && !isHardwareAddress(e.station) || len(e.country) != 0 && len(e.country) != 2) {
			t.Errorf("event %+v", e)
		}
		all := parseBSS(reply)
		if len(all) > maxBSS {
			t.Errorf("%d access points", len(all))
		}
		for _, b := range all {
			if len(b.ssid) > maxSSID || b.id < 0 || !isHardwareAddress(b.station) {
				t.Errorf("access point %+v", b)
			}
		}
		for _, s := range seen(all) {
			if !utf8.ValidString(s.SSID) || strings.ContainsAny(s.SSID, "\n\x1b\x00") {
				t.Errorf("network %q", s.SSID)
			}
		}
		if ssid, ok := decodeSSID(fields(reply)["ssid"]); ok && len(ssid) > maxSSID {
			t.Errorf("name %q", ssid)
		}
		missingFirmware(reply)
	})
}
