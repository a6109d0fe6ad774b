package gpio

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
)

// piLabels begin the label of the chip whose lines are the pins of a Raspberry
// Pi's header: drivers/pinctrl/bcm/pinctrl-bcm2835.c (label pinctrl-bcm2835 or
// -bcm2711), and drivers/pinctrl/pinctrl-rp1.c on a Pi 5.
var piLabels = []string{"pinctrl-bcm2", "pinctrl-rp1"}

// A Chip is a GPIO chip, through the kernel's character device. Its lines are
// numbered as the chip numbers them; on a Pi that is the N of GPIO N.
type Chip struct {
	kernelChip

	mu   sync.Mutex     // lines are closed by the goroutines that use them
	used map[int]string // what a line was handed out as
}

// kernelChip is the part of periph's chip that is used here.
type kernelChip struct {
	name, path, label string
	count             int           // of its lines
	line              func(int) pin // by its number
}

// pin is the part of periph's line that is used here. Lines are found by number,
// because their names differ from kernel to kernel (mainline calls line 3 of a Pi
// SCL1).
type pin interface {
	In(gpio.Pull, gpio.Edge) error
	Read() gpio.Level
	WaitForEdge(time.Duration) bool
	Out(gpio.Level) error
	Number() int
	Consumer() string // who has the line, if the kernel knows
	Halt() error
	Close()
}

// OpenChip opens the chip with this name (gpiochip0), path or label. An empty
// name means the one that has the pins of a Raspberry Pi's header.
//
// The first call looks at all chips of the machine, once for the life of the
// program, and keeps a descriptor of each. It belongs to the start of a program,
// before other goroutines open files: where a symbolic link makes a chip appear
// twice, periph closes one descriptor too often (gpioioctl/gpio.go, Close).
func OpenChip(name string) (*Chip, error) {
	if err := initPeriph(); err != nil {
		return nil, err
	}
	var all []kernelChip
	for _, c := range gpioioctl.Chips {
		line := func(n int) pin { return c.ByNumber(n) }
		all = append(all, kernelChip{c.Name(), c.Path(), c.Label(), c.LineCount(), line})
	}
	return choose(all, name)
}

// choose is OpenChip, among all chips.
func choose(all []kernelChip, name string) (*Chip, error) {
	var found []kernelChip
	var there []string
	for _, c := range all {
		there = append(there, c.String())
		if c.is(name) {
			found = append(found, c)
		}
	}
	what := name
	if name == "" {
		what = strings.Join(piLabels, "* or ") + "*"
	}
	switch {
	case len(there) == 0:
		return nil, errors.New("no GPIO chip could be opened: there is no /dev/gpiochip*, or it is not accessible")
	case len(found) == 0:
		return nil, fmt.Errorf("no GPIO chip %s; there are: %s", what, strings.Join(there, ", "))
	case len(found) > 1:
		return nil, fmt.Errorf("several GPIO chips are %s: choose one of %s", what, strings.Join(there, ", "))
	}
	return &Chip{kernelChip: found[0], used: make(map[int]string)}, nil
}

// is tells whether name means this chip; the empty one means a Pi's.
func (c kernelChip) is(name string) bool {
	if name != "" {
		return name == c.name || name == c.path || name == c.label
	}
	return slices.ContainsFunc(piLabels, func(l string) bool { return strings.HasPrefix(c.label, l) })
}

// String is the chip's name and label.
func (c kernelChip) String() string { return fmt.Sprintf("%s (%s)", c.name, c.label) }

// initPeriph fills gpioioctl.Chips. Where a chip has two names, periph closes
// descriptor 0 together with the second (gpioioctl/gpio.go: Close sets fd to 0 and
// then closes it), and the next file that is opened would become stdin. So descriptor
// 0 is kept in a copy and restored.
func initPeriph() error {
	stdin, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fmt.Errorf("GPIO needs descriptor 0 to be open: %w", os.NewSyscallError("fcntl", err))
	}
	defer unix.Close(stdin)
	_, err = driverreg.Init()
	if derr := unix.Dup3(stdin, 0, 0); derr != nil {
		return fmt.Errorf("restore descriptor 0: %w", os.NewSyscallError("dup3", derr))
	}
	if err != nil {
		return fmt.Errorf("look for GPIO chips: %w", err)
	}
	return nil
}

