package main

import (
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/setup"
)

func TestAllowed(t *testing.T) {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJz9bcPT1hVhY8b8bAFGfwB9tEdAgFT6oxwM6YcQe4Rr"
	tests := []struct{ flag, value, want, err string }{
		{"-allow-host", "Cam.Example.org., .example.net", "cam.example.org,.example.net", ""},
		{"-allow-host", "http://cam.example.org", "", "without http://"},
		{"-allow-host", "cam.example.org:8080", "", "without http://"},
		{"-allow-host", "cam,", "", "a name is one as"},
		{"-allow-host", ".", "", "a name is one as"},
		{"-allow-origin", "https://Home.Example:8123,http://a", "https://home.example:8123,http://a", ""},
		{"-allow-origin", "*", "*", ""},
		{"-allow-origin", "home.example", "", "an origin is one as"},
		{"-allow-origin", "https://home.example/", "", "without a path"},
		{"-allow-origin", "https://user@home.example", "", "an origin is one as"},
		{"-allow-origin", "https://a;b", "", "an origin"},
		{"-allow-origin", "null", "", "an origin is one as"},
		{"-update-key", key + " me@home, " + key, key + "," + key, ""},
		{"-update-key", "AAAA", "", "is no key for updates"},
	}
	for _, tt := range tests {
		t.Run(tt.flag+" "+tt.value, func(t *testing.T) {
			var said strings.Builder
			c, err := parse(noSystem, []string{tt.flag, tt.value}, noEnv, setup.Setup{}, &said, &said)
			if tt.err != "" {
				if err == nil || !strings.Contains(said.String(), tt.err) {
					t.Errorf("%v, %q; want %q in it", err, said.String(), tt.err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v: %s", err, said.String())
			}
			got := c.allowHosts.String() + c.allowOrigins.String() + c.updateKeys.String()
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
