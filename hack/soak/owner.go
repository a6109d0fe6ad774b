//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// password is the owner's, where the program has one.
const password = "correct horse"

// settingsFile is what the program keeps of its owner's changes, below its root.
const settingsFile = "perm/pushcam/settings.json"

// prepareRoot makes the folder that is the program's root an appliance's, with an owner.
func (s *soak) prepareRoot() error {
	hash, err := device.HashPassword(password)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"gokrazy/init": "", "perm/" + device.OwnerFile: hash + "\n"} {
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	for _, name := range []string{"proc", "run", "tmp", "dev"} {
		if err := os.Mkdir(filepath.Join(s.dir, name), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// changeSettings has the owner change settings until ctx is done. Some of it fails, because
// the visitors have all connections, or the program is stopped.
func (s *soak) changeSettings(ctx context.Context, random *rand.Rand) {
	for rest(ctx, random, 0, 3*time.Second) {
		values := url.Values{"brightness": {fmt.Sprint(random.IntN(101))}}
		if random.IntN(2) == 0 {
			values.Set("rotate", fmt.Sprint(90*random.IntN(4)))
		}
		asking, cancel := context.WithTimeout(ctx, 10*time.Second)
		if s.setControls(asking, values) == nil {
			s.changes++
		}
		cancel()
	}
}

// setControls sends the owner's form.
func (s *soak) setControls(ctx context.Context, values url.Values) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.address+"/api/controls", strings.NewReader(values.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("owner", password)
	web := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := web.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, said)
	}
	return err
}

// checkSettings is an error if the last change, after all of them, is not kept.
func (s *soak) checkSettings(ctx context.Context) error {
	if s.changes == 0 {
		return fmt.Errorf("the owner could change no setting\n%s", s.log.Bytes())
	}
	if err := s.setControls(ctx, url.Values{"brightness": {"42"}}); err != nil {
		return fmt.Errorf("a setting cannot be changed in the end: %w", err)
	}
	for {
		kept, err := os.ReadFile(filepath.Join(s.dir, settingsFile))
		if err == nil && strings.Contains(string(kept), `"brightness": "42"`) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the last change of a setting is not kept: %s, %w", kept, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