// LED makes a line an LED, and turns it off. activeLow is for an LED that is on while
// the line is low.
func (c *Chip) LED(line int, activeLow bool) (LED, error) {
	l, err := c.take(line, "LED")
	if err != nil {
		return nil, err
	}
	led := &lineLED{chip: c, line: l, activeLow: activeLow}
	if err := led.Set(false); err != nil {
		return nil, c.refused(l, err)
	}
	return led, nil
}

// Button makes a line a button, which is pressed while the line is low. It uses the
// chip's pull-up resistor, so that a switch to ground is all that has to be wired.
func (c *Chip) Button(line int) (Input, error) {
	l, err := c.take(line, "button")
	if err != nil {
		return nil, err
	}
	b := &lineButton{chip: c, line: l}
	if err := b.configure(gpio.PullUp); err != nil {
		return nil, c.refused(l, err)
	}
	return b, nil
}

// take hands out a line for one use.
func (c *Chip) take(n int, as string) (pin, error) {
	if n < 0 || n >= c.count {
		return nil, fmt.Errorf("%s has no line %d for the %s; its lines are 0 to %d", c, n, as, c.count-1)
	}
	// periph would hand out the same line twice without an error.
	c.mu.Lock()
	defer c.mu.Unlock()
	if other, ok := c.used[n]; ok {
		return nil, fmt.Errorf("line %d of %s cannot be the %s: it is the %s already", n, c, as, other)
	}
	c.used[n] = as
	return c.line(n), nil
}

// refused gives back a line that could not be set up. It adds to the error who has
// the line, if that is known.
func (c *Chip) refused(l pin, err error) error {
	if holder := l.Consumer(); holder != "" {
		err = fmt.Errorf("%w (it was in use by %q)", err, holder)
	}
	// Else periph would take the line for configured, and use descriptor 0 for it.
	return errors.Join(err, c.release(l))
}

func (c *Chip) release(l pin) error {
	err := l.Halt()
	l.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.used, l.Number())
	return err
}

// lineLED is an LED on a line. The line is never read back: for periph, reading
// an output makes it an input.
type lineLED struct {
	chip      *Chip
	line      pin
	activeLow bool
}

func (l *lineLED) Set(on bool) error {
	if err := l.line.Out(gpio.Level(on != l.activeLow)); err != nil {
		return fmt.Errorf("LED on line %d of %s: %w", l.line.Number(), l.chip, err)
	}
	return nil
}

// Close turns the LED off before it lets go: whether a line that is given back
// keeps its level depends on the driver (pinctrl-bcm2835's persist_gpio_outputs).
func (l *lineLED) Close() error {
	err := l.Set(false)
	return errors.Join(err, l.chip.release(l.line))
}

type lineButton struct {
	chip *Chip
	line pin
}

func (b *lineButton) configure(pull gpio.Pull) error {
	if err := b.line.In(pull, gpio.BothEdges); err != nil {
		return fmt.Errorf("button on line %d of %s: %w", b.line.Number(), b.chip, err)
	}
	return nil
}

// Wait implements Input. When the chip is gone, periph gives no error: WaitForEdge
// returns at once, and Read says low, which means pressed. So Wait itself sees to it
// that d has passed, and configures a line that reads low once more, without a
// change: the kernel does nothing then while the chip is there, and refuses with
// ENODEV when it is gone.
func (b *lineButton) Wait(d time.Duration) (pressed bool, err error) {
	d = max(d, time.Millisecond) // 0 would be for ever, and less than 0 not at all
	begin := time.Now()
	if !b.line.WaitForEdge(d) {
		time.Sleep(d - time.Since(begin))
	}
	if b.line.Read() == gpio.High {
		return false, nil
	}
	if err := b.configure(gpio.PullNoChange); err != nil {
		return false, err
	}
	return true, nil
}

func (b *lineButton) Close() error { return b.chip.release(b.line) }
