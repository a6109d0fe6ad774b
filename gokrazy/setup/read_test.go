package setup

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

// summary is what files say, for tests to compare.
type summary struct {
	Hostname, Country, Password string
	ViewerPassword              string
	Networks                    []string // as name:password
	Flags                       map[string]string
	Problems                    []string
	Secrets                     []string
}

func summarize(s *said) summary {
	sum := summary{Hostname: s.hostname, Country: s.country, Flags: s.flags}
	if len(s.flags) == 0 {
		sum.Flags = nil
	}
	for i, p := range s.passwords {
		sum.Password += strings.Repeat(", ", min(i, 1)) + p.value
	}
	for _, p := range s.viewerPasswords {
		sum.ViewerPassword += p.value
	}
	for _, n := range s.networks {
		text := string(n.ssid)
		if n.password != nil {
			text += ":" + n.password.value
		}
		sum.Networks = append(sum.Networks, text)
	}
	for _, p := range s.problems {
		sum.Problems = append(sum.Problems, p.String())
	}
	for _, secret := range s.all() {
		sum.Secrets = append(sum.Secrets, secret.text)
	}
	return sum
}

// all are the secrets that stand in files.
func (s *said) all() []secret {
	all := slices.Concat(s.passwords, s.viewerPasswords)
	for _, n := range s.networks {
		all = append(all, n.secrets()...)
	}
	return all
}

func read1(name string, data []byte) *said {
	s := newSaid()
	for _, f := range formats {
		if f.name == name {
			s.add(f, name, data)
		}
	}
	return s
}

func inUTF16(text string, order binary.ByteOrder) []byte {
	b := order.(binary.AppendByteOrder).AppendUint16(nil, 0xFEFF)
	for _, u := range utf16.Encode([]rune(text)) {
		b = order.(binary.AppendByteOrder).AppendUint16(b, u)
	}
	return b
}

func latin1(text string) []byte {
	var b []byte
	for _, r := range text {
		b = append(b, byte(r))
	}
	return b
}

