package gpiotest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// A Sim is a GPIO chip that the kernel's gpio-sim driver simulates: a real
// /dev/gpiochipN whose inputs a test pulls and whose outputs it reads. Making
// one needs root and gpio-sim, which hack/rig's virtual machine has.
//
// See Documentation/admin-guide/gpio/gpio-sim.rst.
type Sim struct {
	// Path is the chip's character device.
	Path string

	config string // its folder in configfs
	sysfs  string // its folder of sim_gpioN
	lines  int
}

const simConfigfs = "/sys/kernel/config/gpio-sim"

// simCount makes the configfs folders of one process distinct.
var simCount atomic.Int64

// NewSim makes a chip with the given label and one line for each name, of which
// "" is a line without a name. The caller ends it with Remove.
func NewSim(label string, names ...string) (s *Sim, err error) {
	if len(names) == 0 {
		return nil, errors.New("gpio-sim: a chip needs a line")
	}
	config := fmt.Sprintf("%s/pushcam-%d-%d", simConfigfs, os.Getpid(), simCount.Add(1))
	s = &Sim{config: config, lines: len(names)}
	bank := config + "/bank0"
	if err := os.Mkdir(config, 0o755); err != nil {
		return nil, fmt.Errorf("gpio-sim: %w: load the module, or run in hack/rig", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("gpio-sim: %w", err), s.Remove())
			s = nil
		}
	}()
	if err := os.Mkdir(bank, 0o755); err != nil {
		return s, err
	}
	attributes := [][2]string{{bank + "/num_lines", strconv.Itoa(len(names))}, {bank + "/label", label}}
	for i, name := range names {
		if name == "" {
			continue
		}
		line := fmt.Sprintf("%s/line%d", bank, i)
		if err := os.Mkdir(line, 0o755); err != nil {
			return s, err
		}
		attributes = append(attributes, [2]string{line + "/name", name})
	}
	for _, a := range append(attributes, [2]string{config + "/live", "1"}) {
		if err := os.WriteFile(a[0], []byte(a[1]), 0); err != nil {
			return s, err
		}
	}
	device, err := readTrimmed(config + "/dev_name")
	if err != nil {
		return s, err
	}
	chip, err := readTrimmed(bank + "/chip_name")
	if err != nil {
		return s, err
	}
	s.Path = "/dev/" + chip
	s.sysfs = filepath.Join("/sys/devices/platform", device, chip)
	return s, nil
}

// Pull sets the level that an input line has from outside.
func (s *Sim) Pull(line int, high bool) error {
	pull := "pull-down"
	if high {
		pull = "pull-up"
	}
	return os.WriteFile(s.attribute(line, "pull"), []byte(pull), 0)
}

// Value is the level of a line: of an output what it is driven to, of an input
// what it is pulled to.
func (s *Sim) Value(line int) (high bool, err error) {
	value, err := readTrimmed(s.attribute(line, "value"))
	return value == "1", err
}

// Remove takes the chip away, whoever uses it. The Sim is of no use after that.
func (s *Sim) Remove() error {
	if _, err := os.Stat(s.config); err != nil {
		return nil
	}
	// A chip that never came to life refuses the 0; its folders go all the same.
	err := os.WriteFile(s.config+"/live", []byte("0"), 0)
	lines, _ := filepath.Glob(s.config + "/bank0/line*")
	for _, dir := range slices.Concat(lines, []string{s.config + "/bank0", s.config}) {
		if rerr := os.Remove(dir); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
			return errors.Join(err, rerr)
		}
	}
	return nil
}

func (s *Sim) attribute(line int, name string) string {
	return fmt.Sprintf("%s/sim_gpio%d/%s", s.sysfs, line, name)
}

func readTrimmed(path string) (string, error) {
	data, err := os.ReadFile(path)
	return strings.TrimSpace(string(data)), err
}
