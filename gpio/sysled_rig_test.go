//go:build linux

package gpio_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gpio"
)

// TestRigSysLED takes an LED that the kernel really has: the virtual
// machine's keyboard has three, with triggers, though without the timer.
func TestRigSysLED(t *testing.T) {
	if os.Getenv("PUSHCAM_RIG") == "" {
		t.Skip("needs an LED of its own: run it with \"go run ./hack/rig test ./gpio/...\"")
	}
	dirs, err := filepath.Glob("/sys/class/leds/*::scrolllock")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("the virtual machine has no keyboard LED: %v", err)
	}
	show := func(file string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dirs[0], file))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	check := func(when, trigger, brightness string) {
		t.Helper()
		if got := show("trigger"); !strings.Contains(got, "["+trigger+"]") {
			t.Errorf("%s: trigger %q, want %s", when, got, trigger)
		}
		if got := show("brightness"); got != brightness {
			t.Errorf("%s: brightness %s, want %s", when, got, brightness)
		}
	}
	before := show("trigger")
	check("at first", "kbd-scrolllock", "0")
	led, err := gpio.OpenSysLED("/", filepath.Base(dirs[0]))
	if err != nil {
		t.Fatal(err)
	}
	check("opened", "none", "0")
	if err := led.Set(true); err != nil {
		t.Error(err)
	}
	check("on", "none", show("max_brightness"))
	if err := led.Blink(time.Second, time.Second); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Blink without the timer trigger: %v, want EINVAL", err)
	}
	if err := led.Set(false); err != nil {
		t.Error(err)
	}
	check("off", "none", "0")
	if err := led.Close(); err != nil {
		t.Error(err)
	}
	if after := show("trigger"); after != before {
		t.Errorf("trigger %q, want %q as before", after, before)
	}
}
