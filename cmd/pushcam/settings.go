package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2"
	"github.com/pushcam/pushcam/gokrazy/durable"
	"github.com/pushcam/pushcam/pusher"
)

// settings is what the owner has changed while the program ran. A change serves at
// once. Only run writes it to its file, and nothing waits for that: a card may take
// seconds, or never answer.
type settings struct {
	log    *slog.Logger
	dir    string // "" keeps nothing
	button bool   // there is one for privacy
	save   func(values) error

	changed chan struct{} // holds one when there is something to keep
	mu      sync.Mutex    // never held while the card is waited for
	values  values
	changes int    // made since the start
	kept    int    // of them, those that the file has
	unknown string // why it is not known whether the camera may be open
	trouble string // what keeps the settings from being read or kept
}

type values struct {
	Privacy  bool          `json:"privacy"`
	Controls v4l2.Controls `json:"controls,omitempty"` // of the camera
	// OwnersAddresses are those from which the owner's password came.
	OwnersAddresses []string `json:"owners_addresses,omitempty"`
	// Page are flags that the owner has set on the page, by their names.
	Page map[string]string `json:"page,omitempty"`
	// SetUpViewing is who may look as the page of the set-up network said last, and is
	// among Page since: who has changed it later is not overruled.
	SetUpViewing string `json:"setup_viewing,omitempty"`
	// ViewerHash is that of a viewers' password that the owner has set there.
	ViewerHash string `json:"viewer_password,omitempty"`
	// Tokens are those that may look while viewing is closed.
	Tokens []pusher.Token `json:"tokens,omitempty"`
	// NetworkName is what the appliance is called on the network, as pushcam-2, if
	// another device had the host name first.
	NetworkName string `json:"network_name,omitempty"`
}

const (
	settingsFile = "settings.json"
	// badFile is what a damaged settingsFile is renamed to. While there is only
	// this one, nobody has said since whether the camera may be open.
	badFile = settingsFile + ".bad"
)

// maxSettings bounds what is read; a larger file is not ours.
const maxSettings = 64 << 10 // bytes

// openSettings reads the settings in dir. If the file is damaged, it is renamed and the
// defaults serve. But its owner may have closed the camera, so it stays closed until
// the owner opens it.
func openSettings(dir string, button bool, log *slog.Logger) *settings {
	s := &settings{log: log, dir: dir, button: button, changed: make(chan struct{}, 1)}
	s.save = func(v values) error { return durable.WriteJSON(filepath.Join(dir, settingsFile), v) }
	if dir == "" {
		s.report("there is no folder for settings: they last until the program ends; see -state-dir")
		return s
	}
	if err := s.read(); err != nil {
		s.values = values{Privacy: true}
		s.unknown = err.Error()
		s.report(s.unknown)
	}
	return s
}

// read returns nil if there are no settings yet.
func (s *settings) read() error {
	file, bad := filepath.Join(s.dir, settingsFile), filepath.Join(s.dir, badFile)
	data, err := durable.ReadFile(file, maxSettings)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		if _, err := os.Lstat(bad); err == nil {
			return fmt.Errorf("the settings were damaged, and are in %s", bad)
		}
		return nil
	}
	if err == nil {
		v := values{Privacy: true} // if it does not say
		if err = json.Unmarshal(data, &v); err == nil {
			s.values = v
			return nil
		}
	}
	if aside := os.Rename(file, bad); aside != nil {
		return fmt.Errorf("the settings are damaged (%w) and cannot be set aside (%w)", err, aside)
	}
	return fmt.Errorf("the settings were damaged (%w), and are in %s", err, bad)
}

// report makes known what is wrong; "" is nothing.
func (s *settings) report(trouble string) {
	s.mu.Lock()
	s.trouble = trouble
	s.mu.Unlock()
	if trouble != "" {
		s.log.Warn(trouble)
	}
}

// privacy says why the camera is to be closed; nil is open.
func (s *settings) privacy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.unknown != "" && s.button:
		return fmt.Errorf("the camera stays closed until you press its button shortly: %s", s.unknown)
	case s.unknown != "":
		return fmt.Errorf("the camera stays closed until you delete %s* and start pushcam again: %s", filepath.Join(s.dir, settingsFile), s.unknown)
	case s.values.Privacy:
		return camera.ErrPrivate
	}
	return nil
}

// togglePrivacy closes the camera or opens it.
func (s *settings) togglePrivacy() {
	s.change(func() {
		s.values.Privacy = !s.values.Privacy
		s.unknown = ""
	})
}

// privacySwitch closes the camera or opens it, for the button and for the API. Without its
// lock the camera could be left open by the one after the other has closed it.
type privacySwitch struct {
	settings *settings
	show     func(why error) // has the camera closed when it returns; nil is open

	mu sync.Mutex // held by a change
}

func (p *privacySwitch) set(closed bool) { p.change(func() { p.settings.setPrivacy(closed) }) }

func (p *privacySwitch) toggle() { p.change(p.settings.togglePrivacy) }

func (p *privacySwitch) change(what func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	what()
	p.show(p.settings.privacy())
}

