//go:build linux

package gpio_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pushcam/pushcam/gpio"
	"github.com/pushcam/pushcam/gpio/gpiotest"
)

// The lines of the simulated Pi.
const (
	sclLine    = 3  // has a name, on mainline kernels
	ledLine    = 17 // these have none
	buttonLine = 22
	busyLine   = 26 // and the next
)

// TestRigLines runs on chips that the kernel simulates. periph looks for chips once
// in the life of a program, so all of it is one test.
func TestRigLines(t *testing.T) {
	t.Attr("fault", "GPIO | lines that another program has, that are stuck at boot, or whose chip goes away | the camera works without them; what is missing is said once | –")
	if os.Getenv("PUSHCAM_RIG") == "" {
		t.Skip("needs gpio-sim: run it with \"go run ./hack/rig test ./gpio/...\"")
	}
	names := make([]string, 28)
	names[sclLine] = "SCL1"
	pi := newSim(t, "pinctrl-bcm2711", names...)
	idle := newSim(t, "goes-away-idle", "", "")
	pressed := newSim(t, "goes-away-pressed", "", "")
	newSim(t, "twin", "")
	newSim(t, "twin", "")
	holdLine(t, pi, busyLine)
	holdLine(t, pi, busyLine+1)

	// Raspberry Pi OS has such a link, and periph closes descriptor 0 for it.
	link := "/dev/gpiochip99"
	if err := os.Symlink(filepath.Base(pi.Path), link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(link) })
	stdin := identity(t, 0)
	chip, err := gpio.OpenChip("")
	if err != nil {
		t.Fatal(err)
	}
	if now := identity(t, 0); now != stdin {
		t.Errorf("descriptor 0 was %s and is %s", stdin, now)
	}
	if f, err := os.Open(os.DevNull); err != nil {
		t.Error(err)
	} else {
		if f.Fd() == 0 {
			t.Error("descriptor 0 was left closed")
		}
		f.Close()
	}
	if want := fmt.Sprintf("%s (pinctrl-bcm2711)", filepath.Base(pi.Path)); chip.String() != want {
		t.Errorf("the chip of a Pi is %s, want %s", chip, want)
	}
	open := openDescriptors(t)

	t.Run("OpenChip", func(t *testing.T) { testOpenChip(t, pi) })
	t.Run("LED", func(t *testing.T) { testLED(t, chip, pi) })
	t.Run("refused", func(t *testing.T) { testRefused(t, chip, pi) })
	t.Run("Button", func(t *testing.T) { testButtonLine(t, chip, pi) })
	t.Run("stuck at boot", func(t *testing.T) { testStuck(t, chip, pi) })
	t.Run("idle costs nothing", func(t *testing.T) { testIdle(t, chip) })
	if now := openDescriptors(t); now != open {
		t.Errorf("%d descriptors are open, %d were", now, open)
	}
	t.Run("goes away while idle", func(t *testing.T) { testGoesAway(t, idle, "goes-away-idle", false) })
	t.Run("goes away while pressed", func(t *testing.T) { testGoesAway(t, pressed, "goes-away-pressed", true) })
	if now := openDescriptors(t); now != open {
		t.Errorf("%d descriptors are open, %d were", now, open)
	}
}

func testOpenChip(t *testing.T, pi *gpiotest.Sim) {
	for _, name := range []string{"pinctrl-bcm2711", pi.Path, filepath.Base(pi.Path)} {
		if c, err := gpio.OpenChip(name); err != nil || !strings.HasPrefix(c.String(), filepath.Base(pi.Path)) {
			t.Errorf("OpenChip(%q): %v, %v", name, c, err)
		}
	}
	for name, want := range map[string][]string{
		"gpiochip98": {"no GPIO chip gpiochip98", "there are", "(pinctrl-bcm2711)", "(twin)"},
		"twin":       {"several"},
	} {
		_, err := gpio.OpenChip(name)
		checkError(t, err, want...)
	}
}

func testLED(t *testing.T, chip *gpio.Chip, pi *gpiotest.Sim) {
	for _, line := range []int{sclLine, ledLine} {
		for _, activeLow := range []bool{false, true} {
			t.Run(fmt.Sprintf("line %d active low %v", line, activeLow), func(t *testing.T) {
				led, err := chip.LED(line, activeLow)
				if err != nil {
					t.Fatal(err)
				}
				check := func(on bool) {
					t.Helper()
					if high, err := pi.Value(line); err != nil || high != (on != activeLow) {
						t.Errorf("LED on %v: the line is high %v, %v", on, high, err)
					}
				}
				check(false)
				for _, on := range []bool{true, true, false, true} {
					if err := led.Set(on); err != nil {
						t.Error(err)
					}
					check(on)
				}
				if !lineInUse(t, pi, line) {
					t.Error("the kernel does not know that the line is used")
				}
				if err := led.Close(); err != nil {
					t.Error(err)
				}
				if lineInUse(t, pi, line) {
					t.Error("the line is still used after Close")
				}
			})
		}
	}
}

