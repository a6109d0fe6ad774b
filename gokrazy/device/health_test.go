package device

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSensors(t *testing.T) {
	const (
		zone     = "sys/class/thermal/thermal_zone"
		firmware = "sys/devices/platform/soc/soc:firmware/get_throttled"
		monitor  = "sys/class/hwmon/hwmon"
	)
	celsius := func(c float64) *float64 { return &c }
	tests := []struct {
		name  string
		files map[string]string
		want  Health
	}{
		{name: "a PC without sensors"},
		{name: "Pi 4, all well",
			files: map[string]string{zone + "0/type": "cpu-thermal\n", zone + "0/temp": "48312\n", firmware: "0\n"},
			want:  Health{Temperature: celsius(48.312), Throttled: &Throttled{}}},
		{name: "the processor's zone is not the first",
			files: map[string]string{zone + "0/type": "wifi\n", zone + "0/temp": "70000\n", zone + "1/type": "cpu-thermal\n", zone + "1/temp": "50000\n"},
			want:  Health{Temperature: celsius(50)}},
		{name: "the first zone cannot be read",
			files: map[string]string{zone + "0/type": "acpitz\n", zone + "0/temp": "", zone + "1/type": "x86_pkg_temp\n", zone + "1/temp": "-5000\n"},
			want:  Health{Temperature: celsius(-5)}},
		{name: "low voltage now, slowed before",
			files: map[string]string{firmware: "50001\n"},
			want:  Health{Throttled: &Throttled{Now: Reasons{UnderVoltage: true}, Since: Reasons{UnderVoltage: true, Slowed: true}}}},
		{name: "everything, with a prefix",
			files: map[string]string{firmware: "0xf000f\n"},
			want:  Health{Throttled: &Throttled{Now: Reasons{true, true, true, true}, Since: Reasons{true, true, true, true}}}},
		{name: "the firmware answers nonsense", files: map[string]string{firmware: "never\n"}},
		{name: "mainline kernel, low voltage",
			files: map[string]string{monitor + "0/name": "cpu_thermal\n", monitor + "1/name": "rpi_volt\n", monitor + "1/in0_lcrit_alarm": "1\n"},
			want:  Health{Throttled: &Throttled{Now: Reasons{UnderVoltage: true}, Since: Reasons{UnderVoltage: true}}}},
		{name: "mainline kernel, all well",
			files: map[string]string{monitor + "1/name": "rpi_volt\n", monitor + "1/in0_lcrit_alarm": "0\n"},
			want:  Health{Throttled: &Throttled{}}},
		{name: "what programs have in memory, but for one that has ended",
			files: map[string]string{"proc/1/statm": "900 3 1 1 0 5 0\n", "proc/22/statm": "9 4 0 0 0 0 0\n", "proc/3/statm": "", "proc/self/statm": "9 4 0 0 0 0 0\n"},
			want:  Health{Resident: 7 * int64(os.Getpagesize())}},
		{name: "mainline kernel, no alarm", files: map[string]string{monitor + "1/name": "rpi_volt\n"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			for name, content := range tc.files {
				path := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tc.want, (&Sensors{Root: Root(root)}).Read()); diff != "" {
				t.Errorf("health (-want +got):\n%s", diff)
			}
		})
	}
}
