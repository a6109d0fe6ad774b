package device

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Health is how the board is. What the system does not tell is nil.
type Health struct {
	// Temperature of the processor in degrees Celsius.
	Temperature *float64 `json:"temperature,omitempty"`
	// Throttled is what the firmware holds back.
	Throttled *Throttled `json:"throttled,omitempty"`
	// Resident is how many bytes all programs have in memory, what they share counted
	// for each.
	Resident int64 `json:"resident_bytes,omitempty"`
}

// Throttled says why the firmware slows the board down: now, and at any time
// since it was switched on.
type Throttled struct {
	Now   Reasons `json:"now"`
	Since Reasons `json:"since_boot"`
}

// Reasons are those of GET_THROTTLED (Raspberry Pi firmware, mailbox property
// 0x00030046; vcgencmd get_throttled). The kernel's own driver tells of
// UnderVoltage only.
type Reasons struct {
	UnderVoltage    bool `json:"under_voltage"`    // a weak power supply or cable
	FrequencyCapped bool `json:"frequency_capped"` // the clock is limited
	Slowed          bool `json:"slowed"`           // too hot, or too little voltage
	SoftLimit       bool `json:"soft_limit"`       // above 60 °C on a 3A+ or 3B+
}

// Sensors reads the board's health from the kernel. The zero value is ready.
type Sensors struct {
	// Root is where /sys and /proc are looked for.
	Root Root
}

// maxAttribute is how much of a file in /sys is read, in bytes: a page.
const maxAttribute = 4096

// Read reads all sensors that there are, within milliseconds: the firmware is
// asked.
func (s *Sensors) Read() Health {
	return Health{Temperature: s.temperature(), Throttled: s.throttled(), Resident: s.resident()}
}

// resident adds up the second field of all statm (proc(5)), which is in pages. What has
// ended meanwhile has none.
func (s *Sensors) resident() (bytes int64) {
	files, _ := filepath.Glob(s.Root.Path("proc/[0-9]*/statm")) // the pattern is well-formed
	for _, file := range files {
		if fields := strings.Fields(attribute(filepath.Dir(file), "statm")); len(fields) > 1 {
			pages, _ := strconv.ParseInt(fields[1], 10, 64) // else 0
			bytes += pages * int64(os.Getpagesize())
		}
	}
	return bytes
}

// temperature is that of the zone called cpu-thermal, as on every Pi, else of
// the first one that has one.
func (s *Sensors) temperature() *float64 {
	zones, err := filepath.Glob(s.Root.Path("sys/class/thermal/thermal_zone*"))
	if err != nil {
		return nil
	}
	isCPU := func(zone string) bool { return attribute(zone, "type") == "cpu-thermal" }
	slices.SortStableFunc(zones, func(a, b string) int {
		switch {
		case isCPU(a) == isCPU(b):
			return 0
		case isCPU(a):
			return -1
		}
		return 1
	})
	for _, zone := range zones {
		milli, err := strconv.ParseInt(attribute(zone, "temp"), 10, 32)
		if err == nil {
			celsius := float64(milli) / 1000
			return &celsius
		}
	}
	return nil
}

// throttled asks the firmware where Raspberry Pi's kernel lets it, else
// raspberrypi-hwmon, which knows whether the voltage is low.
func (s *Sensors) throttled() *Throttled {
	const (
		underVoltage = 1 << iota
		frequencyCapped
		slowed
		softLimit
	)
	reasons := func(bits uint64) Reasons {
		return Reasons{
			UnderVoltage:    bits&underVoltage != 0,
			FrequencyCapped: bits&frequencyCapped != 0,
			Slowed:          bits&slowed != 0,
			SoftLimit:       bits&softLimit != 0,
		}
	}
	// firmware/raspberrypi.c prints it in hex, without a prefix.
	firmware := s.Root.Path("sys/devices/platform/soc/soc:firmware")
	if bits, err := strconv.ParseUint(strings.TrimPrefix(attribute(firmware, "get_throttled"), "0x"), 16, 32); err == nil {
		return &Throttled{Now: reasons(bits), Since: reasons(bits >> 16)}
	}
	monitors, err := filepath.Glob(s.Root.Path("sys/class/hwmon/hwmon*"))
	if err != nil {
		return nil
	}
	for _, m := range monitors {
		if attribute(m, "name") != "rpi_volt" {
			continue
		}
		switch attribute(m, "in0_lcrit_alarm") {
		case "0":
			return &Throttled{}
		case "1":
			low := Reasons{UnderVoltage: true}
			return &Throttled{Now: low, Since: low}
		}
	}
	return nil
}

// attribute is the content of a file in /sys; "" if there is none.
func attribute(dir, name string) string {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	defer f.Close()
	b := make([]byte, maxAttribute)
	n, err := f.Read(b)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b[:n]))
}
