//go:build linux

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// board is what is soldered to the GPIO chip of QEMU's "virt" machine, a PL061:
// an LED, and a button to ground with its pull-up resistor.
type board struct {
	chip string // its path in QEMU

	mu      sync.Mutex
	conn    net.Conn // speaks the qtest protocol (softmmu/qtest.c)
	answers *bufio.Reader
}

const (
	ledLine    = 4
	buttonLine = 5 // line 3 is the machine's power button
	// buttonHold is how long the button is held to switch off. It is longer than the
	// product's own 2 s, because on a busy machine even a short press may take that
	// long.
	buttonHold = 6 * time.Second

	// The chip's registers in memory (hw/arm/virt.c, ARM DDI 0190): the data of
	// all lines, and which of them are outputs.
	pl061Data      = 0x9030000 + 0x3fc
	pl061Direction = 0x9030000 + 0x400
)

// findPL061 asks QEMU for the chip.
func findPL061(q *qmp) (string, error) {
	const all = "/machine/unattached"
	var devices []struct{ Name, Type string }
	if err := q.do("qom-list", map[string]any{"path": all}, &devices); err != nil {
		return "", err
	}
	for _, d := range devices {
		if d.Type == "child<pl061>" {
			return all + "/" + d.Name, nil
		}
	}
	return "", errors.New("QEMU's board has no PL061")
}

func (b *board) ask(format string, args ...any) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	command := fmt.Sprintf(format, args...)
	if err := b.conn.SetDeadline(time.Now().Add(controlTimeout)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(b.conn, command); err != nil {
		return "", fmt.Errorf("qtest, %s: %w", command, err)
	}
	answer, err := b.answers.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("qtest, %s: %w", command, err)
	}
	value, ok := strings.CutPrefix(strings.TrimSpace(answer), "OK")
	if !ok {
		return "", fmt.Errorf("qtest, %s: %q", command, answer)
	}
	return strings.TrimSpace(value), nil
}

// button presses the button, or lets it go.
func (b *board) button(pressed bool) error {
	level := 1
	if pressed {
		level = 0
	}
	_, err := b.ask("set_irq_in %s unnamed-gpio-in %d %d", b.chip, buttonLine, level)
	return err
}

// led says whether the LED is lit: its line is an output, and high.
func (b *board) led() (bool, error) {
	lit := true
	for _, register := range []int{pl061Direction, pl061Data} {
		text, err := b.ask("readl %#x", register)
		if err != nil {
			return false, err
		}
		var value uint32
		if _, err := fmt.Sscanf(text, "0x%x", &value); err != nil {
			return false, fmt.Errorf("qtest answers %q: %w", text, err)
		}
		lit = lit && value>>ledLine&1 == 1
	}
	return lit, nil
}

func (m *machine) press(t *testing.T) {
	t.Helper()
	if err := m.button(true); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) release(t *testing.T) {
	t.Helper()
	if err := m.button(false); err != nil {
		t.Fatal(err)
	}
}

// toggle opens or closes the camera by a short press of the button, and presses again
// if nothing happens: a busy machine may take a short press for one that is neither
// short nor long.
func (m *machine) toggle(t *testing.T, privacy bool) {
	t.Helper()
	var pressed time.Time
	m.await(t, fmt.Sprintf("the button makes privacy %v", privacy), func() error {
		s, err := m.state()
		switch {
		case err != nil:
			return err
		case s.Settings.Privacy == privacy:
			return nil
		case time.Since(pressed) > 5*time.Second:
			m.press(t)
			time.Sleep(250 * time.Millisecond) // as long as a finger presses
			m.release(t)
			pressed = time.Now()
		}
		return errors.New("it is not")
	})
}

// hold presses the button until the machine is off. It presses again and again, because
// a program that has just begun must see the button released first, which takes a busy
// machine a while.
func (m *machine) hold(t *testing.T) {
	t.Helper()
	m.is(t, "a program that has seen the button released", func(s state) bool { return s.Uptime > 3 })
	began := time.Now()
	for long := 2 * buttonHold; time.Since(began) < patience; long *= 2 {
		m.press(t)
		select {
		case <-m.exited:
			t.Logf("off %v after the button was pressed", time.Since(began).Round(100*time.Millisecond))
			return
		case <-time.After(long):
		}
		m.release(t)
		time.Sleep(2 * time.Second)
	}
	t.Fatalf("the machine is on %v after the button was pressed", patience)
}

// ledIs waits until the LED has been lit, or dark, for so long without a change.
func (m *machine) ledIs(t *testing.T, lit bool, long time.Duration) {
	t.Helper()
	since := time.Now()
	m.await(t, fmt.Sprintf("LED lit %v for %v", lit, long), func() error {
		now, err := m.led()
		switch {
		case err != nil:
			return err
		case now != lit:
			since = time.Now()
			return errors.New("it is not")
		case time.Since(since) < long:
			return errors.New("not for so long")
		}
		return nil
	})
}
