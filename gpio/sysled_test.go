package gpio_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pushcam/pushcam/gpio"
)

// files are those of an LED in /sys/class/leds, without line ends.
type files map[string]string

// A Pi's ACT LED as the kernel shows it, with delays as they are while the timer
// trigger is set.
func actLED() files {
	return files{
		"trigger":        "none kbd-scrolllock timer oneshot heartbeat [mmc0] default-on panic",
		"brightness":     "7",
		"max_brightness": "255",
		"delay_on":       "111",
		"delay_off":      "222",
	}
}

// sys makes a root with LEDs.
func sys(t *testing.T, leds map[string]files) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, fs := range leds {
		dir := filepath.Join(root, "sys/class/leds", name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for f, content := range fs {
			if err := os.WriteFile(filepath.Join(dir, f), []byte(content+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

// read returns what all files of an LED hold.
func read(t *testing.T, root, led string) files {
	t.Helper()
	dir := filepath.Join(root, "sys/class/leds", led)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := files{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[e.Name()] = strings.TrimSpace(string(b))
	}
	return got
}

// with is f with some values changed.
func (f files) with(pairs ...string) files {
	f = maps.Clone(f)
	for i := 0; i < len(pairs); i += 2 {
		f[pairs[i]] = pairs[i+1]
	}
	return f
}

func TestSysLED(t *testing.T) {
	before := actLED()
	root := sys(t, map[string]files{"ACT": before, "PWR": before})
	led, err := gpio.OpenSysLED(root, "")
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name string
		do   func() error
		want files
	}{
		{"opened", func() error { return nil }, before.with("trigger", "none", "brightness", "0")},
		{"on", func() error { return led.Set(true) }, before.with("trigger", "none", "brightness", "255")},
		{"blinks", func() error { return led.Blink(100*ms, 2900*ms) },
			before.with("trigger", "timer", "delay_on", "100", "delay_off", "2900", "brightness", "255")},
		{"blinks otherwise", func() error { return led.Blink(time.Second, time.Millisecond) },
			before.with("trigger", "timer", "delay_on", "1000", "delay_off", "1", "brightness", "255")},
		{"off", func() error { return led.Set(false) },
			before.with("trigger", "none", "delay_on", "1000", "delay_off", "1", "brightness", "0")},
		{"closed", led.Close,
			before.with("trigger", "mmc0", "delay_on", "1000", "delay_off", "1", "brightness", "0")},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if diff := cmp.Diff(s.want, read(t, root, "ACT")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.name, diff)
		}
	}
	if diff := cmp.Diff(before, read(t, root, "PWR")); diff != "" {
		t.Errorf("another LED was touched (-want +got):\n%s", diff)
	}
}

func TestSysLEDIsRestored(t *testing.T) {
	tests := []struct {
		name    string
		trigger string
		want    files // trigger, and what belongs to it
	}{
		{"no trigger", "[none] timer mmc0", files{"trigger": "none", "brightness": "7"}},
		{"timer", "none [timer] mmc0", files{"trigger": "timer", "delay_on": "111", "delay_off": "222"}},
		{"heartbeat", "none timer [heartbeat]", files{"trigger": "heartbeat"}},
		{"none marked", "", files{"trigger": "none", "brightness": "7"}},
	}
	uses := map[string]func(*gpio.SysLED) error{
		"unused":      func(*gpio.SysLED) error { return nil },
		"after Set":   func(l *gpio.SysLED) error { return l.Set(true) },
		"after Blink": func(l *gpio.SysLED) error { return l.Blink(time.Second, time.Second) },
	}
	for _, tc := range tests {
		for name, use := range uses {
			t.Run(tc.name+" "+name, func(t *testing.T) {
				root := sys(t, map[string]files{"led0": actLED().with("trigger", tc.trigger)})
				led, err := gpio.OpenSysLED(root, "")
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(use(led), led.Close()); err != nil {
					t.Error(err)
				}
				got := read(t, root, "led0")
				maps.DeleteFunc(got, func(file, _ string) bool { _, ok := tc.want[file]; return !ok })
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("restored (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestOpenSysLEDErrors(t *testing.T) {
	tests := []struct {
		name string
		leds map[string]files
		open string
		want string // in the error
	}{
		{name: "no LEDs", want: "no LED ACT or led0"},
		{name: "other LEDs", leds: map[string]files{"input3::capslock": actLED()}, want: `"input3::capslock"`},
		{name: "a name that is not there", leds: map[string]files{"ACT": actLED()}, open: "PWR", want: "no LED PWR"},
		{name: "a path", open: "../../etc", want: "not a name"},
		{name: "dots", open: "..", want: "not a name"},
		{name: "no trigger", leds: map[string]files{"ACT": {"brightness": "0", "max_brightness": "1"}}, want: "trigger"},
		{name: "no brightness", leds: map[string]files{"ACT": {"trigger": "[none]", "max_brightness": "1"}}, want: "brightness"},
		{name: "no maximum", leds: map[string]files{"ACT": {"trigger": "[none]", "brightness": "1"}}, want: "max_brightness"},
		{name: "timer without delays", leds: map[string]files{"ACT": {"trigger": "[timer]", "brightness": "1", "max_brightness": "1"}}, want: "delay_on"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			root := sys(t, tc.leds)
			led, err := gpio.OpenSysLED(root, tc.open)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("OpenSysLED: %v, %v; want an error with %q", led, err, tc.want)
			}
			for name, before := range tc.leds {
				if diff := cmp.Diff(before, read(t, root, name)); diff != "" {
					t.Errorf("%s was changed (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

// unwritable makes one of the LED's files readable and not writable, for root
// as well.
func unwritable(t *testing.T, root, led, file string) {
	t.Helper()
	path := filepath.Join(root, "sys/class/leds", led, file)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/proc/version", path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("no /proc on this system")
	}
}

func TestSysLEDThatCannotBeTakenIsGivenBack(t *testing.T) {
	root := sys(t, map[string]files{"ACT": actLED()})
	unwritable(t, root, "ACT", "brightness")
	if _, err := gpio.OpenSysLED(root, "ACT"); err == nil || !strings.Contains(err.Error(), "take over LED ACT") {
		t.Errorf("OpenSysLED: %v, want an error", err)
	}
	if got := read(t, root, "ACT")["trigger"]; got != "mmc0" {
		t.Errorf("trigger is %q, want mmc0 again", got)
	}
}

func TestSysLEDBlinkFailsHalfWay(t *testing.T) {
	for _, file := range []string{"delay_on", "delay_off"} {
		t.Run(file, func(t *testing.T) {
			root := sys(t, map[string]files{"ACT": actLED()})
			led, err := gpio.OpenSysLED(root, "ACT")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(root, "sys/class/leds/ACT", file)); err != nil {
				t.Fatal(err)
			}
			if err := led.Blink(time.Second, time.Second); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Blink: %v, want ErrNotExist", err)
			}
			if err := led.Set(true); err != nil {
				t.Errorf("Set: %v", err)
			}
			got := read(t, root, "ACT")
			if got["trigger"] != "none" || got["brightness"] != "255" {
				t.Errorf("after Set: %v", got)
			}
			if err := led.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

func TestSysLEDThatGoesAway(t *testing.T) {
	t.Attr("fault", "GPIO | an LED of the board goes away while it is used | it is said, and nothing hangs | –")
	root := sys(t, map[string]files{"ACT": actLED()})
	led, err := gpio.OpenSysLED(root, "ACT")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(root, "sys/class/leds/ACT")); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"Set": led.Set(true), "Blink": led.Blink(time.Second, time.Second), "Close": led.Close(),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want ErrNotExist", name, err)
		}
	}
}
