package update

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/pushcam/pushcam/gokrazy/durable"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
	"github.com/pushcam/pushcam/gokrazy/words"
)

// Origin is where a camera has a key from.
type Origin string

const (
	FromCard    Origin = "card"       // the computer that made the card
	FromUpdate  Origin = "update"     // the first update, or one that the button has allowed
	FromRelease Origin = "release"    // the root file system that runs
	FromSetting Origin = "update-key" // the setting of that name, as in pushcam.txt
)

// TrustedKey is a key by which updates are taken.
type TrustedKey struct {
	Fingerprint string `json:"fingerprint"` // as ssh-keygen -l shows it
	Comment     string `json:"comment,omitempty"`
	From        Origin `json:"from"`

	key signed.Key
}

func (s *Server) keysFile() string { return filepath.Join(s.Dir, signed.KeysFile) }

// removedFile has the keys of releases that were taken away: the file of a root file
// system cannot be changed.
func (s *Server) removedFile() string { return filepath.Join(s.Dir, "update-keys-removed") }

// count makes known of what was read. A key that is in several places is there once.
func (t *trust) count() {
	t.known = nil
	add := func(e signed.Entry, from Origin) {
		if !t.knows(e.Key) {
			t.known = append(t.known, TrustedKey{e.Fingerprint(), e.Comment, from, e.Key})
		}
	}
	for _, e := range t.settings {
		add(e, FromSetting)
	}
	for _, e := range t.release {
		if !has(t.removed, e.Key) {
			add(e, FromRelease)
		}
	}
	for _, e := range t.kept {
		from := FromCard
		if e.Comment != "" { // by howItCame
			from = FromUpdate
		}
		add(e, from)
	}
}

func (t *trust) knows(key signed.Key) bool {
	return slices.ContainsFunc(t.known, func(k TrustedKey) bool { return k.key == key })
}

func has(all []signed.Entry, key signed.Key) bool {
	return slices.ContainsFunc(all, func(e signed.Entry) bool { return e.Key == key })
}

func without(all []signed.Entry, key signed.Key) []signed.Entry {
	return slices.DeleteFunc(slices.Clone(all), func(e signed.Entry) bool { return e.Key == key })
}

// howItCame is the comment of a key that an update has brought.
func (s *Server) howItCame(from string, button bool) string {
	if host, _, err := net.SplitHostPort(from); err == nil {
		from = host
	}
	how := "of the first signed update"
	if button {
		how = "allowed by the button"
	}
	s.mu.Lock()
	built := s.status.Built
	s.mu.Unlock()
	if now := time.Now(); now.After(built) { // else nobody has told this camera the time yet
		how += " on " + now.UTC().Format(time.DateOnly)
	}
	return how + ", from " + from
}

func (s *Server) listKeys(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	keys := append([]TrustedKey{}, s.trust.known...) // in JSON a list, also if it is empty
	asks := s.trust.asks()
	s.mu.Unlock()
	answerJSON(w, r, map[string]any{"signed": asks, "keys": keys})
}

var (
	errNoSuchKey = errors.New("this camera knows no key with that fingerprint; GET " + Path + keysPath + " lists those that it knows")
	errLastKey   = errors.New("this is the only key that the camera knows: without it no update is taken until its button is pressed three times, or update-key= is in pushcam.txt on its card; say last=yes if that is what you want")
	errSetting   = errors.New("this key is in a setting: take update-key= out of pushcam.txt on the card")
)

// removeKey takes a key away, at once and for good. After the last one the camera does not
// take everything, as one that has never known a key does: then the password alone would
// be enough to put anything onto it.
func (s *Server) removeKey(w http.ResponseWriter, r *http.Request) {
	if code, err := s.enter(Receiving, 0); err != nil {
		words.Error(w, r, sentence(err), code)
		return
	}
	defer s.setPhase(Idle)
	fingerprint := r.URL.Query().Get("key")
	if err := s.forget(fingerprint, r.URL.Query().Get("last") == "yes"); err != nil {
		code := http.StatusConflict
		switch {
		case errors.Is(err, errNoSuchKey):
			code = http.StatusNotFound
		case statusOf(err) != 0:
			code = statusOf(err)
		case !errors.Is(err, errLastKey) && !errors.Is(err, errSetting):
			code = http.StatusInternalServerError
		}
		words.Error(w, r, sentence(err), code)
		return
	}
	s.Log.Warn("a key for updates was taken away", "from", r.RemoteAddr, "key", fingerprint)
	w.WriteHeader(http.StatusNoContent)
}

// forget belongs to a request that has entered.
func (s *Server) forget(fingerprint string, mayBeLast bool) error {
	s.mu.Lock()
	t := s.trust
	s.mu.Unlock()
	i := slices.IndexFunc(t.known, func(k TrustedKey) bool { return k.Fingerprint == fingerprint })
	switch {
	case i < 0:
		return errNoSuchKey
	case t.known[i].From == FromSetting:
		return errSetting
	case len(t.known) == 1 && !mayBeLast:
		return errLastKey
	}
	key := t.known[i].key
	if has(t.release, key) && !has(t.removed, key) {
		t.removed = append(slices.Clip(t.removed), signed.Entry{Key: key})
		if err := durable.WriteFile(s.removedFile(), signed.FormatKeys(t.removed)); err != nil {
			return fmt.Errorf("it cannot be kept that the key was taken away: %w", err)
		}
	}
	t.kept = without(t.kept, key)
	t.count()
	if len(t.known) == 0 {
		t.unknown = signed.ErrNoKeys
	}
	text := signed.FormatKeys(t.kept)
	if len(t.kept) == 0 {
		text = []byte("# All keys that were here have been taken away.\n")
	}
	if err := durable.WriteFile(s.keysFile(), text); err != nil {
		return fmt.Errorf("it cannot be kept that the key was taken away: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trust.kept, s.trust.removed, s.trust.known, s.trust.unknown = t.kept, t.removed, t.known, t.unknown
	if s.trust.signer == key {
		s.trust.manifest, s.trust.signer = nil, ""
	}
	for part, sent := range s.sent {
		if sent.by != nil {
			delete(s.sent, part) // perhaps by that key: who sends the rest sends these again
		}
	}
	s.status.Signed = s.trust.asks()
	return nil
}
