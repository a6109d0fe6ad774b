package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// settings is what the owner has changed while the program ran. It is kept in a
// file, and written so that a power cut leaves the old one or the new one.
type settings struct {
	log *slog.Logger
	dir string // "" keeps nothing

	mu      sync.Mutex
	values  values
	trouble string // what keeps them from being read or kept
}

type values struct {
	Privacy bool `json:"privacy"`
}

const settingsFile = "settings.json"

// maxSettings bounds what is read; a larger file is not ours.
const maxSettings = 64 << 10 // bytes

// openSettings reads the settings in dir. A file that cannot be understood is
// set aside as settings.json.bad, and the defaults serve.
func openSettings(dir string, log *slog.Logger) *settings {
	s := &settings{log: log, dir: dir}
	if dir == "" {
		s.report("there is no folder for settings: they last until the program ends; see -state-dir", nil)
		return s
	}
	file := filepath.Join(dir, settingsFile)
	data, err := readLimited(file, maxSettings)
	if errors.Is(err, fs.ErrNotExist) {
		return s
	}
	if err == nil {
		var v values
		if err = json.Unmarshal(data, &v); err == nil {
			s.values = v
			return s
		}
		if err := os.Rename(file, file+".bad"); err != nil {
			s.report("the settings that cannot be read are in the way", err)
			return s
		}
		s.report("the settings could not be understood and are now in "+file+".bad; the defaults serve", err)
		return s
	}
	s.report("the settings cannot be read; the defaults serve", err)
	return s
}

func readLimited(file string, limit int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s is no settings file", file)
	}
	return os.ReadFile(file)
}

func (s *settings) report(what string, err error) {
	s.trouble = what
	if err != nil {
		s.trouble += ": " + err.Error()
	}
	s.log.Warn(s.trouble)
}

func (s *settings) privacy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values.Privacy
}

// togglePrivacy returns the new value. That it cannot be kept is said, and it
// serves until the program ends.
func (s *settings) togglePrivacy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values.Privacy = !s.values.Privacy
	if s.dir != "" {
		s.trouble = ""
		if err := s.write(); err != nil {
			s.report("the settings cannot be kept", err)
		}
	}
	return s.values.Privacy
}

// write replaces the file by way of a temporary one. s.mu is held.
func (s *settings) write() error {
	data, err := json.MarshalIndent(s.values, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, settingsFile+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(data, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(s.dir, settingsFile)); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// syncDir makes a rename in dir last over a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrPermission) {
		err = nil // Windows knows no such thing
	}
	return errors.Join(err, d.Close())
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
