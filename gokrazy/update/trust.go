package update

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/pushcam/pushcam/gokrazy/durable"
	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
	"github.com/pushcam/pushcam/gokrazy/words"
)

const (
	maxKeys = 64 << 10 // bytes
	// windowTime is how long everybody who knows the password may update after a person
	// was at the camera.
	windowTime = 10 * time.Minute
)

// ErrUntrusted is wrapped by errors that mean that nobody whom the camera trusts has
// signed what was sent.
var ErrUntrusted = errors.New("this camera takes updates only from whom it knows")

// untrusted says what was sent, and what to do; key is the one that has signed it, if any.
func untrusted(what string, key signed.Key) error {
	line := "update-key= and the key that a newer pushcamctl names"
	if key != "" {
		line = "update-key=" + string(key)
	}
	return fmt.Errorf("%w, and %s: update it from the computer that made its card or that has updated it before; or press its button three times for a second each, and send the update again within %.0f minutes; "+
		"or, without a button, write %s into pushcam.txt on its card", ErrUntrusted, what, windowTime.Minutes(), line)
}

// trust is whom a Server takes updates from. Server.mu guards it.
//
// A camera that knows no key, as one whose card is of before there were any, takes what
// comes with the owner's password, as it did before, and keeps the key of the first signed
// update: to refuse that one would leave the owner without updates, and would not make
// the camera safer than it was until then.
type trust struct {
	settings []signed.Entry // Server.Keys
	release  []signed.Entry // of signed.RootFile
	kept     []signed.Entry // of signed.KeysFile
	removed  []signed.Entry // those of a release that do not count
	known    []TrustedKey   // those that count, of all of them
	unknown  error          // there are keys that cannot be read, or all were taken away

	until    time.Time        // when the window closes that a person at the camera has opened
	window   *time.Timer      // closes it; nil if it is closed
	manifest *signed.Manifest // of what may be uploaded, if it is signed
	signer   signed.Key
}

// readKeys reads whom this camera trusts.
func (s *Server) readKeys() {
	t := trust{settings: s.Keys}
	read := func(path string) (keys []signed.Entry, lost bool) {
		text, err := durable.ReadFile(path, maxKeys)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, false
		}
		if err == nil {
			keys, err = signed.ParseKeys(text)
		}
		if err == nil {
			return keys, false
		}
		t.unknown = fmt.Errorf("%s: %w", path, err)
		if path != s.keysFile() || !errors.Is(err, signed.ErrNoKeys) {
			s.Log.Error("keys of whom updates are taken are lost", "err", t.unknown)
		}
		return keys, true
	}
	t.kept, _ = read(s.keysFile())
	t.release, _ = read(s.Card.Root.Path(signed.RootFile))
	lost := false
	if t.removed, lost = read(s.removedFile()); lost {
		t.release = nil // one of them may be a key that was taken away
	}
	t.count()
	switch {
	case len(t.known) > 0:
	case t.unknown == nil:
		s.Log.Warn("this camera knows no key for updates yet, so it takes all that come with the owner's password; the next pushcamctl update makes it know that computer")
	default:
		s.Log.Warn("no update is taken, because all keys were taken away or lost: press the button three times, or write update-key= into pushcam.txt")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.until, t.window = s.trust.until, s.trust.window // the button may have been quicker than the card
	s.trust = t
	s.status.Signed = t.asks()
}

// asks tells whether updates have to be signed.
func (t *trust) asks() bool { return len(t.known) > 0 || t.unknown != nil }

// open tells whether a person at the camera allows everything.
func (t *trust) open() bool { return time.Now().Before(t.until) }

// OpenWindow has the camera take an update of whoever sends the owner's password, for
// some minutes, and know that one from then on. It is for a person who is at the camera.
func (s *Server) OpenWindow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trust.window != nil {
		s.trust.window.Stop()
	}
	s.trust.until = time.Now().Add(windowTime)
	s.trust.window = time.AfterFunc(windowTime, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.trust.open() { // else the button has opened it anew, just before
			s.closeWindow()
		}
	})
	s.ShowWindow(true)
	s.Log.Warn("the button allows one update by somebody whom this camera does not know", "until", s.trust.until)
}

// closeWindow is called when the window has served, or its time is over. s.mu is held.
func (s *Server) closeWindow() {
	if s.trust.window != nil {
		s.trust.window.Stop()
		s.trust.until, s.trust.window = time.Time{}, nil
		s.ShowWindow(false)
	}
}

