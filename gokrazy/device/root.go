package device

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Root is the folder below which a system's files are looked for. The zero value
// is "/", the system on which this program runs; a test has a folder of its own.
type Root string

// Path joins elem below the root.
func (r Root) Path(elem ...string) string {
	if r == "" {
		r = "/"
	}
	return filepath.Join(append([]string{string(r)}, elem...)...)
}

// Gokrazy tells whether gokrazy runs the system, so that this program has the
// machine for itself.
func (r Root) Gokrazy() bool {
	_, err := os.Stat(r.Path(initPath))
	return err == nil
}

// Model is the board's name, as "Raspberry Pi 3 Model B Rev 1.2". It is empty if
// the device tree does not tell.
func (r Root) Model() string {
	return strings.Trim(attribute(r.Path("proc/device-tree"), "model"), "\x00")
}

// KernelRelease is that of the running kernel, as uname -r prints it.
func (r Root) KernelRelease() (string, error) {
	text, err := os.ReadFile(r.Path("proc/sys/kernel/osrelease"))
	return strings.TrimSpace(string(text)), err
}

// Uptime is for how many seconds the system has run; 0 if it does not tell.
func (r Root) Uptime() float64 {
	text, err := os.ReadFile(r.Path("proc/uptime"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	up, _ := strconv.ParseFloat(first, 64) // else 0
	return up
}
