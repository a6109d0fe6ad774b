package wifi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/durable"
)

const (
	// rebootFile keeps, below /perm, that the system was rebooted for its radio and why.
	rebootFile = "pushcam/wifi-reboot.json"
	maxRecord  = 4 << 10 // bytes that are read of it
	// writeTimeout is for writing it, and settleTimeout for other programs to write what
	// they keep: the card may hang.
	writeTimeout  = 5 * time.Second
	settleTimeout = 10 * time.Second
)

// A rebootRecord is what is known of the last reboot for the radio.
type rebootRecord struct {
	Count  int       `json:"count"` // of all
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
}

// recall reads what was done in earlier boots.
func (m *Manager) recall() {
	var r rebootRecord
	data, err := durable.ReadFile(m.Root.Path("perm", rebootFile), maxRecord)
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.Log.Warn("it is not known how often the system was rebooted for its radio", "err", err)
		return
	}
	m.recovered.Reboots, m.recovered.LastReboot, m.recovered.Reason = r.Count, r.Time, r.Reason
}

// reboot starts the system anew. If that cannot be kept it is done all the same: the
// uptime bounds how often.
func (m *Manager) reboot(ctx context.Context) error {
	r := rebootRecord{m.recovered.Reboots + 1, time.Now().UTC(), m.machine.ladder.why}
	if err := within(ctx, writeTimeout, func() error { return durable.WriteJSON(m.Root.Path("perm", rebootFile), r) }); err != nil {
		m.Log.Error("that the system is rebooted for its radio is not kept", "err", err)
	}
	m.Log.Error("the system is rebooted for its radio", "why", r.Reason)
	power := device.OpenPower()
	if err := power.EndOthers(); err != nil {
		return err
	}
	settle := func() error {
		time.Sleep(endTimeout) // for the others to write what they keep
		unix.Sync()
		return nil
	}
	if err := within(ctx, settleTimeout, settle); err != nil {
		m.Log.Error("the card does not take what was written", "err", err)
	}
	return power.Restart()
}

// within does what may hang, for so long at most; what hangs is left to itself.
func within(ctx context.Context, limit time.Duration, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("it takes longer than %v", limit)
	}
}