func testRefused(t *testing.T, chip *gpio.Chip, pi *gpiotest.Sim) {
	for _, line := range []int{-1, 28} {
		_, err := chip.LED(line, false)
		checkError(t, err, fmt.Sprintf("no line %d", line), "0 to 27")
	}
	_, err := chip.LED(busyLine, false)
	checkError(t, err, fmt.Sprintf("LED on line %d", busyLine), "busy", `"the test"`)
	_, err = chip.Button(busyLine + 1)
	checkError(t, err, fmt.Sprintf("button on line %d", busyLine+1), "busy", `"the test"`)
	led, err := chip.LED(ledLine, false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = chip.Button(ledLine)
	checkError(t, err, "it is the LED already")
	if err := led.Set(true); err != nil {
		t.Error(err)
	}
	if high, err := pi.Value(ledLine); err != nil || !high {
		t.Errorf("the LED's line is high %v, %v after another use was refused", high, err)
	}
	if err := led.Close(); err != nil {
		t.Error(err)
	}
}

func testButtonLine(t *testing.T, chip *gpio.Chip, pi *gpiotest.Sim) {
	in, err := chip.Button(buttonLine)
	if err != nil {
		t.Fatal(err)
	}
	// Nothing pulls the line but the chip's own resistor.
	if high, err := pi.Value(buttonLine); err != nil || !high {
		t.Errorf("untouched, the line is high %v, %v", high, err)
	}
	w := watch(t, in)
	got := []string{w.press(t, pi, buttonLine), w.next(t)}
	time.Sleep(time.Second) // held on
	pull(t, pi, buttonLine, true)
	time.Sleep(500 * ms)
	pull(t, pi, buttonLine, false)
	got = append(got, w.next(t))
	pull(t, pi, buttonLine, true)
	got = append(got, w.next(t))
	if diff := cmp.Diff([]string{"press", "hold", "press", "release"}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	// On a machine that swings, the last press may have been short or not.
	rest, err := w.rest()
	for _, e := range rest {
		if e != "short" {
			t.Errorf("and then %q", e)
		}
	}
	if err != nil {
		t.Error(err)
	}
	if lineInUse(t, pi, buttonLine) {
		t.Error("the line is still used after Run")
	}
}

func testStuck(t *testing.T, chip *gpio.Chip, pi *gpiotest.Sim) {
	in, err := chip.Button(buttonLine)
	if err != nil {
		t.Fatal(err)
	}
	pull(t, pi, buttonLine, false)
	w := watch(t, in)
	time.Sleep(hold + 2*time.Second)
	if events, err := w.rest(); len(events) > 0 || err != nil {
		t.Errorf("events %q, error %v; want none", events, err)
	}
	pull(t, pi, buttonLine, true)
}

// A loop that does not wait would use all of a processor. This one uses a hundredth
// or so of an emulated one, and more where the machine is busy that emulates it: it
// must not use a half.
func testIdle(t *testing.T, chip *gpio.Chip) {
	in, err := chip.Button(buttonLine)
	if err != nil {
		t.Fatal(err)
	}
	led, err := chip.LED(ledLine, false)
	if err != nil {
		t.Fatal(err)
	}
	ind := &gpio.Indicator{LEDs: []gpio.LED{led}}
	ind.Show(gpio.Idle)
	stop := start(ind)
	w := watch(t, in)
	time.Sleep(armed)
	begin, used := time.Now(), cpuTime(t)
	time.Sleep(6 * time.Second)
	share := float64(cpuTime(t)-used) / float64(time.Since(begin))
	t.Logf("idle button and LED use %.2f %% of a processor", 100*share)
	if share > 0.5 {
		t.Errorf("idle, %.1f %% of a processor are used", 100*share)
	}
	if events, err := w.rest(); len(events) > 0 || err != nil {
		t.Errorf("events %q, error %v; want none", events, err)
	}
	stop()
}

func testGoesAway(t *testing.T, sim *gpiotest.Sim, label string, whilePressed bool) {
	chip, err := gpio.OpenChip(label)
	if err != nil {
		t.Fatal(err)
	}
	led, err := chip.LED(0, false)
	if err != nil {
		t.Fatal(err)
	}
	in, err := chip.Button(1)
	if err != nil {
		t.Fatal(err)
	}
	var log logbook
	ind := &gpio.Indicator{LEDs: []gpio.LED{led}, Log: log.logger()}
	stop := start(ind)
	w := watch(t, in)
	time.Sleep(armed)
	var want, got []string
	if whilePressed {
		want = []string{"press", "release"}
		got = append(got, w.press(t, sim, 1))
	}
	// Linux 6.1 complains of the interrupt that is still requested.
	expectKernelWarning(t, "remove_proc_entry")
	if err := sim.Remove(); err != nil {
		t.Fatal(err)
	}
	err = w.ended(t)
	checkError(t, err, "button is lost", "button on line 1 of", "("+label+")", "no such device")
	rest, _ := w.rest()
	if diff := cmp.Diff(want, append(got, rest...)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	// The LED is blinking, and finds out for itself.
	time.Sleep(3 * time.Second)
	ind.Show(gpio.Fault)
	stop()
	lines := log.lines()
	if len(lines) != 1 || !strings.Contains(lines[0], "no such device") {
		t.Errorf("logged %q, want one line", lines)
	}
}
