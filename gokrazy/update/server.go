package update

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pushcam/pushcam/gokrazy/network/firmware"
	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/update/card"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
	"github.com/pushcam/pushcam/gokrazy/words"
)

// Server takes updates on the camera, tries them and decides about them.
//
// A new root file system goes to the partition that does not run, and the next boot
// is told to take it once. That boot is its trial. It is committed when all was well
// for a while; whatever else happens, the boot after it takes the old root again.
type Server struct {
	Card    *card.Card
	Dir     string // for the record, and for boot partitions on their way
	Version string // of this program
	ID      string // of the camera (device.ID); empty if it has none
	// Hostname is the camera's name. KeepsName is set as soon as the camera has it on
	// /perm, and so keeps it whatever name an update's root file system is made for.
	Hostname  string
	KeepsName atomic.Bool
	Chips     []string // as in Status
	Health    Health
	// Reboot has the system restart, and returns before that ends this program.
	Reboot func(context.Context) error
	// ShowTrial tells the LEDs that a trial begins or was good.
	ShowTrial func(bool)
	// Keys are of whom updates are taken, beside those of signed.KeysFile and of
	// the root file system.
	Keys []signed.Entry
	// ShowWindow tells the LEDs that OpenWindow allows something, or does not any more.
	// It is called with a lock held.
	ShowWindow func(bool)
	// LastLines are the last whole lines of the program's log, of max bytes at most. nil
	// keeps none of a trial.
	LastLines func(max int) []byte
	Log       *slog.Logger

	// boot is what runs and what the next boot takes. It belongs to whoever has set
	// the phase to something else than Idle, and so does everything on the card and in
	// Dir: to Run while the phase is Starting or OnTrial, and else to one request.
	boot card.Boot
	// modules are the releases of the kernels that the running root file system has
	// modules for. It belongs to the same.
	modules []string

	// mu guards what follows, and is never held while a disk is read or written: a
	// card that hangs must not keep anybody from hearing that it does.
	mu      sync.Mutex
	status  Status // without message; what is constant in it is read once, in open
	trouble error  // why updates are not possible here
	done    int64  // bytes that have arrived
	total   int64
	waiting string            // what a trial is waiting for
	sent    map[Part]sentPart // what has arrived and is whole
	size    int64             // bytes of the root file system that has arrived
	trust   trust
}

// sentPart is a part that has arrived.
type sentPart struct {
	digest string
	by     *signed.Manifest // that names it; nil if it came without one
	signer signed.Key       // of that
}

const (
	bootFile  = "update-boot.img"        // a boot partition that has arrived
	savedBoot = "boot-before-update.img" // a copy of the one that it replaces
	// spareRoom is how many bytes an update leaves free on /perm for everything
	// else that is kept there.
	spareRoom = 1 << 20
	// rebootTime is how long the system may take to begin a restart.
	rebootTime = 10 * time.Second
)

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path+"/", Path), "/")
	type methods map[string]http.HandlerFunc
	routes := map[string]methods{
		"":           {http.MethodGet: func(w http.ResponseWriter, r *http.Request) { answerJSON(w, r, s.now()) }},
		keysPath:     {http.MethodGet: s.listKeys, http.MethodDelete: s.removeKey},
		manifestPath: {http.MethodPut: s.putManifest},
		string(Root): {http.MethodPut: s.put},
		string(Boot): {http.MethodPut: s.put},
		tryPath:      {http.MethodPost: s.try},
	}
	route := routes[path]
	switch answer := route[r.Method]; {
	case route == nil:
		http.NotFound(w, r)
	case answer == nil:
		allow := strings.Join(slices.Sorted(maps.Keys(route)), ", ")
		w.Header().Set("Allow", allow)
		words.Error(w, r, fmt.Sprintf("%s takes %s, not %s", r.URL.Path, allow, r.Method), http.StatusMethodNotAllowed)
	default:
		answer(w, r)
	}
}

// State is the part of /state. It waits for no disk.
func (s *Server) State() State { return s.now().State }

