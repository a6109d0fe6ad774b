package main

import (
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

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2"
	"github.com/pushcam/pushcam/gokrazy/durable"
)

// settings is what the owner has changed while the program ran. It is kept in a
// file, and written so that a power cut leaves the old one or the new one.
type settings struct {
	log    *slog.Logger
	dir    string // "" keeps nothing
	button bool   // there is one for privacy

	mu      sync.Mutex
	values  values
	unknown string // why it is not known whether the camera may be open
	trouble string // what keeps the settings from being read or kept
}

type values struct {
	Privacy  bool          `json:"privacy"`
	Controls v4l2.Controls `json:"controls,omitempty"` // of the camera
}

const (
	settingsFile = "settings.json"
	// badFile is what a damaged settingsFile is set aside as. As long as it stands
	// there alone, nobody has said since whether the camera may be open.
	badFile = settingsFile + ".bad"
)

// maxSettings bounds what is read; a larger file is not ours.
const maxSettings = 64 << 10 // bytes

// openSettings reads the settings in dir. If there are some and they cannot be
// understood, they are set aside and the defaults serve, but for the camera: it
// may have been closed, and is so until its owner opens it.
func openSettings(dir string, button bool, log *slog.Logger) *settings {
	s := &settings{log: log, dir: dir, button: button}
	if dir == "" {
		s.report("there is no folder for settings: they last until the program ends; see -state-dir")
		return s
	}
	if err := s.read(); err != nil {
		s.values = values{Privacy: true}
		s.unknown = err.Error()
		s.report(s.unknown)
	} else if err := s.try(); err != nil {
		s.report("the settings cannot be kept, and last until the program ends: " + err.Error())
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

// report makes known what is wrong.
func (s *settings) report(trouble string) {
	s.trouble = trouble
	s.log.Warn(trouble)
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

// togglePrivacy closes the camera or opens it. That this cannot be kept is said,
// and it serves until the program ends.
func (s *settings) togglePrivacy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values.Privacy = !s.values.Privacy
	s.unknown = ""
	s.keep()
}

// controls are the camera's that the owner has set.
func (s *settings) controls() v4l2.Controls {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.values.Controls)
}

// setControls keeps them as togglePrivacy does.
func (s *settings) setControls(c v4l2.Controls) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values.Controls = maps.Clone(c)
	s.keep()
}

// keep writes the settings, or says why it cannot. s.mu is held.
func (s *settings) keep() {
	if s.dir != "" {
		s.trouble = ""
		if err := s.write(); err != nil {
			s.report("the settings cannot be kept, and last until the program ends: " + err.Error())
		}
	}
}

// write replaces the file. s.mu is held.
func (s *settings) write() error {
	return durable.WriteJSON(filepath.Join(s.dir, settingsFile), s.values)
}

// try finds out whether write would work, before the owner relies on it.
func (s *settings) try() error {
	data, err := json.Marshal(s.values)
	if err != nil {
		return err
	}
	f, err := durable.Create(filepath.Join(s.dir, settingsFile), int64(len(data)))
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// state is the part of /state.
func (s *settings) state() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return struct {
		values
		Trouble string `json:"trouble,omitempty"`
	}{s.values, s.trouble}
}
