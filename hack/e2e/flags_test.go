//go:build linux

package e2e

import "testing"

// The program gets its flags and its environment from the image's configuration, and
// a flag comes before the environment.
func TestFlags(t *testing.T) {
	p := built(t)
	const program = "github.com/pushcam/pushcam/cmd/pushcam"
	card := p.card(t)
	copyRoot(t, variantRoot(t, func(config map[string]any) {
		options := config["PackageConfig"].(map[string]any)[program].(map[string]any)
		options["CommandLineFlags"] = []string{"-fps", "7", "-session-frames=33"}
		options["Environment"] = []string{"PUSHCAM_FPS=5", "PUSHCAM_SIZE=640x480"}
	}, nil), card)
	s := boot(t, card, p.direct()).is(t, "a program that runs", func(s state) bool { return s.Uptime > 0 })
	for name, want := range map[string][2]string{
		"fps":            {"7", "flag"},
		"session-frames": {"33", "flag"},
		"size":           {"640x480", "environment"},
	} {
		if got := s.Flags[name]; got.Value != want[0] || got.By != want[1] {
			t.Errorf("%s is %+v, want %q", name, got, want)
		}
	}
	t.Logf("the flags: %v", s.Flags)
}