// now is the Status of this moment.
func (s *Server) now() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.status
	status.Message, status.ID, status.Version, status.Arch = s.message(), s.ID, s.Version, runtime.GOARCH
	status.Hostname, status.KeepsName, status.Chips = s.Hostname, s.KeepsName.Load(), s.Chips
	status.TakesSigned, status.Keys = true, nil
	for _, key := range s.trust.known {
		status.Keys = append(status.Keys, key.Fingerprint)
	}
	if s.trouble != nil {
		status.Trouble = s.trouble.Error()
	}
	return status
}

// message says for people what happens. s.mu is held.
func (s *Server) message() string {
	switch s.status.Phase {
	case Receiving:
		return fmt.Sprintf("an update arrives, %d %%", 100*s.done/max(s.total, 1))
	case Restarting:
		return "restarting, because of an update"
	case OnTrial:
		return "the update to " + s.Version + " is on trial: " + s.waiting
	}
	if s.trust.open() {
		return "the button has been pressed for an update: for 10 minutes one is taken from whoever knows the password"
	}
	if r := s.status.Last; r != nil && r.Outcome == RolledBack {
		return "the update to " + r.To + " was rolled back: " + r.Why
	}
	return ""
}

func answerJSON(w http.ResponseWriter, r *http.Request, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	text = append(words.For(w, r).JSON(text), '\n')
	w.Header().Set("Content-Type", "application/json")
	// With its length the answer is whole once it was flushed, though the system
	// restarts before the handler returns.
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.Write(text) // a client that is gone has nobody to tell
}

// enter makes this request the only one that changes something, or says why it cannot
// be. After nil, the request ends by setPhase.
func (s *Server) enter(phase Phase, total int64) (code int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.trouble != nil:
		return http.StatusServiceUnavailable, fmt.Errorf("updates are not possible here: %w", s.trouble)
	case s.status.Phase == Starting:
		return http.StatusConflict, errors.New("the program has only just begun: try again in a moment")
	case s.status.Phase == OnTrial:
		return http.StatusConflict, errors.New("an update is on trial: wait until it is committed or rolled back")
	case s.status.Phase != Idle:
		return http.StatusConflict, errors.New("another update is under way")
	}
	s.status.Phase, s.done, s.total = phase, 0, total
	return 0, nil
}

func (s *Server) setPhase(phase Phase) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Phase = phase
}

// try looks into what has arrived, has the next boot take it once, and restarts.
func (s *Server) try(w http.ResponseWriter, r *http.Request) {
	if code, err := s.enter(Restarting, 0); err != nil {
		words.Error(w, r, sentence(err), code)
		return
	}
	query := r.URL.Query()
	root, boot := query.Get(string(Root)), query.Get(string(Boot))
	var record *Record
	m, err := s.mayTry(root, boot)
	if err == nil {
		record, err = s.arm(r.Context(), m, boot, query.Get(pictureWord) == noPicture)
	}
	if err != nil {
		s.setPhase(Idle)
		s.Log.Warn("the update is not tried", "err", err)
		words.Error(w, r, sentence(err), statusCode(err))
		return
	}
	s.Log.Info("restarting into an update", "version", record.To, "from", record.From, "kernel", record.Kernel, "picture", record.Camera, "key", record.Key)
	if record.Older {
		s.Log.Warn("the update goes back to an older version", "from", r.RemoteAddr, "version", record.To)
	}
	answerJSON(w, r, record)
	http.NewResponseController(w).Flush()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), rebootTime)
	defer cancel()
	if err := s.Reboot(ctx); err != nil {
		err = fmt.Errorf("it could not be restarted into: %w", err)
		s.Log.Error("the update is not tried", "err", err)
		s.disarm(record, err)
		s.setPhase(Idle)
	}
}

