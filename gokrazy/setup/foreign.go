package setup

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// What is not understood in these files is no problem: most of them is not for us.

// quoted reads a value that may be in quotes, and what a backslash means in them. raw
// is where it stands, without its quotes; ok is false if its quotes do not end.
func quoted(p piece) (value string, raw piece, ok bool) {
	p = p.trim()
	if p.text == "" || p.text[0] != '"' && p.text[0] != '\'' {
		if i := strings.Index(p.text, " #"); i >= 0 {
			p = p.slice(0, i).trim()
		}
		return p.text, p, true
	}
	var b strings.Builder
	for i := 1; i < len(p.text); i++ {
		c := p.text[i]
		switch {
		case c == p.text[0] && c == '\'' && strings.HasPrefix(p.text[i+1:], "'"): // YAML
			i++
			b.WriteByte(c)
		case c == p.text[0]:
			return b.String(), p.slice(1, i), true
		case c == '\\' && p.text[0] == '"':
			r, _, rest, err := strconv.UnquoteChar(p.text[i:], '"')
			if err != nil {
				return "", p, false
			}
			b.WriteRune(r)
			i = len(p.text) - len(rest) - 1
		default:
			b.WriteByte(c)
		}
	}
	return "", p, false
}

const quotesText = "The quotes of this value are not as they should be."

// readPreseed reads rpi-preseed.toml, of Raspberry Pi Imager since 2.0.11.
func (r *reader) readPreseed(all []piece) {
	var table string
	var ssid []byte
	var ssidLine int
	var wifi, owner *secret
	encrypted := false
	for _, l := range all {
		l = l.trim()
		if strings.HasPrefix(l.text, "[") {
			name, _, _ := strings.Cut(l.text[1:], "]")
			table = strings.TrimSpace(name)
			continue
		}
		key, after, found := l.cut("=")
		if !found || strings.HasPrefix(l.text, "#") {
			continue
		}
		name := table + "." + strings.Trim(key.trim().text, `"'`)
		value, raw, ok := quoted(after)
		if !ok {
			r.problem(l.line, quotesText)
			continue
		}
		switch name {
		case "system.hostname":
			r.setHostname(l.line, value)
		case "wlan.country":
			r.setCountry(l.line, value)
		case "wlan.ssid":
			ssid, ssidLine = []byte(value), l.line
		case "wlan.ssid_hex":
			text, err := hex.DecodeString(value)
			if err != nil {
				r.problem(l.line, "This is no network's name in hexadecimal digits.")
				continue
			}
			ssid, ssidLine = text, l.line
		case "user.password_encrypted", "wlan.password_encrypted", "user.password", "wlan.password":
			switch s := r.secret(raw, value); {
			case value == "true" || value == "false" || value == "": // says how password is written
				encrypted = encrypted || name == "user.password_encrypted" && value == "true"
			case table == "wlan":
				wifi = s
			default:
				owner = s
				encrypted = encrypted || name == "user.password_encrypted"
			}
		}
	}
	if owner != nil && encrypted && !owner.blanked() {
		r.problem(owner.Line, hashedText)
	} else if owner != nil {
		r.setPassword(&r.passwords, owner)
	}
	if ssid != nil {
		r.addNetwork(ssidLine, ssid, wifi)
	}
}

// yamlLine is a line of YAML as cloud-init's files have it: path is the keys above it
// and its own, and value what follows on the line.
type yamlLine struct {
	path  []string
	value piece
}

// yamlLines reads mappings of one key in each line, which is what people and programs
// write for cloud-init. Lists and what is in braces are left out.
func (r *reader) yamlLines(all []piece) []yamlLine {
	type level struct {
		indent int
		key    string
	}
	var above []level
	var found []yamlLine
	for _, l := range all {
		text := strings.TrimLeft(l.text, " ")
		indent := len(l.text) - len(text)
		rest := l.from(indent)
		for strings.HasPrefix(rest.text, "- ") { // the keys of a list's item are deeper than its mark
			rest = rest.from(2)
			indent += 2
		}
		rest = rest.trim()
		if rest.text == "" || rest.text[0] == '#' {
			continue
		}
		key, value, ok := yamlKey(rest)
		if !ok {
			continue
		}
		for len(above) > 0 && above[len(above)-1].indent >= indent {
			above = above[:len(above)-1]
		}
		above = append(above, level{indent, key})
		if strings.HasPrefix(value.text, "{") && len(value.text) > 2 {
			r.problem(l.line, "Settings in braces are not understood: write each in a line of its own.")
			continue
		}
		y := yamlLine{value: value}
		for _, a := range above {
			y.path = append(y.path, a.key)
		}
		found = append(found, y)
	}
	return found
}

