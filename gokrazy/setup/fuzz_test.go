package setup

import (
	"encoding/binary"
	"testing"
)

// FuzzRead reads any bytes as each of the formats: what is found is within its bounds,
// and overwriting the secrets changes nothing else.
func FuzzRead(f *testing.F) {
	f.Add(uint8(0), []byte("hostname=a\r\npassword=“tulips and”\nwifi-ssid=a\nwifi-password=12345678\nwifi-country=DE\ncontrol=x=1"))
	f.Add(uint8(0), inUTF16("wifi-ssid=a\nwifi-password=grün 🌷 1234", binary.LittleEndian))
	f.Add(uint8(0), inUTF16("wifi-password=grün 🌷 1234\nwifi-ssid=a", binary.BigEndian))
	f.Add(uint8(0), latin1("password=grün Grün\nwifi-ssid=Café"))
	f.Add(uint8(2), []byte("[system]\nhostname='a'\n[user]\npassword=\"tu\\\"lip \\u00e9\"\n[wlan]\nssid=\"a\"\npassword=\"12345678\"\ncountry=\"DE\""))
	f.Add(uint8(3), []byte("network:\n wifis:\n  wlan0:\n   regulatory-domain: DE\n   access-points:\n    \"a\":\n     password: '12345678'"))
	f.Add(uint8(4), []byte("hostname: a\nusers:\n- name: b\n  plain_text_passwd: \"12345678\""))
	f.Add(uint8(5), []byte("country=DE\nnetwork={\nssid=\"a\"\n#psk=\"12345678\"\npsk=\"12345678\"\n}"))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		if len(data) > 4<<10 {
			return // a key takes its time, and more of the same finds no more
		}
		name := formats[int(which)%len(formats)].name
		s := read1(name, data)
		if len(s.networks) > maxNetworks || len(s.problems) > maxProblems || len(s.flags) > maxFlags {
			t.Fatalf("%d networks, %d problems, %d flags", len(s.networks), len(s.problems), len(s.flags))
		}
		for _, secret := range s.all() {
			if from, to := secret.at[0], secret.at[len(secret.text)]; from < 0 || to > len(data) || from >= to {
				t.Fatalf("a secret stands from %d to %d of %d bytes", from, to, len(data))
			}
		}
		checkBlanking(t, name, data)
	})
}
