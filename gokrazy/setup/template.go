package setup

import (
	"encoding/hex"
	"strings"
)

// The comments are for owners; a line of settings has its name first, so that Text
// finds it. Flags of the camera's program are only examples here: it knows which there
// are.
const template = `# What you set here counts the next time that the camera is switched on.
# Take away the # in front of a line, and write what you want behind the = .
#
# Passwords are taken over into the camera and then overwritten here with *** .
# Leave the *** as they are, or write a new password. A line that is taken away
# changes nothing of the name, the passwords and the networks.
# How it went is in pushcam-report.txt, which the camera writes beside this file.

# The camera's name: it is found at http://NAME.local/ . Letters a-z, digits, hyphens.
#hostname=pushcam

# The owner's password, for settings and updates: 8 characters or more.
#password=

# Who may look: open is everybody in your network, closed is who knows the owner's password
# or the one for viewers.
#viewing=closed
#viewer-password=

# The wireless network: its name, exactly as it is written, and its password. For more
# networks write both lines again; the first one is preferred. An open network has no
# password. The country has two letters, as DE, AT, CH, GB or US.
#wifi-ssid=
#wifi-password=
#wifi-country=

# The picture. All other settings of the program can stand here too, by their names:
# README.md has them.
#size=1280x720
#fps=30
#rotate=180
`

// Text is pushcam.txt as an image has it, with these settings in it: name, country and
// networks. All else in it is comments.
func Text(s Settings) []byte {
	var b strings.Builder
	for line := range strings.Lines(template) {
		line = strings.TrimSuffix(line, "\n")
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "#"), "=")
		switch {
		case name == "hostname" && s.Hostname != "":
			line = "hostname=" + s.Hostname
		case name == "wifi-country" && s.Country != "":
			line = "wifi-country=" + s.Country
		case name == "wifi-ssid" && len(s.Networks) > 0:
			line = ""
			for _, n := range s.Networks {
				line += "\r\nwifi-ssid=\"" + string(n.SSID) + `"`
				if n.PSK != nil {
					line += "\r\nwifi-password=" + hex.EncodeToString(n.PSK[:])
				}
			}
			line = strings.TrimPrefix(line, "\r\n")
		case name == "wifi-password" && len(s.Networks) > 0:
			continue
		}
		b.WriteString(line + "\r\n")
	}
	return []byte(b.String())
}
