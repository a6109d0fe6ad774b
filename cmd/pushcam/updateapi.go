package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/update/card"
)

// The owner's answers about updates, below /api/update. Each part is uploaded
// whole, with its SHA-256 as Content-Digest (RFC 9530), and then tried, which
// names the digests of what is meant:
//
//	GET  /api/update          updateStatus
//	PUT  /api/update/root     a root file system
//	PUT  /api/update/boot     a boot partition, for a new kernel
//	POST /api/update/try      ?root=DIGEST, and &boot=DIGEST if that came
const (
	updatePath = "/api/update/"
	partRoot   = "root"
	partBoot   = "boot"
)

// updateStatus is what who sends an update wants to know.
type updateStatus struct {
	Phase    updatePhase   `json:"phase"`
	Message  string        `json:"message,omitempty"`
	Trouble  string        `json:"trouble,omitempty"` // why updates are not possible
	Hostname string        `json:"hostname"`
	Version  string        `json:"version"`
	Built    time.Time     `json:"built"` // the time of its commit
	Arch     string        `json:"arch"`
	Kernel   string        `json:"kernel"`   // release
	Root     int           `json:"root"`     // number of the partition that runs
	MaxRoot  int64         `json:"max_root"` // bytes
	MaxBoot  int64         `json:"max_boot"`
	Last     *updateRecord `json:"last,omitempty"`
}

func (u *updates) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path+"/", updatePath), "/")
	routes := map[string]struct {
		method string
		answer http.HandlerFunc
	}{
		"":       {http.MethodGet, u.status},
		partRoot: {http.MethodPut, u.put},
		partBoot: {http.MethodPut, u.put},
		"try":    {http.MethodPost, u.try},
	}
	route, ok := routes[path]
	switch {
	case !ok:
		http.NotFound(w, r)
	case r.Method != route.method:
		w.Header().Set("Allow", route.method)
		http.Error(w, fmt.Sprintf("%s takes %s, not %s", r.URL.Path, route.method, r.Method), http.StatusMethodNotAllowed)
	default:
		route.answer(w, r)
	}
}

func (u *updates) status(w http.ResponseWriter, _ *http.Request) {
	u.mu.Lock()
	s := updateStatus{Phase: u.phase, Message: u.message(), Version: u.version, Arch: runtime.GOARCH, Root: u.boot.Running, Last: u.lastRecord()}
	err := u.trouble
	u.mu.Unlock()
	if err == nil {
		s.MaxRoot, s.MaxBoot, err = u.card.Room()
	}
	if err == nil {
		s.Kernel, err = u.card.Root.KernelRelease()
	}
	if err == nil {
		var root *partition.Root
		if root, err = u.card.Running(); err == nil {
			s.Built, s.Hostname = root.Built, root.Hostname
		}
	}
	if err != nil {
		s.Trouble = err.Error()
	}
	answerJSON(w, s)
}

func answerJSON(w http.ResponseWriter, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(text, '\n')) // a client that is gone has nobody to tell
}

// enter makes this the one thing that is done with updates, or says why not.
// leave follows.
func (u *updates) enter(phase updatePhase, total int64) (code int, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.trouble != nil:
		return http.StatusServiceUnavailable, fmt.Errorf("updates are not possible here: %w", u.trouble)
	case u.phase == updateStarting:
		return http.StatusConflict, errors.New("the program has only just begun: try again in a moment")
	case u.phase == updateTrial:
		return http.StatusConflict, errors.New("an update is on trial: wait until it is committed or rolled back")
	case u.phase != updateIdle:
		return http.StatusConflict, errors.New("another update is under way")
	}
	u.phase, u.done, u.total = phase, 0, total
	return 0, nil
}

func (u *updates) leave() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.phase = updateIdle
}

// put takes a part. A client that goes away halfway leaves what runs as it is.
func (u *updates) put(w http.ResponseWriter, r *http.Request) {
	part := filepath.Base(r.URL.Path)
	sum, err := contentDigest(r.Header)
	switch {
	case err != nil:
		http.Error(w, sentence(err), http.StatusBadRequest)
		return
	case r.ContentLength <= 0:
		http.Error(w, "An upload needs its length (Content-Length)", http.StatusLengthRequired)
		return
	}
	if code, err := u.enter(updateReceiving, r.ContentLength); err != nil {
		http.Error(w, sentence(err), code)
		return
	}
	defer u.leave()
	u.mu.Lock()
	delete(u.sent, part)
	u.mu.Unlock()
	body := &countedReader{r.Body, u}
	if part == partRoot {
		err = u.card.WriteRoot(body, r.ContentLength, sum)
	} else {
		err = u.keepBoot(body, r.ContentLength, sum)
	}
	if err != nil {
		u.log.Warn("an upload failed", "part", part, "err", err)
		http.Error(w, sentence(err), statusOf(err))
		return
	}
	digest := fmt.Sprintf("%x", sum)
	u.mu.Lock()
	u.sent[part] = digest
	if part == partRoot {
		u.size = r.ContentLength
	}
	u.mu.Unlock()
	u.log.Info("uploaded", "part", part, "bytes", r.ContentLength, "sha256", digest)
	w.WriteHeader(http.StatusNoContent)
}

// keepBoot keeps a boot partition on /perm: it goes to its place when the network
// is not needed any more.
func (u *updates) keepBoot(body io.Reader, size int64, sum [sha256.Size]byte) (err error) {
	_, room, err := u.card.Room()
	if err != nil {
		return err
	}
	if size > room {
		return fmt.Errorf("%w: a boot partition of %.1f MB has no room in %.1f MB", card.ErrNotFit, float64(size)/1e6, float64(room)/1e6)
	}
	f, err := os.Create(filepath.Join(u.dir, bootFile))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	arrived := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, arrived), body, size)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if [sha256.Size]byte(arrived.Sum(nil)) != sum {
		return fmt.Errorf("%w: what arrived is not what was sent", card.ErrDamaged)
	}
	return nil
}