// putManifest takes what an update says of itself, before its parts may come.
func (s *Server) putManifest(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, signed.MaxSize))
	if err != nil {
		words.Error(w, r, sentence(fmt.Errorf("the update's signature did not arrive: %w", err)), http.StatusBadRequest)
		return
	}
	if code, err := s.enter(Receiving, 0); err != nil {
		words.Error(w, r, sentence(err), code)
		return
	}
	defer s.setPhase(Idle)
	m, key, err := signed.Open(text)
	if err == nil {
		err = s.accept(m, key, r.RemoteAddr)
	}
	if err != nil {
		s.Log.Warn("a signed update is refused", "from", r.RemoteAddr, "key", key.Fingerprint(), "err", err)
		words.Error(w, r, sentence(err), cmp.Or(statusOf(err), http.StatusUnprocessableEntity))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// accept makes a manifest the one of what may be uploaded, if it is for this camera and
// signed by whom it trusts. From whoever may be new here the key is kept. It belongs to
// a request that has entered.
func (s *Server) accept(m *signed.Manifest, key signed.Key, from string) error {
	switch {
	case m.Arch != runtime.GOARCH:
		return fmt.Errorf("the update is for %s, and this is %s", m.Arch, runtime.GOARCH)
	case m.Camera != "" && m.Camera != s.ID:
		return errors.New("the update was signed for another camera")
	}
	s.mu.Lock()
	t := s.trust
	s.mu.Unlock()
	stranger := !t.knows(key)
	if stranger {
		if t.asks() && !t.open() {
			return untrusted("this one is signed by the key "+key.Fingerprint(), key)
		}
		t.kept = append(slices.Clip(t.kept), signed.Entry{Key: key, Comment: s.howItCame(from, t.open())})
		if err := durable.WriteFile(s.keysFile(), signed.FormatKeys(t.kept)); err != nil {
			return fmt.Errorf("the key that has signed the update cannot be kept: %w", err)
		}
		t.count()
		s.Log.Warn("updates are taken from another one from now on", "from", from, "key", key.Fingerprint(), "button", t.open())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if stranger {
		s.closeWindow()
		s.trust.unknown = nil // the file is whole again
	}
	s.trust.known, s.trust.kept = t.known, t.kept
	s.trust.manifest, s.trust.signer = m, key
	s.status.Signed = true
	return nil
}

// content is a part as the manifest that was accepted names it.
func content(m *signed.Manifest, part Part) *signed.Content {
	if part == Boot {
		return &m.Boot
	}
	return &m.Root
}

// covers returns the manifest by which a part may be uploaded, or nil if it may be without
// one.
func (s *Server) covers(part Part, size int64, sum signed.Digest) (*signed.Manifest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.trust
	if t.manifest != nil {
		if c := content(t.manifest, part); c.Size == size && c.SHA256 == sum {
			return t.manifest, nil
		}
	}
	return nil, t.unsigned(part)
}

// unsigned returns nil if what nobody has signed is taken now.
func (t *trust) unsigned(part Part) error {
	switch {
	case !t.asks(), t.open():
		return nil
	case t.manifest != nil:
		return untrusted(fmt.Sprintf("what is sent as %s is not what was signed", part), "")
	}
	return untrusted("this one is not signed", "")
}

// mayTry returns the manifest of what is to be tried, or nil if it needs none, and an error
// unless all of it came by one manifest.
func (s *Server) mayTry(root, boot string) (m *signed.Manifest, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, b := s.sent[Root], s.sent[Boot]
	switch {
	case root == "" || root != r.digest, boot != "" && (boot != b.digest || r.by != b.by):
		return nil, errNotThere
	case r.by == nil:
		return nil, s.trust.unsigned(Root)
	}
	return r.by, nil
}

// agrees looks whether a root file system is the one that a manifest speaks of: its bytes
// are, and so the words must be.
func agrees(root *partition.Root, m *signed.Manifest) error {
	if m != nil && (root.Version != m.Version || !root.Built.Equal(m.Built)) {
		return fmt.Errorf("%w: it is signed as %s of %v, and is %s of %v", ErrUntrusted, m.Version, m.Built, root.Version, root.Built)
	}
	return nil
}