// arm has the next boot try what has arrived, unless ctx is done before the card
// is changed: a client that is gone cannot be told what the trial asks for. boot is the
// digest of the boot partition, "" if none is to be tried.
func (s *Server) arm(ctx context.Context, m *signed.Manifest, boot string, blind bool) (*Record, error) {
	running := s.now()
	record := &Record{ID: rand.Text(), Outcome: Undecided, From: s.Version, Root: partition.OtherRoot(running.Root)}
	image, kernel := filepath.Join(s.Dir, bootFile), running.Kernel
	var err error
	if boot != "" {
		if kernel, err = s.Card.CheckBoot(image, boot); err != nil {
			return nil, err
		}
		record.Kernel = kernel
	}
	s.mu.Lock()
	size := s.size
	s.mu.Unlock()
	root, err := s.Card.CheckRoot(size, kernel)
	if err != nil {
		return nil, err
	}
	if err := agrees(root, m); err != nil {
		return nil, err
	}
	record.To, record.Older = root.Version, root.Built.Before(running.Built)
	s.mu.Lock()
	if m != nil {
		record.Key = s.sent[Root].signer.Fingerprint()
	}
	s.mu.Unlock()
	record.Camera, err = s.givesPicture(ctx, blind)
	if noWiFi := s.keepsWiFi(size); noWiFi != nil && !blind && ctx.Err() == nil {
		if err != nil {
			noWiFi = fmt.Errorf("%w; and %w", noWiFi, err)
		}
		err = noWiFi
	}
	if err != nil {
		return nil, err
	}
	if boot != "" {
		if record.Saved, err = s.Card.SaveBoot(filepath.Join(s.Dir, savedBoot)); err != nil {
			s.removeImages() // else /perm would stay full
			return nil, fmt.Errorf("the present kernel cannot be kept: %w", err)
		}
	}
	if err := s.writeRecord(record); err != nil {
		return nil, fmt.Errorf("what becomes of the update cannot be kept: %w", err)
	}
	s.forgetLog()
	next := partition.Next{Root: running.Root, Try: true}
	switch err = ctx.Err(); {
	case err != nil:
		err = fmt.Errorf("who asked for it is gone: %w", err)
	case boot != "":
		var left []string
		if left, err = s.Card.ReplaceBoot(image, next); len(left) > 0 {
			s.Log.Warn("files of the boot partition are not taken over", "files", left)
		}
	default:
		err = s.Card.SetNext(next)
	}
	if err != nil {
		s.disarm(record, err)
		return nil, err
	}
	s.boot.Next = next
	s.mu.Lock()
	s.closeWindow() // it was for one
	s.mu.Unlock()
	return record, nil
}

// givesPicture tells whether the trial is to ask for a picture, which it is if the
// camera gives one now. If it gives none, that is an error unless blind is set, by
// which the owner decides to do without. If the request is cancelled meanwhile, it is
// not known what the camera gives, and that is an error too.
func (s *Server) givesPicture(ctx context.Context, blind bool) (bool, error) {
	err := errors.New("its owner has closed it")
	if !s.Health.Private() {
		looking, cancel := context.WithTimeout(ctx, pictureTime)
		err = s.Health.Picture(looking)
		cancel()
	}
	switch {
	case ctx.Err() != nil:
		return false, fmt.Errorf("who asked for it is gone: %w", ctx.Err())
	case err != nil && !blind:
		return false, fmt.Errorf("%w: %w", ErrNoPicture, err)
	}
	return err == nil, nil
}

// keepsWiFi returns nil if what has arrived has firmware for the board's radio.
func (s *Server) keepsWiFi(size int64) error {
	if len(s.Chips) == 0 {
		return nil
	}
	var lost []string
	err := s.Card.NewRoot(size, func(root io.ReaderAt) (err error) {
		lost, err = firmware.LostBy(root, s.Chips)
		return err
	})
	if err == nil && len(lost) > 0 {
		err = fmt.Errorf("%w: this update has no firmware for the chip %s, and what runs has it", ErrNoWiFi, strings.Join(lost, ", "))
	}
	return err
}

// disarm takes back what arm did.
func (s *Server) disarm(record *Record, why error) {
	r := *record
	r.Outcome, r.Why = RolledBack, why.Error()
	s.keepRecord(&r)
	next := partition.Next{Root: s.boot.Running}
	var err error
	if r.Saved != "" {
		err = s.Card.WriteBoot(filepath.Join(s.Dir, savedBoot), next)
	} else {
		err = s.Card.SetNext(next)
	}
	if err != nil {
		s.Log.Error("the card cannot be brought back to what it was", "err", err)
		s.mu.Lock()
		s.trouble = err
		s.mu.Unlock()
		return
	}
	s.boot.Next = next
	s.removeImages()
}

// sentence is an error as an answer for people.
func sentence(err error) string {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Sprintf("/perm is too full: %v; make room there, or write the image to a larger card", err)
	}
	text := []byte(err.Error())
	return string(append(bytes.ToUpper(text[:1]), text[1:]...))
}
