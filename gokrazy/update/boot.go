package update

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/pushcam/pushcam/gokrazy/durable"
	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/update/card"
)

const (
	recordFile = "update.json"
	maxRecord  = 64 << 10 // bytes
	logFile    = "update.log"
	maxLog     = 16 << 10 // bytes
)

// Run finds out whether this boot is the trial of an update, and decides about the
// update if it is. It returns after that, or when ctx is done. Requests that change
// something are refused until it knows what this boot is.
func (s *Server) Run(ctx context.Context) {
	s.open(ctx)
	s.tryIt(ctx)
}

// open finds out what this boot is, and finishes what the last update left undone. It
// also reads what is constant until the next boot, so that who only asks for the
// status does not wait for the card.
func (s *Server) open(ctx context.Context) {
	record := s.readRecord()
	s.mu.Lock()
	s.status.Last, s.sent = record, make(map[Part]sentPart)
	s.mu.Unlock()
	s.readKeys()
	phase := Idle
	boot, err := s.Card.Boot()
	if err != nil {
		boot, err = s.mendBoot(record, boot, err)
	}
	if s.boot = boot; err != nil {
		s.Log.Error("updates are not possible: it is not known what the card boots", "err", err)
	} else {
		trouble := s.inspect()
		if boot.Trial() {
			phase = s.begin(record)
		} else if phase, err = s.settle(ctx, record); err != nil {
			s.Log.Error("what the last update left cannot be put in order", "err", err)
		}
		err = cmp.Or(err, trouble)
	}
	said := s.readLog()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Phase, s.status.Root, s.trouble = phase, boot.Running, err
	if last := s.status.Last; last != nil && last.Outcome == RolledBack {
		s.status.Log = said
	}
}

// inspect reads what is constant until the next boot.
func (s *Server) inspect() error {
	var err error
	var now Status
	if now.MaxRoot, now.MaxBoot, err = s.Card.Room(); err != nil {
		return err
	}
	if now.Kernel, err = s.Card.Root.KernelRelease(); err != nil {
		return err
	}
	root, err := s.Card.Running()
	if err != nil {
		return err
	}
	now.Built, s.modules = root.Built, root.Kernels
	s.mu.Lock()
	defer s.mu.Unlock()
	now.State = s.status.State
	s.status = now
	return nil
}

// begin notes that the trial of an update begins.
func (s *Server) begin(last *Record) Phase {
	r := Record{Outcome: Undecided, To: s.Version, Root: s.boot.Running}
	if last != nil && last.Outcome == Undecided && last.Root == r.Root {
		r = *last
	}
	r.Starts++
	s.keepRecord(&r)
	s.wait("it begins")
	s.Log.Info("this update is on trial", "version", s.Version, "start", r.Starts)
	return OnTrial
}

// settle is for a boot that is no trial. It decides what became of the last update,
// and has the next boot take the root that runs.
func (s *Server) settle(ctx context.Context, last *Record) (Phase, error) {
	next := partition.Next{Root: s.boot.Running}
	armed := s.boot.Next.Try
	if s.boot.Next != next {
		if err := s.Card.SetNext(next); err != nil {
			return Idle, err
		}
		s.boot.Next = next
	}
	if last != nil && last.Outcome == Undecided {
		r := *last
		switch {
		case s.boot.Running == r.Root:
			r.Outcome = Committed
		case armed:
			r.Outcome, r.Why = RolledBack, "the program ended before the restart into it"
		default:
			r.Outcome, r.Why = RolledBack, cmp.Or(r.Why, r.cause())
		}
		s.Log.Warn("an update is over", "version", r.To, "outcome", r.Outcome, "why", r.Why)
		s.keepRecord(&r)
		last = &r
	}
	if last != nil && last.Outcome == RolledBack && last.Kernel != "" {
		return s.restoreBoot(ctx, last)
	}
	if kernel := s.now().Kernel; kernel != "" && !slices.Contains(s.modules, kernel) {
		r := Record{Outcome: RolledBack} // of a new kernel, which was lost
		if last != nil {
			r = *last
		}
		r.Kernel, r.Saved = kernel, ""
		return s.restoreBoot(ctx, &r)
	}
	s.removeImages()
	return Idle, nil
}

// restoreBoot brings the old kernel back, because this root has the modules of that
// one only. A damaged copy of it is removed: each further update would fail over it,
// and without it the owner can send the kernel anew.
func (s *Server) restoreBoot(ctx context.Context, last *Record) (Phase, error) {
	saved := filepath.Join(s.Dir, savedBoot)
	kernel, err := s.Card.CheckCopy(saved, last.Saved)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it is back already, or was never replaced
		s.removeImages()
		return Idle, nil
	case errors.Is(err, card.ErrDamaged), errors.Is(err, card.ErrNotFit):
		r := *last
		r.Why += "; the old kernel is not brought back, because its copy is damaged: update the kernel again"
		s.Log.Error("the copy of the old boot partition is given up", "err", err)
		s.keepRecord(&r)
		s.removeImages()
		return Idle, nil
	case err != nil:
		return Idle, fmt.Errorf("the copy of the old boot partition: %w", err)
	}
	if err := s.Card.WriteBoot(saved, partition.Next{Root: s.boot.Running}); err != nil {
		return Idle, fmt.Errorf("restore the boot partition: %w", err)
	}
	gone := s.removeImages()
	switch running := s.now().Kernel; {
	case running != last.Kernel:
		return Idle, nil
	case running == kernel && !gone: // each boot from now on would look as this one
		return Idle, nil
	}
	s.Log.Warn("the old kernel is back on the card: starting anew with it")
	if err := s.Reboot(ctx); err != nil {
		return Idle, fmt.Errorf("restart with the old kernel: %w", err)
	}
	return Restarting, nil
}