// yamlKey splits "key: value", where the key may be in quotes.
func yamlKey(p piece) (key string, value piece, ok bool) {
	if p.text[0] == '"' || p.text[0] == '\'' {
		name, raw, ok := quoted(p)
		if !ok {
			return "", p, false
		}
		rest := p.from(len(raw.text) + 2).trim()
		if !strings.HasPrefix(rest.text, ":") {
			return "", p, false
		}
		return name, rest.from(1).trim(), true
	}
	i := strings.Index(p.text+" ", ": ")
	if i < 0 {
		return "", p, false
	}
	return p.slice(0, i).trim().text, p.from(i + 1).trim(), true
}

// readNetworkConfig reads cloud-init's network-config (netplan), of Raspberry Pi
// Imager for systems with cloud-init.
func (r *reader) readNetworkConfig(all []piece) {
	type point struct {
		line     int
		ssid     string
		password *secret
	}
	var points []point
	for _, y := range r.yamlLines(all) {
		last := len(y.path) - 1
		value, raw, ok := quoted(y.value)
		if !ok {
			r.problem(y.value.line, quotesText)
			continue
		}
		switch {
		case y.path[last] == "regulatory-domain":
			r.setCountry(y.value.line, value)
		case last >= 1 && y.path[last-1] == "access-points":
			points = append(points, point{line: y.value.line, ssid: y.path[last]})
		case y.path[last] == "password" && last >= 2 && len(points) > 0 &&
			(y.path[last-2] == "access-points" || y.path[last-1] == "auth") && value != "":
			points[len(points)-1].password = r.secret(raw, value)
		}
	}
	for _, p := range points {
		r.addNetwork(p.line, []byte(p.ssid), p.password)
	}
}

// readUserData reads cloud-init's user-data, of Raspberry Pi Imager too.
func (r *reader) readUserData(all []piece) {
	for _, y := range r.yamlLines(all) {
		value, raw, ok := quoted(y.value)
		if !ok {
			r.problem(y.value.line, quotesText)
			continue
		}
		switch path := strings.Join(y.path, "."); path {
		case "hostname":
			r.setHostname(y.value.line, value)
		case "password", "users.plain_text_passwd", "users.passwd", "user.plain_text_passwd", "user.passwd", "users.hashed_passwd":
			r.setPassword(&r.passwords, r.secret(raw, value))
		}
	}
}

// readSupplicant reads wpa_supplicant.conf.
func (r *reader) readSupplicant(all []piece) {
	type block struct {
		line     int
		ssid     []byte
		password *secret
		open     bool
		comments []secret
		bad      bool
	}
	var n *block
	for _, l := range all {
		l = l.trim()
		if n == nil && strings.HasPrefix(strings.ReplaceAll(l.text, " ", ""), "network={") {
			n = &block{line: l.line}
			continue
		}
		if n != nil && strings.HasPrefix(l.text, "}") {
			if n.open {
				n.password = nil
			}
			if n.ssid != nil && !n.bad {
				r.addNetwork(n.line, n.ssid, n.password, n.comments...)
			}
			n = nil
			continue
		}
		key, after, found := l.cut("=")
		if !found {
			continue
		}
		after = after.trim()
		name := strings.TrimSpace(key.text)
		// A text is in quotes and has no escapes; it ends at the last quote of the line.
		text, isText := after, false
		if end := strings.LastIndexByte(after.text, '"'); strings.HasPrefix(after.text, `"`) && end > 0 {
			text, isText = after.slice(1, end), true
		}
		switch {
		case n == nil && name == "country":
			r.setCountry(l.line, text.text)
		case n == nil:
		case name == "ssid" && isText:
			n.ssid = []byte(text.text)
		case name == "ssid":
			ssid, err := hex.DecodeString(text.text)
			if err != nil {
				r.problem(l.line, "The network's name is to be in quotes.")
				n.bad = true
				continue
			}
			n.ssid = ssid
		case name == "psk" && (isText || text.blanked() || len(text.text) == 2*keySize):
			n.password = r.secret(text, text.text)
		case name == "psk":
			r.problem(l.line, "The password is to be in quotes.")
			n.bad = true
		case name == "#psk" && isText: // wpa_passphrase leaves the password in a comment
			n.comments = append(n.comments, *r.secret(text, text.text))
		case name == "key_mgmt" && text.text == "NONE":
			n.open = true
		case name == "key_mgmt" && strings.Contains(text.text, "EAP"):
			r.problem(l.line, "This is a network with a name and a password for each person (WPA Enterprise), which pushcam cannot join.")
			n.bad = true
		}
	}
	if n != nil {
		r.problem(n.line, "This network has no } at its end.")
	}
}
