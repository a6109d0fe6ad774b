package gpio

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// SysLED is an LED that the kernel drives, in /sys/class/leds: the green ACT LED
// of a Raspberry Pi, which needs no wiring. Its files are described in the
// kernel's Documentation/ABI/testing/sysfs-class-led and
// sysfs-class-led-trigger-timer.
type SysLED struct {
	dir  string
	full string // max_brightness, which is "on"

	// Close restores these. The delays are set only if the trigger was timer.
	trigger, brightness, delayOn, delayOff string

	triggered bool // a trigger may be driving the LED
}

var _ Blinker = (*SysLED)(nil)

// OpenSysLED takes over the LED with this name and turns it off. An empty name
// means the Pi's ACT LED, also where it is still called led0 (before Linux
// 5.10). root is where /sys is looked for, "/" outside tests.
func OpenSysLED(root, name string) (*SysLED, error) {
	names := []string{name}
	if name == "" {
		names = []string{"ACT", "led0"}
	}
	for _, n := range names {
		// A name may have colons and dots, but no slash.
		if n != filepath.Base(n) || n == ".." {
			return nil, fmt.Errorf("LED %q is not a name in /sys/class/leds", n)
		}
		l := &SysLED{dir: filepath.Join(root, "sys/class/leds", n), triggered: true}
		if _, err := os.Stat(l.dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := l.take(); err != nil {
			return nil, fmt.Errorf("take over LED %s: %w", n, err)
		}
		return l, nil
	}
	var there []string
	entries, _ := os.ReadDir(filepath.Join(root, "sys/class/leds")) // no folder, no LEDs
	for _, e := range entries {
		there = append(there, e.Name())
	}
	return nil, fmt.Errorf("no LED %s in /sys/class/leds, which has %q: %w", strings.Join(names, " or "), there, fs.ErrNotExist)
}

// take remembers how the LED is driven and turns it off. On an error the LED is
// as it was.
func (l *SysLED) take() error {
	choice, err := l.read("trigger") // "none [mmc0] timer heartbeat"
	if err != nil {
		return err
	}
	l.trigger = "none"
	if _, rest, ok := strings.Cut(choice, "["); ok {
		l.trigger, _, _ = strings.Cut(rest, "]")
	}
	if l.brightness, err = l.read("brightness"); err != nil {
		return err
	}
	if l.full, err = l.read("max_brightness"); err != nil {
		return err
	}
	if l.trigger == "timer" {
		if l.delayOn, err = l.read("delay_on"); err != nil {
			return err
		}
		if l.delayOff, err = l.read("delay_off"); err != nil {
			return err
		}
	}
	if err := l.Set(false); err != nil {
		return errors.Join(err, l.Close())
	}
	return nil
}

// Set implements LED.
func (l *SysLED) Set(on bool) error {
	if l.triggered {
		if err := l.write("trigger", "none"); err != nil {
			return err
		}
		l.triggered = false
	}
	if on {
		return l.write("brightness", l.full)
	}
	return l.write("brightness", "0")
}

// Blink implements Blinker with the kernel's timer trigger, to the millisecond.
func (l *SysLED) Blink(on, off time.Duration) error {
	l.triggered = true
	return l.writeAll(
		"trigger", "timer", // makes the two files that follow
		"delay_on", strconv.FormatInt(on.Milliseconds(), 10),
		"delay_off", strconv.FormatInt(off.Milliseconds(), 10))
}

// Close gives the LED back as it was found.
func (l *SysLED) Close() error {
	switch l.trigger {
	case "none":
		return l.writeAll("trigger", l.trigger, "brightness", l.brightness)
	case "timer":
		return l.writeAll("trigger", l.trigger, "delay_on", l.delayOn, "delay_off", l.delayOff)
	}
	return l.write("trigger", l.trigger)
}

func (l *SysLED) read(file string) (string, error) {
	b, err := os.ReadFile(filepath.Join(l.dir, file))
	return strings.TrimSpace(string(b)), err
}

// writeAll writes pairs of file and value, in this order, up to the first that
// fails.
func (l *SysLED) writeAll(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if err := l.write(pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// write writes to a file that exists. If it does not, the LED or the trigger is gone.
func (l *SysLED) write(file, value string) error {
	f, err := os.OpenFile(filepath.Join(l.dir, file), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
