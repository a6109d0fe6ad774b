//go:build linux

package e2e

import (
	"flag"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/camera"
)

var ladder = flag.Bool("ladder", false, "have a camera give no frames until the system is rebooted for it, which takes ten minutes")

// TestLadder has the Pi camera's sensor stall for good. Each rung is climbed in its
// turn: the driver is loaded anew, the program is started anew, the system is rebooted.
// The sensor is the simulation's, so that only the reboot brings it back.
func TestLadder(t *testing.T) {
	t.Attr("fault", "camera | the Pi camera's sensor stalls for good | the driver is loaded anew, the program started anew, the system rebooted, each in its turn | live after the reboot")
	if !*ladder {
		t.Skip(`takes ten minutes: run it with "go test -timeout 1h -run TestLadder ./hack/e2e -ladder"`)
	}
	p := built(t)
	m := boot(t, simulated(t, p), p.direct())
	m.picture(t)
	m.keepWatching(t)
	m.turn(t, "/parameters/stall", 1)

	first := m.is(t, "the driver was loaded anew", func(s state) bool { return s.Camera.Recovery["reset"] > 0 })
	if first.Camera.Phase == camera.Live {
		t.Errorf("the state of a camera that stalls is %+v", first.Camera)
	}
	m.oldLog(t, []string{"rung=reset", `msg="took out kernel module" component=modules module=bcm2835_v4l2`})

	second := m.is(t, "the program was started anew", func(s state) bool { return s.Camera.Recovery["restart"] == 1 && s.Uptime < first.Uptime })
	if n := m.resets.Load(); n > 0 {
		t.Fatalf("the machine began anew %d times before the program had", n)
	}
	if why := second.Recovery.Restart.Reason; why == "" {
		t.Error("it does not say why")
	}

	m.is(t, "the system is rebooted, for a reason that it keeps", func(s state) bool {
		return s.Camera.Recovery["reboot"] == 1 && s.Recovery.Reboot.Reason != ""
	})
	m.picture(t) // which the reboot alone can bring
	if n := m.resets.Load(); n != 1 {
		t.Errorf("the machine began anew %d times, want once", n)
	}
	m.oldLog(t, []string{"the system was rebooted, because the camera gave no frames"})
	if s := m.now(t); s.Camera.Phase != camera.Live || strings.Contains(s.Camera.Reason, "frame") {
		t.Errorf("after the reboot the camera is %+v", s.Camera)
	}
}
