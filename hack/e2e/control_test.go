//go:build linux

package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// controlTimeout is how long QEMU may take to answer.
const controlTimeout = 30 * time.Second

// qmp is QEMU's control socket (docs/interop/qmp-spec.txt).
type qmp struct {
	conn    net.Conn
	onEvent func(qmpEvent) // called by the goroutine that reads
	answers chan qmpMessage
	reading sync.WaitGroup

	asking sync.Mutex // held by the one do at work
}

type qmpEvent struct {
	Name string `json:"event"`
	Data struct {
		Reason string `json:"reason"`
	} `json:"data"`
}

type qmpMessage struct {
	qmpEvent
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Desc string `json:"desc"`
	} `json:"error"`
}

// newQMP says hello. close must be called in the end.
func newQMP(conn net.Conn, onEvent func(qmpEvent)) (*qmp, error) {
	q := &qmp{conn: conn, onEvent: onEvent, answers: make(chan qmpMessage, 1)}
	q.reading.Go(q.read)
	if err := q.do("qmp_capabilities", nil, nil); err != nil {
		q.close()
		return nil, err
	}
	return q, nil
}

func (q *qmp) read() {
	defer close(q.answers)
	for d := json.NewDecoder(q.conn); ; {
		var m qmpMessage
		if err := d.Decode(&m); err != nil {
			return // QEMU has ended
		}
		switch {
		case m.Name != "":
			q.onEvent(m.qmpEvent)
		case m.Return != nil || m.Error != nil: // else it is the greeting
			select {
			case q.answers <- m:
			default: // nobody waits for it any more
			}
		}
	}
}

// do executes a command. Its result goes to result, unless that is nil.
func (q *qmp) do(command string, arguments map[string]any, result any) error {
	q.asking.Lock()
	defer q.asking.Unlock()
	if err := q.conn.SetWriteDeadline(time.Now().Add(controlTimeout)); err != nil {
		return err
	}
	ask := map[string]any{"execute": command}
	if arguments != nil {
		ask["arguments"] = arguments
	}
	if err := json.NewEncoder(q.conn).Encode(ask); err != nil {
		return fmt.Errorf("QEMU, %s: %w", command, err)
	}
	select {
	case m, ok := <-q.answers:
		switch {
		case !ok:
			return fmt.Errorf("QEMU, %s: it has ended", command)
		case m.Error != nil:
			return fmt.Errorf("QEMU, %s: %s", command, m.Error.Desc)
		case result != nil:
			return json.Unmarshal(m.Return, result)
		}
		return nil
	case <-time.After(controlTimeout):
		return fmt.Errorf("QEMU, %s: no answer for %v", command, controlTimeout)
	}
}

func (q *qmp) close() {
	q.conn.Close()
	q.reading.Wait()
}

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