// try looks into what has arrived, has the next boot take it once, and restarts.
func (u *updates) try(w http.ResponseWriter, r *http.Request) {
	if code, err := u.enter(updateRestarting, 0); err != nil {
		http.Error(w, sentence(err), code)
		return
	}
	u.mu.Lock()
	want := map[string]string{partRoot: r.URL.Query().Get(partRoot), partBoot: r.URL.Query().Get(partBoot)}
	there := want[partRoot] != "" && want[partRoot] == u.sent[partRoot] && (want[partBoot] == "" || want[partBoot] == u.sent[partBoot])
	u.mu.Unlock()
	err := errNotThere
	if there {
		err = u.arm(r.Context(), want[partBoot] != "")
	}
	if err != nil {
		u.leave()
		u.log.Warn("the update is not tried", "err", err)
		http.Error(w, sentence(err), statusOf(err))
		return
	}
	u.mu.Lock()
	record := u.lastRecord()
	u.mu.Unlock()
	u.log.Info("restarting into an update", "version", record.To, "from", record.From, "kernel", record.Kernel)
	answerJSON(w, record)
	http.NewResponseController(w).Flush()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), updateDeadline)
	defer cancel()
	if err := u.reboot(ctx); err != nil {
		u.disarm(fmt.Errorf("it could not be restarted into: %w", err))
	}
}

var errNotThere = errors.New("what is to be tried is not what was uploaded last: upload it again")

// arm has the next boot try what has arrived.
func (u *updates) arm(ctx context.Context, withBoot bool) error {
	kernel, err := u.card.Root.KernelRelease()
	if err != nil {
		return err
	}
	image, next := filepath.Join(u.dir, bootFile), partition.Next{Root: u.boot.Running, Try: true}
	record := &updateRecord{ID: rand.Text(), State: updateTrying, From: u.version, Root: partition.OtherRoot(u.boot.Running)}
	if withBoot {
		if kernel, err = u.card.CheckBoot(image); err != nil {
			return err
		}
		record.Kernel = kernel
	}
	root, err := u.card.CheckRoot(u.size, kernel)
	if err != nil {
		return err
	}
	record.To = root.Version
	if !u.health.closed() {
		ctx, cancel := context.WithTimeout(ctx, pictureTime)
		record.Camera = u.health.picture(ctx) == nil
		cancel()
	}
	u.mu.Lock()
	before := u.record
	u.record = record
	if err = u.writeRecord(); err != nil {
		u.record = before
	}
	u.mu.Unlock()
	if err != nil {
		return fmt.Errorf("what becomes of the update cannot be kept: %w", err)
	}
	// Not locked: this takes a while, and nothing else happens to the card in this
	// phase.
	if withBoot {
		if err = u.card.SaveBoot(filepath.Join(u.dir, savedBoot)); err == nil {
			err = u.card.WriteBoot(image, next)
		}
	} else {
		err = u.card.SetNext(next)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		u.undo(err)
		return err
	}
	u.boot.Next = next
	return nil
}

// disarm takes back what arm did.
func (u *updates) disarm(why error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.phase = updateIdle
	u.log.Error("the update is not tried", "err", why)
	u.undo(why)
}

func (u *updates) undo(why error) {
	u.record.State, u.record.Why = updateRolledBack, why.Error()
	if err := u.writeRecord(); err != nil {
		u.log.Error("what became of the update cannot be kept", "err", err)
	}
	next := partition.Next{Root: u.boot.Running}
	var err error
	if saved := filepath.Join(u.dir, savedBoot); u.record.Kernel != "" {
		if err = u.card.WriteBoot(saved, next); errors.Is(err, os.ErrNotExist) {
			err = nil // it was not saved, and so not changed
		}
	} else {
		err = u.card.SetNext(next)
	}
	if err != nil {
		u.trouble = err
		u.log.Error("the card cannot be brought back to what it was", "err", err)
		return
	}
	u.boot.Next = next
	u.removeBoots()
}

// contentDigest reads sha-256=:BASE64:
func contentDigest(h http.Header) (sum [sha256.Size]byte, err error) {
	for field := range strings.SplitSeq(h.Get("Content-Digest"), ",") {
		text, ok := strings.CutPrefix(strings.TrimSpace(field), "sha-256=:")
		if !ok {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(text, ":"))
		if err == nil && len(b) == len(sum) {
			return [sha256.Size]byte(b), nil
		}
	}
	return sum, errors.New("an upload needs its SHA-256, as Content-Digest: sha-256=:…: (RFC 9530)")
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, errNotThere):
		return http.StatusConflict
	case errors.Is(err, card.ErrNotFit):
		return http.StatusUnprocessableEntity
	case errors.Is(err, syscall.ENOSPC):
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}

// sentence is an error for people.
func sentence(err error) string {
	if errors.Is(err, syscall.ENOSPC) {
		return "/perm is full: make room there, or write the card anew"
	}
	text := []byte(err.Error())
	return string(append(bytes.ToUpper(text[:1]), text[1:]...))
}

// countedReader tells how much has arrived.
type countedReader struct {
	io.Reader
	u *updates
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.u.mu.Lock()
	defer c.u.mu.Unlock()
	c.u.done += int64(n)
	return n, err
}
