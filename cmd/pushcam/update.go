package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pushcam/pushcam/gokrazy/durable"
	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/update/card"
)

// updates takes updates over the network, tries them and decides about them.
//
// A new root file system goes to the partition that does not run, and the next
// boot is told to take it once. That boot is its trial: it is committed when it
// was well for a while, and whatever else happens, the boot after it takes the old
// root again. gokrazy/pushcam/update.md has each step and what a power cut leaves.
type updates struct {
	card    *card.Card
	dir     string // for the record, and for boot partitions on their way
	version string // of this program
	health  health
	reboot  func(context.Context) error
	onTrial func(bool) // tells the LEDs
	log     *slog.Logger

	mu      sync.Mutex
	phase   updatePhase
	done    int64 // bytes that have arrived
	total   int64
	boot    card.Boot
	trouble error             // why updates are not possible here
	waiting string            // what a trial is waiting for
	record  *updateRecord     // nil: there was no update yet
	sent    map[string]string // what has arrived and is whole: its part, and the digest that it was sent with
	size    int64             // bytes of the root file system that has arrived
}

// updatePhase is what an updates does.
type updatePhase string

const (
	updateStarting   updatePhase = "" // it is not yet known where this boot stands
	updateIdle       updatePhase = "idle"
	updateReceiving  updatePhase = "receiving"
	updateRestarting updatePhase = "restarting"
	updateTrial      updatePhase = "trial"
)

// updateRecord is what becomes of an update, on /perm, where the old and the new
// system find it.
type updateRecord struct {
	ID     string      `json:"id"`
	State  updateState `json:"state"`
	From   string      `json:"from"`             // version
	To     string      `json:"to"`               // version
	Root   int         `json:"root"`             // number of the partition with the new one
	Kernel string      `json:"kernel,omitempty"` // its release, if a boot partition came too
	Camera bool        `json:"camera"`           // it worked before
	Starts int         `json:"starts"`           // of the program on trial
	Why    string      `json:"why,omitempty"`    // it was rolled back
}

type updateState string

const (
	updateTrying     updateState = "trying"
	updateCommitted  updateState = "committed"
	updateRolledBack updateState = "rolled back"
)

const (
	recordFile = "update.json"
	maxRecord  = 64 << 10          // bytes
	bootFile   = "update-boot.img" // a boot partition that has arrived
	savedBoot  = "boot-before-update.img"
)

// open finds out where this boot stands and finishes what an update left.
func (u *updates) open(ctx context.Context) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.phase, u.sent = updateIdle, make(map[string]string)
	u.record = u.readRecord()
	if u.boot, u.trouble = u.card.Boot(); u.trouble != nil {
		u.log.Error("updates are not possible: it is not known what the card boots", "err", u.trouble)
		return
	}
	if u.boot.Trial() {
		u.begin()
		return
	}
	if err := u.settle(ctx); err != nil {
		u.trouble = err
		u.log.Error("what the last update left cannot be put in order", "err", err)
	}
}

// begin makes this the trial of an update.
func (u *updates) begin() {
	if r := u.record; r == nil || r.State != updateTrying || r.Root != u.boot.Running {
		u.record = &updateRecord{State: updateTrying, To: u.version, Root: u.boot.Running}
	}
	u.record.Starts++
	if err := u.writeRecord(); err != nil {
		u.log.Error("what becomes of the update cannot be kept", "err", err)
	}
	u.phase = updateTrial
	u.log.Info("this update is on trial", "version", u.version, "start", u.record.Starts)
}

// settle decides what became of an update, on a boot that is no trial, and has the
// next boot take the root that runs.
func (u *updates) settle(ctx context.Context) error {
	r := u.record
	if r != nil && r.State == updateTrying {
		switch {
		case u.boot.Running == r.Root:
			r.State = updateCommitted
		case u.boot.Next.Try:
			r.State, r.Why = updateRolledBack, "the program ended before the restart into it"
		default:
			r.State, r.Why = updateRolledBack, cmp.Or(r.Why, r.cause())
		}
		u.log.Warn("an update is over", "version", r.To, "outcome", r.State, "why", r.Why)
	}
	if next := (partition.Next{Root: u.boot.Running}); u.boot.Next != next {
		if err := u.card.SetNext(next); err != nil {
			return err
		}
		u.boot.Next = next
	}
	if r == nil {
		return nil
	}
	if err := u.writeRecord(); err != nil {
		u.log.Error("what became of the update cannot be kept", "err", err)
	}
	if r.State == updateRolledBack && r.Kernel != "" {
		return u.restoreBoot(ctx)
	}
	u.removeBoots()
	return nil
}