// mendBoot is for a boot partition that cannot be read for some reason. If the program may
// have ended while it wrote that, it writes the copy back, because the next boot would not
// start; else it returns the reason.
func (s *Server) mendBoot(last *Record, boot card.Boot, why error) (card.Boot, error) {
	if last == nil || last.Kernel == "" || last.Outcome == Committed || boot.Running == 0 || boot.Running != boot.Kernel {
		return boot, why
	}
	saved := filepath.Join(s.Dir, savedBoot)
	if _, err := s.Card.CheckCopy(saved, last.Saved); err != nil {
		return boot, fmt.Errorf("%w; and of the copy: %w", why, err)
	}
	s.Log.Warn("the boot partition is half written: its copy is written back", "err", why)
	if err := s.Card.WriteBoot(saved, partition.Next{Root: boot.Running}); err != nil {
		return boot, fmt.Errorf("restore the boot partition: %w", err)
	}
	return s.Card.Boot()
}

// removeImages removes the boot partitions on /perm, and halves of them, and tells whether
// they are gone. What has arrived of a kernel cannot be tried any more.
func (s *Server) removeImages() (gone bool) {
	s.mu.Lock()
	delete(s.sent, Boot)
	s.mu.Unlock()
	gone = true
	for _, name := range []string{bootFile, savedBoot} {
		if err := durable.Remove(filepath.Join(s.Dir, name)); err != nil {
			s.Log.Warn("a file of the last update stays", "err", err)
			gone = false
		}
	}
	return gone
}

// commit has the next boots take the root that runs.
func (s *Server) commit() error {
	if err := s.Card.SetNext(partition.Next{Root: s.boot.Running}); err != nil {
		return fmt.Errorf("it is well, but cannot be committed: %w", err)
	}
	boot, err := s.Card.Boot()
	if err != nil || boot.Trial() {
		return fmt.Errorf("it is well, but not committed on the card: %w", cmp.Or(err, errors.New("the card names the old one")))
	}
	s.boot = boot
	r := *s.now().Last
	r.Outcome = Committed
	s.keepRecord(&r)
	s.removeImages()
	s.setPhase(Idle)
	s.Log.Info("the update is committed", "version", s.Version)
	return nil
}

// rollBack restarts, into the old system. If that fails, process 1 does it when the
// time of the trial is over (card.TrialWatchdog).
func (s *Server) rollBack(ctx context.Context, why error) {
	s.setPhase(Restarting)
	s.Log.Error("the update is rolled back", "version", s.Version, "why", why)
	r := *s.now().Last
	r.Why = why.Error()
	s.keepRecord(&r)
	s.keepLog()
	if err := s.Reboot(ctx); err != nil {
		s.Log.Error("cannot restart; init will, when the trial's time is over", "err", err, "time", card.TrialTime)
	}
}

// keepLog keeps the last lines that this trial has logged: the log itself is in memory,
// and ends with the trial.
func (s *Server) keepLog() {
	if s.LastLines == nil {
		return
	}
	if err := durable.WriteFile(filepath.Join(s.Dir, logFile), s.LastLines(maxLog)); err != nil {
		s.Log.Warn("what the update logged is not kept", "err", err)
	}
}

// readLog is what keepLog has kept.
func (s *Server) readLog() string {
	text, err := durable.ReadFile(filepath.Join(s.Dir, logFile), maxLog)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Log.Warn("what the last update logged cannot be read", "err", err)
	}
	return string(text)
}

// forgetLog is for an update that comes: what the one before it logged is not its own.
func (s *Server) forgetLog() {
	if err := os.Remove(filepath.Join(s.Dir, logFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Log.Warn("what the last update logged stays", "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Log = ""
}

// cause guesses why an update was rolled back that left no reason.
func (r *Record) cause() string {
	switch r.Starts {
	case 0:
		return "its program never began: its root file system could not be read, its init or its kernel failed, or the power did"
	case 1:
		return "it ended before it could say why: its program hung, its kernel failed, or the power did"
	}
	return fmt.Sprintf("its program began %d times and did not last", r.Starts)
}

// readRecord returns nil if there is no record, or none that can be understood.
func (s *Server) readRecord() *Record {
	data, err := durable.ReadFile(filepath.Join(s.Dir, recordFile), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	r := new(Record)
	if err == nil {
		err = json.Unmarshal(data, r)
	}
	if err != nil {
		s.Log.Warn("what became of the last update cannot be read", "err", err)
		return nil
	}
	return r
}

// writeRecord makes r the record of the last update; the caller does not change r any
// more. After an error the record is the one from before.
func (s *Server) writeRecord(r *Record) error {
	if err := durable.WriteJSON(filepath.Join(s.Dir, recordFile), r); err != nil {
		return err
	}
	s.setLast(r)
	return nil
}

// keepRecord is writeRecord for those who can only go on if that fails. Then r is
// known until the next boot.
func (s *Server) keepRecord(r *Record) {
	if err := s.writeRecord(r); err != nil {
		s.Log.Error("what became of the update cannot be kept", "outcome", r.Outcome, "err", err)
		s.setLast(r)
	}
}

func (s *Server) setLast(r *Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Last = r
}
