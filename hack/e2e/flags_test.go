//go:build linux

package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// The program gets its flags and its environment from the image's configuration, and
// from pushcam.txt on the card as an owner writes it on a PC. A flag comes before the
// environment, and that before the card.
func TestFlags(t *testing.T) {
	p := built(t)
	const program = "github.com/pushcam/pushcam/cmd/pushcam"
	card := p.card(t)
	copyRoot(t, variantRoot(t, func(config map[string]any) {
		options := config["PackageConfig"].(map[string]any)[program].(map[string]any)
		options["CommandLineFlags"] = []string{"-fps", "7", "-session-frames=33"}
		options["Environment"] = []string{"PUSHCAM_FPS=5", "PUSHCAM_SIZE=640x480"}
	}, nil), card)
	writeBootFile(t, bootOf(card), "pushcam.txt", "\uFEFFhostname = porch\r\npassword=“tulip and rose”\r\nwifi-ssid=Café\r\nwifi-password=hyacinth 7\r\n"+
		"fps=3\r\nsize=320x240\r\nidle-hold=20s\r\nquality=high\r\nfsp=3\r\n")
	m := boot(t, card, p.direct())
	s := m.is(t, "a program that runs", func(s state) bool { return s.Uptime > 0 })
	for name, want := range map[string][2]string{
		"fps":            {"7", "flag"},
		"session-frames": {"33", "flag"},
		"size":           {"640x480", "environment"},
		"idle-hold":      {"20s", "card"},
	} {
		if got := s.Flags[name]; got.Value != want[0] || got.By != want[1] {
			t.Errorf("%s is %+v, want %q", name, got, want)
		}
	}
	t.Logf("the flags: %v", s.Flags)
	if s.Hostname != "porch" {
		t.Errorf("the camera is called %q", s.Hostname)
	}
	var lines []int
	for _, problem := range s.Setup.Problems {
		lines = append(lines, problem.Line)
	}
	if !slices.Equal(lines, []int{8, 9}) || s.Setup.Trouble == "" {
		t.Errorf("what is wrong with pushcam.txt: %+v", s.Setup)
	}
	code, _, _, err := m.do(http.MethodGet, "/api/log", getTimeout, func(r *http.Request) { r.SetBasicAuth("owner", "tulip and rose") })
	if err != nil || code != http.StatusOK {
		t.Errorf("with the owner's password of the card: status %d, %v", code, err)
	}
	text := readBootFile(t, bootOf(card), "pushcam.txt")
	if strings.Contains(text, "tulip") || strings.Contains(text, "hyacinth") || !strings.Contains(text, "wifi-password=**********\r\n") || !strings.Contains(text, "idle-hold=20s\r\n") {
		t.Errorf("pushcam.txt is now %q", text)
	}
}