func TestText(t *testing.T) {
	usual := "# a comment\nhostname=garden\npassword=tulip and rose\nwifi-ssid=Café Müller\nwifi-password=grünes Haus\nwifi-country=DE\nsize=640x480\nfps=10\n"
	want := summary{
		Hostname: "garden", Country: "DE", Password: "tulip and rose",
		Networks: []string{"Café Müller:grünes Haus"},
		Flags:    map[string]string{"size": "640x480", "fps": "10"},
		Secrets:  []string{"tulip and rose", "grünes Haus"},
	}
	for name, data := range map[string][]byte{
		"as it should be":         []byte(usual),
		"Windows":                 []byte(strings.ReplaceAll(usual, "\n", "\r\n")),
		"an old Mac":              []byte(strings.ReplaceAll(usual, "\n", "\r")),
		"a byte order mark":       []byte("\uFEFF" + usual),
		"Notepad's Unicode":       inUTF16(strings.ReplaceAll(usual, "\n", "\r\n"), binary.LittleEndian),
		"the other UTF-16":        inUTF16(usual, binary.BigEndian),
		"UTF-16 without a mark":   inUTF16(usual, binary.LittleEndian)[2:],
		"Notepad's ANSI":          latin1(usual),
		"no end of the last line": []byte(strings.TrimSpace(usual)),
		"zeros behind":            []byte(usual + "\x00\x00\x00"),
		"blanks": []byte("\t hostname = garden \n password =\ttulip and rose  \n wifi-ssid = Café Müller\u00A0\nwifi-password= grünes Haus\n" +
			"wifi-country = DE\n\n\n   \nsize = 640x480\nfps = 10"),
		"quotes": []byte("hostname=\"garden\"\npassword='tulip and rose'\nwifi-ssid=“Café Müller”\nwifi-password=„grünes Haus“\nwifi-country=‘DE’\nsize=\"640x480\"\nfps=\"10\""),
		"other ways": []byte("Hostname: garden.local\nPASSWORD=tulip and rose\n; wifi-ssid=old\n// no\nwifi_ssid=Café Müller\nWiFi Password=grünes Haus\n" +
			"wifi-country=de # Germany\n--size=640x480\n-fps=10 # slow\n"),
		"the password before its network": []byte("password=tulip and rose\nwifi-password=grünes Haus\nwifi-ssid=Café Müller\nwifi-country=DE\nsize=640x480\nfps=10\nhostname=garden"),
	} {
		t.Run(name, func(t *testing.T) {
			got := read1(TextFile, data)
			if diff := cmp.Diff(want, summarize(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			checkBlanking(t, TextFile, data)
		})
	}
}

func TestTextInDetail(t *testing.T) {
	key := strings.Repeat("0a", 32)
	for _, tt := range []struct {
		name, text string
		want       summary
	}{
		{"nothing", "", summary{}},
		{"values that are left empty", "hostname=\nwifi-ssid=\nwifi-password=\nfps=", summary{}},
		{"networks", "wifi-ssid=a\nwifi-password=password a\nwifi-ssid=open\nwifi-ssid=b\nwifi-password=" + key, summary{
			Networks: []string{"a:password a", "open", "b:" + key}, Secrets: []string{"password a", key}}},
		{"a name that looks like a comment", "wifi-ssid=my #1\nwifi-password=pass #1=x", summary{
			Networks: []string{"my #1:pass #1=x"}, Secrets: []string{"pass #1=x"}}},
		{"quotes that belong to it", `wifi-password=""quoted""` + "\nwifi-ssid='", summary{
			Networks: []string{`':"quoted"`}, Secrets: []string{`"quoted"`}}},
		{"what was taken over", "password=*********\nwifi-ssid=a\nwifi-password=****", summary{
			Password: "*********", Networks: []string{"a:****"}, Secrets: []string{"*********", "****"}}},
		{"controls", "control=rotate=180\ncontrol=hflip=on\nrotate=90", summary{
			Flags: map[string]string{"control": "rotate=180,hflip=on", "rotate": "90"}}},
		{"Windows' own characters", "wifi-ssid=Anna\x92s iPhone\nwifi-password=\x93100\x80 tulips\x94", summary{
			Networks: []string{"Anna’s iPhone:100€ tulips"}, Secrets: []string{"100€ tulips"}}},
		{"colons", "wifi-ssid: home\nwifi-password: a=b tulip\ncontrol: brightness=5", summary{
			Networks: []string{"home:a=b tulip"}, Flags: map[string]string{"control": "brightness=5"}, Secrets: []string{"a=b tulip"}}},
		{"comments behind values", "hostname=\"garden\" # mine\nwifi-country=DE\t# where I live\nfps=10#5 #6", summary{
			Hostname: "garden", Country: "DE", Flags: map[string]string{"fps": "10#5"}}},
		{"the United Kingdom", "wifi-country=uk", summary{Country: "GB"}},

		{"a short password", "wifi-ssid=a\nwifi-password=1234567", summary{
			Problems: []string{"pushcam.txt, line 2: A Wi-Fi password has at least 8 characters, and this one has 7."}}},
		{"a short owner's password", "password=short", summary{
			Problems: []string{"pushcam.txt, line 1: The password is too short: it takes at least 8 characters."}}},
		{"a hash", "password=$6$salt$0123456789abcdef", summary{
			Problems: []string{"pushcam.txt, line 1: This is a hash of a password, which cannot become the owner's password: write password= in pushcam.txt."}}},
		{"a password without a network", "wifi-password=a password", summary{
			Problems: []string{"pushcam.txt, line 1: There is no wifi-ssid= for this password."}}},
		{"a long name", "wifi-ssid=" + strings.Repeat("ü", 17), summary{
			Problems: []string{"pushcam.txt, line 1: A network's name has at most 32 bytes, and this one has 34."}}},
		{"a name with blanks", "hostname=my garden", summary{
			Problems: []string{`pushcam.txt, line 1: "my garden" cannot be the camera's name: it has up to 63 letters a-z, digits and hyphens, as garden-2.`}}},
		{"a country's name", "wifi-country=Germany", summary{
			Problems: []string{`pushcam.txt, line 1: "Germany" is no country: it has two letters, as DE, GB or US.`}}},
		{"no setting", "fps=5\nhello there\nfps=6\n=x", summary{Flags: map[string]string{"fps": "5"}, Problems: []string{
			"pushcam.txt, line 2: This is no setting: a setting is name=value, as fps=10, and a comment begins with #.",
			"pushcam.txt, line 3: fps is already set in line 1, and this one is left out.",
			"pushcam.txt, line 4: This is no setting: a setting is name=value, as fps=10, and a comment begins with #."}}},
		{"rich text", `{\rtf1\ansi hostname=garden}`, summary{Problems: []string{
			"pushcam.txt: This is not plain text but RTF: choose Format, Make Plain Text in TextEdit, and save it again."}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, summarize(read1(TextFile, []byte(tt.text)))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			checkBlanking(t, TextFile, []byte(tt.text))
		})
	}
	many := summarize(read1(TextFile, []byte(strings.Repeat("no\n", 1000))))
	if len(many.Problems) != maxProblems || !strings.HasPrefix(many.Problems[maxProblems-1], "There is more") {
		t.Errorf("%d problems, the last is %q", len(many.Problems), many.Problems[len(many.Problems)-1])
	}
	if got := summarize(read1(TextFile, make([]byte, maxText+1))); len(got.Problems) != 1 {
		t.Errorf("a large file: %q", got.Problems)
	}
}

func TestForeign(t *testing.T) {
	key := strings.Repeat("0a", 32)
	for _, tt := range []struct {
		name, file, text string
		want             summary
	}{
		{"Imager's preseed", "rpi-preseed.toml", `config_version = 1
# made by Raspberry Pi Imager
[system]
hostname = "garden"

[user]
name = "me"
password = "tulip and \"rose\""
password_encrypted = false
[ssh]
enabled = true
[wlan]
ssid = "Caf\u00e9"
password = "` + key + `"
password_encrypted = true
hidden = false
country = "DE" # here
`, summary{Hostname: "garden", Country: "DE", Password: `tulip and "rose"`, Networks: []string{"Café:" + key}, Secrets: []string{`tulip and \"rose\"`, key}}},
		{"its other names", "rpi-preseed.toml", "[user]\npassword_encrypted = \"$y$j9T$0123456789$abc\"\n[wlan]\nssid_hex = '436166c3a9'\npassword_encrypted = \"" + key + `"`, summary{
			Networks: []string{"Café:" + key}, Secrets: []string{key},
			Problems: []string{"rpi-preseed.toml, line 2: This is a hash of a password, which cannot become the owner's password: write password= in pushcam.txt."}}},
		{"an open network", "rpi-preseed.toml", "[wlan]\nssid = \"open\"\npassword = \"\"", summary{Networks: []string{"open"}}},
		{"a damaged one", "rpi-preseed.toml", "[system]\nhostname = \"garden", summary{
			Problems: []string{"rpi-preseed.toml, line 2: The quotes of this value are not as they should be."}}},
		{"Imager's network-config", "network-config", `network:
  version: 2
  wifis:
    renderer: networkd
    wlan0:
      dhcp4: true
      regulatory-domain: "DE"
      access-points:
        "Caf\u00e9: 2":
          password: "` + key + `"
          hidden: true
        'it''s open':
          auth:
            key-management: none
        plain:
          auth:
            password: password 3
      optional: true
`, summary{Country: "DE", Networks: []string{"Café: 2:" + key, "it's open", "plain:password 3"}, Secrets: []string{key, "password 3"}}},
		{"braces", "network-config", "access-points:\n  home: {password: secret}", summary{
			Problems: []string{"network-config, line 2: Settings in braces are not understood: write each in a line of its own."}}},
		{"Imager's user-data", "user-data", `#cloud-config
hostname: garden
manage_etc_hosts: true
users:
- name: me
  groups: users,adm
  lock_passwd: false
  plain_text_passwd: 'tulip and rose'
runcmd:
- [ sed, -i, hostname ]
`, summary{Hostname: "garden", Password: "tulip and rose", Secrets: []string{"tulip and rose"}}},
		{"its hash", "user-data", "users:\n- name: me\n  passwd: $5$rounds=5000$abcdefgh", summary{
			Problems: []string{"user-data, line 3: This is a hash of a password, which cannot become the owner's password: write password= in pushcam.txt."}}},
		{"wpa_supplicant.conf", "wpa_supplicant.conf", `country=DE
ctrl_interface=DIR=/var/run/wpa_supplicant GROUP=netdev
update_config=1
network={
	ssid="Café"
	scan_ssid=1
	#psk="my "pass" word"
	psk=` + key + `
}
network = {
	ssid=6f70656e
	key_mgmt=NONE
}
network={
	ssid="work"
	key_mgmt=WPA-EAP
	password="never read"
}
network={
	ssid="last"
	psk="password 4"
}`, summary{Country: "DE", Networks: []string{"Café:" + key, "open", "last:password 4"}, Secrets: []string{key, `my "pass" word`, "password 4"},
			Problems: []string{"wpa_supplicant.conf, line 16: This is a network with a name and a password for each person (WPA Enterprise), which pushcam cannot join."}}},
		{"without quotes", "wpa_supplicant.conf", "network={\nssid=home\npsk=password\n}\nnetwork={\nssid=\"x\"", summary{Problems: []string{
			"wpa_supplicant.conf, line 2: The network's name is to be in quotes.",
			"wpa_supplicant.conf, line 3: The password is to be in quotes.",
			"wpa_supplicant.conf, line 5: This network has no } at its end."}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, summarize(read1(tt.file, []byte(tt.text)))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			checkBlanking(t, tt.file, []byte(tt.text))
			checkBlanking(t, tt.file, []byte(strings.ReplaceAll(tt.text, "\n", "\r\n")))
		})
	}
}

// checkBlanking overwrites the secrets of a file, which must change nothing else that it
// says.
func checkBlanking(t *testing.T, name string, data []byte) {
	t.Helper()
	before := read1(name, data)
	blanked := append([]byte(nil), data...)
	for _, s := range before.all() {
		s.blank(blanked)
	}
	after := read1(name, blanked)
	got, want := summarize(after), summarize(before)
	stars := func(text string) string {
		if text == "" {
			return ""
		}
		return "*"
	}
	for _, s := range []*summary{&got, &want} {
		for i := range s.Secrets {
			s.Secrets[i] = stars(s.Secrets[i])
		}
		s.Password = stars(s.Password)
	}
	for i, n := range after.networks[:min(len(after.networks), len(got.Networks))] {
		got.Networks[i] = hex.EncodeToString(n.ssid)
	}
	for i, n := range before.networks {
		want.Networks[i] = hex.EncodeToString(n.ssid)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%q, blanked as %q (-want +got):\n%s", data, blanked, diff)
	}
	for _, s := range after.all() {
		if !s.blanked() {
			t.Errorf("%q has the secret %q still", blanked, s.text)
		}
	}
}
