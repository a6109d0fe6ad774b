//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// controlTimeout is how long QEMU may take to answer.
const controlTimeout = 2 * time.Minute

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

// newQMP begins the conversation. close must be called in the end.
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

// firstAddress is what QEMU's router gives to the first machine that asks.
const firstAddress = "10.0.2.15"

// forwarded is where QEMU's router leads to a port of the machine at an address.
func forwarded(q *qmp, address string, port int) (url string, err error) {
	var table string
	if err := q.do("human-monitor-command", map[string]any{"command-line": "info usernet"}, &table); err != nil {
		return "", err
	}
	for row := range strings.Lines(table) {
		// TCP[HOST_FORWARD]  13       127.0.0.1 40713       10.0.2.15    80     0     0
		if f := strings.Fields(row); len(f) > 5 && f[0] == "TCP[HOST_FORWARD]" && f[4] == address && f[5] == fmt.Sprint(port) {
			return "http://" + f[2] + ":" + f[3], nil
		}
	}
	return "", fmt.Errorf("QEMU forwards nothing to port %d of %s: %s", port, address, table)
}
