package gpio

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
)

// fakePin is a line without a kernel. What it cannot show, real lines do in
// TestRigLines.
type fakePin struct {
	number   int
	level    gpio.Level
	edges    chan gpio.Level
	gone     bool
	refuses  error // In and Out
	consumer string
	did      []string
}

func (p *fakePin) Number() int      { return p.number }
func (p *fakePin) Read() gpio.Level { return p.level }

func (p *fakePin) WaitForEdge(d time.Duration) bool {
	if p.gone {
		return false
	}
	select {
	case p.level = <-p.edges:
		return true
	case <-time.After(d):
		return false
	}
}

func (p *fakePin) In(pull gpio.Pull, edge gpio.Edge) error {
	p.did = append(p.did, fmt.Sprintf("in %v %v", pull, edge))
	return p.refuses
}

func (p *fakePin) Out(l gpio.Level) error {
	p.did = append(p.did, fmt.Sprintf("out %v", l))
	return p.refuses
}

func (p *fakePin) Halt() error      { p.did = append(p.did, "halt"); return nil }
func (p *fakePin) Close()           { p.did = append(p.did, "close") }
func (p *fakePin) Consumer() string { return p.consumer }

// chipOf is a chip with the lines 0 and 1.
func chipOf(lines ...*fakePin) *Chip {
	for n, l := range lines {
		l.number = n
	}
	return &Chip{
		kernelChip: kernelChip{"gpiochip0", "/dev/gpiochip0", "pinctrl-bcm2711", len(lines), func(n int) pin { return lines[n] }},
		used:       make(map[int]string),
	}
}

func TestChoose(t *testing.T) {
	chip := func(n int, label string) kernelChip {
		name := fmt.Sprint("gpiochip", n)
		return kernelChip{name: name, path: "/dev/" + name, label: label}
	}
	all := []kernelChip{chip(0, "pinctrl-bcm2711"), chip(1, "raspberrypi-exp-gpio"), chip(2, "twin"), chip(3, "twin")}
	tests := []struct {
		chips []kernelChip
		name  string
		want  string // the chip, or what is in the error
	}{
		{all, "", "gpiochip0 (pinctrl-bcm2711)"},
		{[]kernelChip{chip(4, "pinctrl-rp1")}, "", "gpiochip4 (pinctrl-rp1)"},
		{all, "gpiochip1", "gpiochip1 (raspberrypi-exp-gpio)"},
		{all, "/dev/gpiochip1", "gpiochip1 (raspberrypi-exp-gpio)"},
		{all, "raspberrypi-exp-gpio", "gpiochip1 (raspberrypi-exp-gpio)"},
		{all, "twin", "several GPIO chips are twin: choose one of "},
		{all, "gpiochip9", "no GPIO chip gpiochip9; there are: gpiochip0 (pinctrl-bcm2711), "},
		{all[1:], "", "no GPIO chip pinctrl-bcm2* or pinctrl-rp1*; there are: "},
		{nil, "gpiochip0", "there is no /dev/gpiochip*"},
	}
	for _, tt := range tests {
		got, err := choose(tt.chips, tt.name)
		if err != nil && strings.Contains(err.Error(), tt.want) || err == nil && got.String() == tt.want {
			continue
		}
		t.Errorf("%q of %v: %v, %v; want %s", tt.name, tt.chips, got, err, tt.want)
	}
}

func TestLineLED(t *testing.T) {
	for _, activeLow := range []bool{false, true} {
		line := new(fakePin)
		chip := chipOf(line)
		led, err := chip.LED(0, activeLow)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(led.Set(true), led.Close()); err != nil {
			t.Error(err)
		}
		want := []string{"out Low", "out High", "out Low", "halt", "close"}
		if activeLow {
			want = []string{"out High", "out Low", "out High", "halt", "close"}
		}
		if diff := cmp.Diff(want, line.did); diff != "" {
			t.Errorf("active low %v (-want +got):\n%s", activeLow, diff)
		}
		if _, err := chip.Button(0); err != nil {
			t.Errorf("the line after its LED was closed: %v", err)
		}
	}
}

// A line has one use, and one that could not be set up is given back.
func TestLineRefused(t *testing.T) {
	t.Attr("fault", "GPIO | a line that cannot be set up | it is given back | –")
	busy := &fakePin{refuses: unix.EBUSY, consumer: "another program"}
	chip := chipOf(new(fakePin), busy)
	if _, err := chip.LED(0, false); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		as   string
		use  func() error
		want string
	}{
		{"a button on the LED's line", func() error { _, err := chip.Button(0); return err },
			"line 0 of gpiochip0 (pinctrl-bcm2711) cannot be the button: it is the LED already"},
		{"an LED before the first line", func() error { _, err := chip.LED(-1, false); return err }, "no line -1 for the LED; its lines are 0 to 1"},
		{"a button behind the last line", func() error { _, err := chip.Button(2); return err }, "no line 2 for the button; its lines are 0 to 1"},
		{"an LED on a busy line", func() error { _, err := chip.LED(1, false); return err },
			`LED on line 1 of gpiochip0 (pinctrl-bcm2711): device or resource busy (it was in use by "another program")`},
		{"a button on a busy line", func() error { _, err := chip.Button(1); return err },
			`button on line 1 of gpiochip0 (pinctrl-bcm2711): device or resource busy (it was in use by "another program")`},
	} {
		if err := tt.use(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.as, err, tt.want)
		}
	}
	if want := []string{"out Low", "halt", "close", "in PullUp BothEdges", "halt", "close"}; !slices.Equal(busy.did, want) {
		t.Errorf("the busy line: %q, want %q", busy.did, want)
	}
}

// On a chip that is gone periph's WaitForEdge returns at once, and its Read says
// low, which is "pressed".
func TestLineButton(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := &fakePin{level: gpio.High, edges: make(chan gpio.Level, 1)}
		button, err := chipOf(line).Button(0)
		if err != nil {
			t.Fatal(err)
		}
		wait := func(pressed bool, lasts time.Duration) {
			t.Helper()
			began := time.Now()
			if got, err := button.Wait(time.Second); got != pressed || err != nil || time.Since(began) != lasts {
				t.Errorf("pressed %v after %v, %v; want %v after %v", got, time.Since(began), err, pressed, lasts)
			}
		}
		wait(false, time.Second)
		line.edges <- gpio.Low
		wait(true, 0)
		line.edges <- gpio.High
		wait(false, 0)

		line.gone, line.level, line.refuses = true, gpio.Low, unix.ENODEV
		began := time.Now()
		if _, err := button.Wait(time.Second); !errors.Is(err, unix.ENODEV) || time.Since(began) != time.Second {
			t.Errorf("a line that is gone: %v after %v, want ENODEV after 1s", err, time.Since(began))
		}
		if err := button.Close(); err != nil {
			t.Error(err)
		}
		if n := len(line.did); n < 2 || line.did[n-2] != "halt" || line.did[n-1] != "close" {
			t.Errorf("the line was not given back: %q", line.did)
		}
	})
}
