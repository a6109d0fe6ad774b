package main

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/pushcam/pushcam/gokrazy/setup"
)

// wifi are the settings for a wireless network with this name, whose password it asks
// for; "" is none.
func (p *program) wifi(ctx context.Context, ssid, country string) (s setup.Settings, err error) {
	if country != "" {
		if s.Country, err = setup.CheckCountry(country); err != nil {
			return s, err
		}
	}
	if ssid == "" {
		return s, nil
	}
	if err := setup.CheckSSID([]byte(ssid)); err != nil {
		return s, err
	}
	if strings.ContainsFunc(ssid, unicode.IsControl) {
		return s, fmt.Errorf("the network's name %q has a control character in it: use the set-up network for it", ssid)
	}
	var password string
	if p.askPassword != nil {
		password, err = p.askPassword(ctx, fmt.Sprintf("The password of the wireless network %q: ", ssid))
	} else {
		password, err = readLine(p.stdin)
	}
	if err != nil {
		return s, fmt.Errorf("the password of the wireless network %q: %w", ssid, err)
	}
	key, err := setup.ParseKey([]byte(ssid), password)
	if err != nil {
		return s, err
	}
	s.Networks = []setup.Network{{SSID: []byte(ssid), PSK: key}}
	return s, nil
}