// controls are the camera's that the owner has set.
func (s *settings) controls() v4l2.Controls {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.values.Controls)
}

// setControls replaces them.
func (s *settings) setControls(c v4l2.Controls) {
	s.change(func() { s.values.Controls = maps.Clone(c) })
}

// page are the flags that the owner has set on the page.
func (s *settings) page() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.values.Page)
}

// viewerHash is that of the viewers' password that the owner has set; or "".
func (s *settings) viewerHash() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values.ViewerHash
}

// setPage replaces both; it owns the map.
func (s *settings) setPage(page map[string]string, viewerHash string) {
	s.change(func() { s.values.Page, s.values.ViewerHash = page, viewerHash })
}

// takeViewing takes who may look from the page of the set-up network, once; "" is not asked.
// It tells whether that is another one.
func (s *settings) takeViewing(chosen string) bool {
	s.mu.Lock()
	taken := chosen == "" || s.values.SetUpViewing == chosen
	s.mu.Unlock()
	if taken {
		return false
	}
	s.change(func() {
		page := maps.Clone(s.values.Page)
		if page == nil {
			page = make(map[string]string)
		}
		page["viewing"] = chosen
		s.values.Page, s.values.SetUpViewing = page, chosen
	})
	return true
}

// lost says why what is changed does not last; "" if it does.
func (s *settings) lost() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble
}

// setPrivacy closes the camera or opens it.
func (s *settings) setPrivacy(closed bool) {
	s.change(func() {
		s.values.Privacy = closed
		s.unknown = ""
	})
}

// ownersAddresses are as pusher.Owner.Known wants them.
func (s *settings) ownersAddresses() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values.OwnersAddresses
}

// setOwnersAddresses replaces them; it owns the slice.
func (s *settings) setOwnersAddresses(addresses []string) {
	s.change(func() { s.values.OwnersAddresses = addresses })
}

// tokens are as pusher.Viewing.Tokens wants them.
func (s *settings) tokens() []pusher.Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values.Tokens
}

// setTokens replaces them; it owns the slice.
func (s *settings) setTokens(tokens []pusher.Token) {
	s.change(func() { s.values.Tokens = tokens })
}

// networkName is as discovery.Announcer.Kept wants it.
func (s *settings) networkName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values.NetworkName
}

// setNetworkName replaces it.
func (s *settings) setNetworkName(name string) {
	s.change(func() { s.values.NetworkName = name })
}

// change makes a change, which serves at once and is kept later. One that cannot be
// kept serves until the program ends.
func (s *settings) change(what func()) {
	s.mu.Lock()
	what()
	s.changes++
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default: // the newest values will be kept, and these are among them
	}
}

// keepTime is how long the card has for the last change, when the program ends:
// less than gokrazy gives it for that.
const keepTime = 1500 * time.Millisecond

// run keeps changes until ctx is done. A card that does not answer then is left to
// the end of the program.
func (s *settings) run(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.keepAll(ctx)
	}()
	<-ctx.Done()
	select {
	case <-ended:
	case <-time.After(keepTime):
		s.log.Warn("the card does not answer: the last change of the settings is lost")
	}
	return nil
}

func (s *settings) keepAll(ctx context.Context) {
	s.try()
	for ctx.Err() == nil {
		select {
		case <-s.changed:
			s.keep()
		case <-ctx.Done():
		}
	}
	s.keep() // what was changed last
}

const cannotKeep = "the settings cannot be kept, and last until the program ends: "

// keep writes the settings if the file does not have them, or says why it cannot.
func (s *settings) keep() {
	s.mu.Lock()
	v, n, done := s.values, s.changes, s.dir == "" || s.changes == s.kept
	s.mu.Unlock()
	if done {
		return
	}
	if err := s.save(v); err != nil {
		s.report(cannotKeep + err.Error())
		return
	}
	s.mu.Lock()
	s.kept = n
	s.mu.Unlock()
	s.report("")
}

// try says before the owner relies on it if nothing could be kept.
func (s *settings) try() {
	s.mu.Lock()
	skip := s.dir == "" || s.unknown != "" // of which worse is said already
	s.mu.Unlock()
	if skip {
		return
	}
	f, err := durable.Create(filepath.Join(s.dir, settingsFile), 4<<10)
	if err == nil {
		defer f.Discard()
		_, err = f.Write([]byte("\n"))
		err = errors.Join(err, f.Sync())
	}
	if err != nil {
		s.report(cannotKeep + err.Error())
	}
}

// unkept tells whether a power cut would take back the last change.
func (s *settings) unkept() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dir != "" && s.changes != s.kept
}

// state is the part of /state.
func (s *settings) state() any {
	unkept := s.unkept()
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.values
	v.OwnersAddresses = nil // is no viewer's business
	v.Tokens = nil          // neither
	v.Page = nil            // is among the flags
	v.ViewerHash = ""
	v.NetworkName = "" // is part of the network's state
	v.SetUpViewing = ""
	return struct {
		values
		Unkept  bool   `json:"unkept,omitempty"`
		Trouble string `json:"trouble,omitempty"`
	}{v, unkept, s.trouble}
}
