package device

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// The kernel's terminals.
const (
	// ScreenTerminal can be shown on a screen at the HDMI output. That shows tty1 from
	// the start on, where the kernel's messages go once something was written here.
	ScreenTerminal = "tty2"
	// SerialTerminal is the last console of the kernel's command line: on the
	// appliance the serial port.
	SerialTerminal = "console"
)

// terminalTimeout is how long a terminal may take for what is written to it. At
// 115200 baud, 4 kB take 0.4 s.
const terminalTimeout = 2 * time.Second

// WriteTerminal writes text to a terminal, by its name in /dev. A terminal that takes
// nothing costs two seconds, and whoever cannot wait for that must not call it.
func (r Root) WriteTerminal(name, text string) error {
	// Without O_NONBLOCK, to open a serial port waits until there is a carrier.
	f, err := os.OpenFile(r.Path("dev", name), os.O_WRONLY|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	if name == ScreenTerminal {
		divertMessages(f)
	}
	if err := f.SetWriteDeadline(time.Now().Add(terminalTimeout)); err != nil && !errors.Is(err, os.ErrNoDeadline) {
		f.Close()
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return fmt.Errorf("the terminal %s: %w", name, err)
	}
	return f.Close()
}