// restoreBoot brings the old kernel back, whose modules this root has.
func (u *updates) restoreBoot(ctx context.Context) error {
	saved := filepath.Join(u.dir, savedBoot)
	if _, err := os.Stat(saved); errors.Is(err, fs.ErrNotExist) {
		return nil // it is back already
	}
	if err := u.card.WriteBoot(saved, partition.Next{Root: u.boot.Running}); err != nil {
		return fmt.Errorf("restore the boot partition: %w", err)
	}
	u.removeBoots()
	release, err := u.card.Root.KernelRelease()
	if err != nil || release != u.record.Kernel {
		return err
	}
	u.phase = updateRestarting
	u.log.Warn("the old kernel is back on the card: starting anew with it")
	return u.reboot(ctx)
}

func (u *updates) removeBoots() {
	for _, name := range []string{bootFile, savedBoot} {
		if err := os.Remove(filepath.Join(u.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			u.log.Warn("a file of the last update stays", "err", err)
		}
	}
}

// cause guesses why there is no reason.
func (r *updateRecord) cause() string {
	switch r.Starts {
	case 0:
		return "its program never began: its root file system could not be read, its init or its kernel failed, or the power did"
	case 1:
		return "it ended before it could say why: its program hung, its kernel failed, or the power did"
	}
	return fmt.Sprintf("its program began %d times and did not last", r.Starts)
}

func (u *updates) readRecord() *updateRecord {
	data, err := durable.ReadFile(filepath.Join(u.dir, recordFile), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	r := new(updateRecord)
	if err == nil {
		err = json.Unmarshal(data, r)
	}
	if err != nil {
		u.log.Warn("what became of the last update cannot be read", "err", err)
		return nil
	}
	return r
}

func (u *updates) writeRecord() error {
	return durable.WriteJSON(filepath.Join(u.dir, recordFile), u.record)
}

// run finds out where this boot stands, tries the update if it is for that, and
// returns when that is decided. Requests are refused before.
func (u *updates) run(ctx context.Context) {
	u.open(ctx)
	u.tryIt(ctx)
}

// tryIt tries the update if this boot is for that.
func (u *updates) tryIt(ctx context.Context) {
	u.mu.Lock()
	trial, camera := u.phase == updateTrial, u.record != nil && u.record.Camera
	u.mu.Unlock()
	if !trial {
		return
	}
	u.onTrial(true)
	err := u.health.watch(ctx, camera, u.wait)
	if ctx.Err() != nil {
		return // what this was is decided by the boot after it
	}
	if err == nil {
		err = u.commit()
	}
	if err == nil {
		u.onTrial(false)
		return
	}
	u.rollBack(ctx, err)
}

func (u *updates) wait(what string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.waiting = what
}

// commit has the next boots take the root that runs.
func (u *updates) commit() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.card.SetNext(partition.Next{Root: u.boot.Running}); err != nil {
		return fmt.Errorf("it is well, but cannot be committed: %w", err)
	}
	boot, err := u.card.Boot()
	if err != nil || boot.Trial() {
		return fmt.Errorf("it is well, but not committed on the card: %w", cmp.Or(err, errors.New("the card names the old one")))
	}
	u.boot, u.phase, u.waiting = boot, updateIdle, ""
	u.record.State = updateCommitted
	if err := u.writeRecord(); err != nil {
		u.log.Error("that the update is committed cannot be kept", "err", err)
	}
	u.removeBoots()
	u.log.Info("the update is committed", "version", u.version)
	return nil
}

// rollBack starts the old system. If that fails, process 1 does it.
func (u *updates) rollBack(ctx context.Context, why error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.phase, u.waiting = updateRestarting, ""
	u.record.Why = why.Error()
	u.log.Error("the update is rolled back", "version", u.version, "why", why)
	if err := u.writeRecord(); err != nil {
		u.log.Error("why the update is rolled back cannot be kept", "err", err)
	}
	if err := u.reboot(ctx); err != nil {
		u.log.Error("cannot restart; init will, when the trial's time is over", "err", err, "time", card.TrialTime)
	}
}

// state is the part of /state.
func (u *updates) state() any {
	u.mu.Lock()
	defer u.mu.Unlock()
	return struct {
		Phase   updatePhase   `json:"phase"`
		Message string        `json:"message,omitempty"` // for people
		Last    *updateRecord `json:"last,omitempty"`
	}{u.phase, u.message(), u.lastRecord()}
}

// lastRecord is a copy.
func (u *updates) lastRecord() *updateRecord {
	if u.record == nil {
		return nil
	}
	r := *u.record
	return &r
}

func (u *updates) message() string {
	switch u.phase {
	case updateReceiving:
		return fmt.Sprintf("an update arrives, %d %%", 100*u.done/max(u.total, 1))
	case updateRestarting:
		return "restarting, because of an update"
	case updateTrial:
		return "the update to " + u.version + " is on trial: " + cmp.Or(u.waiting, "it begins")
	}
	if r := u.record; r != nil && r.State == updateRolledBack {
		return "the update to " + r.To + " was rolled back: " + r.Why
	}
	return ""
}

// updateDeadline is how long it may take to restart.
const updateDeadline = 10 * time.Second
