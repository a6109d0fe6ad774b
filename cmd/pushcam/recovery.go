package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2"
	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/durable"
)

// When the rungs of the camera's ladder are climbed, and how often at most. A program
// that was started anew for the camera is not started anew again within the hour:
// then the next rung is the reboot.
const (
	resetAfter, resetEvery     = 30 * time.Second, 10 * time.Minute
	restartAfter, restartEvery = 2 * time.Minute, time.Hour
	rebootAfter, rebootEvery   = 5 * time.Minute, time.Hour
)

// errRestart ends the program so that the system starts it anew.
var errRestart = errors.New("the program is started anew, because the camera gives no frames")

// ladder is what is done, in order, for a camera that gives no frames although it is
// run again and again. A PC's programs and system are not ours to start anew; and no
// rung helps a pattern or a recording.
func (m *appliance) ladder(source string, webcam *v4l2.Source, end func(error)) []camera.Rung {
	if source != "auto" && source != "v4l2" {
		return nil
	}
	reset := camera.Rung{Name: "reset", After: resetAfter, Every: resetEvery,
		Do: func(ctx context.Context, _ error) error { return webcam.Reset(ctx) }}
	if m == nil {
		return []camera.Rung{reset}
	}
	webcam.Reload = func(_ context.Context, module string) error { return m.drivers.reload(module) }
	r := m.recovery
	return []camera.Rung{reset,
		{Name: "restart", After: restartAfter, Every: restartEvery, Last: r.last(r.record.Restart), Count: r.record.Restart.Count,
			Do: func(ctx context.Context, why error) error { return r.restart(ctx, why, end) }},
		{Name: "reboot", After: rebootAfter, Every: rebootEvery, Last: r.last(r.record.Reboot), Count: r.record.Reboot.Count, Do: r.rebootFor},
	}
}

// recovery climbs the appliance's rungs. It keeps in a file what it did and why, so
// that it counts in the next program and after the reboot.
type recovery struct {
	root   device.Root
	file   string // "" keeps nothing
	reboot func(context.Context) error
	hangs  func(context.Context) bool // a thread of this program does, so that it cannot end
	boot   string                     // the kernel's name for the time since it started
	log    *slog.Logger

	mu     sync.Mutex
	record recoveryRecord
}

type recoveryRecord struct {
	Restart attempt `json:"restart"` // of the program
	Reboot  attempt `json:"reboot"`
}

// attempt is the last time that a rung was climbed. What the clock said then is for
// people only: without network it starts anew with each boot.
type attempt struct {
	Count  uint64    `json:"count"` // of all
	Time   time.Time `json:"time,omitzero"`
	Reason string    `json:"reason,omitempty"`
	Boot   string    `json:"boot,omitempty"`   // in which it was
	Uptime float64   `json:"uptime,omitempty"` // seconds since its start
	Next   string    `json:"next,omitempty"`   // the boot that came after that
}

const (
	recoveryFile = "recovery.json"
	maxRecovery  = 64 << 10        // bytes that are read of it
	recoveryTime = 5 * time.Second // for writing it: a card may hang
)

func newRecovery(root device.Root, dir string, reboot func(context.Context) error, log *slog.Logger) *recovery {
	r := &recovery{root: root, reboot: reboot, log: log,
		hangs: func(ctx context.Context) bool { return v4l2.Hangs(ctx, root.Path()) }}
	id, err := os.ReadFile(root.Path("proc/sys/kernel/random/boot_id"))
	if r.boot = strings.TrimSpace(string(id)); err != nil {
		log.Warn("the kernel does not tell one boot from another: the system is not rebooted for its camera in the first hour", "err", err)
		return r
	}
	if dir == "" {
		return r
	}
	r.file = filepath.Join(dir, recoveryFile)
	data, err := durable.ReadFile(r.file, maxRecovery)
	if err == nil {
		err = json.Unmarshal(data, &r.record)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("what was done for the camera before is not known", "err", err)
		r.record = recoveryRecord{}
	}
	if a := &r.record.Reboot; a.Boot != "" && a.Boot != r.boot && a.Next == "" {
		a.Next = r.boot
		log.Warn("the system was rebooted, because the camera gave no frames", "reason", a.Reason, "times", a.Count)
		if err := r.keep(context.Background()); err != nil {
			log.Warn("that the system was rebooted for its camera is not kept", "err", err)
		}
	}
	return r
}

// last is when an attempt was, as this program's clock has it; zero if it was before
// the present boot.
func (r *recovery) last(a attempt) time.Time {
	up := r.root.Uptime()
	switch {
	case r.boot == "":
	case a.Boot == r.boot:
		return time.Now().Add(-time.Duration((up - a.Uptime) * float64(time.Second)))
	case a.Next == r.boot:
		return time.Now().Add(-time.Duration(up * float64(time.Second)))
	}
	return time.Time{}
}

// note keeps an attempt before it is made: it ends the program.
func (r *recovery) note(ctx context.Context, a *attempt, why error) error {
	r.mu.Lock()
	*a = attempt{Count: a.Count + 1, Time: time.Now(), Reason: why.Error(), Boot: r.boot, Uptime: r.root.Uptime()}
	r.mu.Unlock()
	return r.keep(ctx)
}

func (r *recovery) keep(ctx context.Context) error {
	if r.file == "" {
		return errors.New("there is nowhere to keep it")
	}
	r.mu.Lock()
	record := r.record
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, recoveryTime)
	defer cancel()
	written := make(chan error, 1)
	go func() { written <- durable.WriteJSON(r.file, record) }()
	select {
	case err := <-written:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s is not written: %w", r.file, ctx.Err())
	}
}

// restart ends the program, unless the next one could not know of it, which would
// restart for ever, or this one could not end.
func (r *recovery) restart(ctx context.Context, why error, end func(error)) error {
	if r.hangs(ctx) {
		return errors.New("the program would not end, because its call into the driver does not; only a reboot helps")
	}
	if err := r.note(ctx, &r.record.Restart, why); err != nil {
		return fmt.Errorf("the program is not started anew, because the next one would not know of it: %w", err)
	}
	end(fmt.Errorf("%w: %w", errRestart, why))
	return nil
}

// rebootFor reboots the system. If that cannot be kept for the time after it, an hour
// must have passed since the last boot, so that it is not done more often.
func (r *recovery) rebootFor(ctx context.Context, why error) error {
	if err := r.note(ctx, &r.record.Reboot, why); err != nil && r.root.Uptime() < rebootEvery.Seconds() {
		return fmt.Errorf("the system is not rebooted in its first hour, because it would not know of that afterwards: %w", err)
	}
	return r.reboot(ctx)
}

// state is the part of /state.
func (r *recovery) state() any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return recoveryRecord{r.onClock(r.record.Restart), r.onClock(r.record.Reboot)}
}

// onClock is an attempt with its time as the clock has it now, if that was not set when
// the attempt was made; without a time if it cannot be known any more.
func (r *recovery) onClock(a attempt) attempt {
	if a.Time.Year() >= 2000 {
		return a
	}
	a.Time = time.Time{}
	if a.Count > 0 {
		a.Time = r.last(a).Round(time.Second)
	}
	return a
}
