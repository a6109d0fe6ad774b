package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/durable"
	"github.com/pushcam/pushcam/gokrazy/fat"
)

// A Taker takes what an owner has written on the card over to /perm.
type Taker struct {
	Root device.Root
	// Boot calls use with the file system of the card's boot partition, which nobody
	// else changes meanwhile.
	Boot func(use func(*fat.FS) error) error
	// SetHostname gives the system its name.
	SetHostname func(name string) error
	Log         func(format string, args ...any)
}

// clearTime is how long older copies of secrets are looked for in one boot. Reading
// what is free on a slow card takes some 5 s.
const clearTime = 6 * time.Second

// Take reads the files, has their settings serve (File below /run), keeps them in
// /perm, and then overwrites the secrets in the files: a power cut leaves each secret
// in at least one of the two places. What cannot be done is a Problem of Setup, in the
// report file, and in the error if nobody else would say it. It needs some
// milliseconds, and some seconds when there are new secrets.
func (t *Taker) Take() error {
	k, permErr := readKept(t.Root)
	// A card may hang over the next step.
	if err := t.serve(k, newSaid()); err != nil {
		return errors.Join(permErr, err)
	}
	var s *said
	bootErr := t.Boot(func(disk *fat.FS) error {
		found := newSaid()
		files, err := found.readAll(disk)
		if err != nil {
			return err
		}
		s = found
		k, permErr = readKept(t.Root) // if the card has hung, programs may have saved something
		now := s.merge(k, t.isOwner)
		if len(s.passwords) > 0 && s.passwords[0].blanked() && errors.Is(t.owner(), device.ErrNoOwner) {
			s.problem(s.passwords[0].Place, "The password is not kept any more: write it again.")
		}
		if err := t.serve(now, s); err != nil {
			return err
		}
		if permErr == nil {
			permErr = t.keep(&now, k, s)
		}
		if permErr != nil {
			s.problem(Place{}, "What the card's files say serves, but cannot be kept, so its passwords stay in them: %v.", permErr)
			if err := t.serve(now, s); err != nil {
				return err
			}
		} else if err := t.blank(disk, files, now, s.secrets); err != nil {
			s.problem(Place{}, "The passwords stay in the card's files: %v.", err)
			if err := t.serve(now, s); err != nil {
				return err
			}
		}
		return t.report(disk, s.problems)
	})
	if s == nil { // the card's files cannot be read: what is kept serves
		s = newSaid()
		s.problem(Place{}, "The card's boot partition cannot be read, so pushcam.txt does not count: %v.", bootErr)
		return errors.Join(permErr, bootErr, t.serve(k, s))
	}
	return errors.Join(permErr, bootErr)
}

// TakeWithin is Take for process 1, which must go on whatever happens: a card that hangs,
// or a fault in this package.
func (t *Taker) TakeWithin(limit time.Duration) {
	ended := make(chan error, 1)
	go func() { // without an answer of the card it stays
		defer func() {
			if r := recover(); r != nil {
				ended <- fmt.Errorf("a fault of this program: %v", r)
			}
		}()
		ended <- t.Take()
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Log("what is set on the card does not count in full: %v", err)
		}
	case <-time.After(limit):
		t.Log("what is set on the card is waited for no longer than %v", limit)
	}
}

// readAll reads all files that there are, and returns them by their names.
func (s *said) readAll(disk *fat.FS) (map[string][]byte, error) {
	entries, err := disk.ReadDir("")
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	for _, f := range formats {
		for _, e := range entries {
			if e.Dir || !strings.EqualFold(e.Name, f.name) {
				continue
			}
			data, err := disk.ReadFile(e.Name, maxText)
			if err != nil {
				s.problem(Place{File: e.Name}, "It cannot be read: %v.", err)
				continue
			}
			files[e.Name] = data
			s.add(f, e.Name, data)
		}
	}
	return files, nil
}

func (t *Taker) owner() error {
	_, err := device.ReadOwner(t.Root).Verify("")
	return err
}

func (t *Taker) isOwner(password string) bool {
	ok, err := device.ReadOwner(t.Root).Verify(password)
	return ok && err == nil
}

// serve writes File below /run, which programs read, and names the system.
func (t *Taker) serve(k kept, s *said) error {
	now := k.Settings.clone()
	if now.Country == "" {
		now.Country = t.cmdlineCountry()
	}
	if err := durable.WriteJSON(t.Root.Path("run", File), running{now, s.problems, s.places, k.Taken.Hostname}); err != nil {
		return fmt.Errorf("programs are not told the settings: %w", err)
	}
	if now.Hostname != "" {
		if err := t.SetHostname(now.Hostname); err != nil {
			t.Log("the system does not take the name %s: %v", now.Hostname, err)
		}
	}
	return nil
}

// cmdlineCountry is the one that Raspberry Pi Imager writes on the kernel's command
// line. The kernel does not take it from there, because the driver is a module.
func (t *Taker) cmdlineCountry() string {
	text, err := os.ReadFile(t.Root.Path("proc/cmdline"))
	if err != nil {
		return ""
	}
	for word := range strings.FieldsSeq(string(text)) {
		if name, ok := strings.CutPrefix(word, "cfg80211.ieee80211_regdom="); ok {
			if country, err := CheckCountry(name); err == nil {
				return country
			}
		}
	}
	return ""
}

// keep writes to /perm what is not there yet.
func (t *Taker) keep(now *kept, was kept, s *said) error {
	if now.Blanked = !slices.ContainsFunc(s.secrets, func(s secret) bool { return !s.blanked() }); !now.Blanked {
		now.Uncleared, now.ClearFrom = true, 0
	}
	if reflect.DeepEqual(*now, was) {
		return nil
	}
	unlock, err := lockCard(context.Background(), t.Root) // TakeWithin is for a card that hangs
	if err != nil {
		return err
	}
	defer unlock()
	if err := keep(t.Root, *now); err != nil {
		return err
	}
	now.Settings.Password = "" // it is kept
	return t.serve(*now, s)
}

// blank overwrites secrets that are kept now, in their files and where no file is.
func (t *Taker) blank(disk *fat.FS, files map[string][]byte, now kept, secrets []secret) error {
	var changed []string
	for _, s := range secrets {
		if s.blanked() {
			continue
		}
		s.blank(files[s.File])
		if !slices.Contains(changed, s.File) {
			changed = append(changed, s.File)
		}
	}
	for _, name := range changed {
		if err := disk.Overwrite(name, files[name]); err != nil {
			return err
		}
		t.Log("the passwords in %s are taken over and overwritten", name)
	}
	if !now.Uncleared {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), clearTime)
	defer cancel()
	n, next, err := disk.ClearFree(ctx, now.ClearFrom)
	t.Log("older copies of passwords: %d bytes overwritten where no file is", n)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Log("the card is slow: the rest of what is free is looked through at the next boot")
		err = nil
	}
	return errors.Join(err, t.keepBlanked(next))
}

// keepBlanked has /perm keep that the secrets are overwritten, and from where older copies are
// still to be looked for; 0 is nowhere. Programs may have saved something there meanwhile.
func (t *Taker) keepBlanked(next int) error {
	unlock, err := lockCard(context.Background(), t.Root)
	if err != nil {
		return err
	}
	defer unlock()
	k, err := readKept(t.Root)
	if err != nil {
		return err
	}
	k.Blanked, k.Uncleared, k.ClearFrom = true, next != 0, next
	return keep(t.Root, k)
}

// report says in the report file what is wrong, before anybody else can say more.
func (t *Taker) report(disk *fat.FS, problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	return Report{Problems: problems}.Write(disk, time.Now())
}

// Write makes r the report file on the card, if that does not say the same already.
func (r Report) Write(disk *fat.FS, now time.Time) error {
	text := r.Text()
	before, err := disk.ReadFile(ReportFile, maxText)
	if err == nil && string(before) == text {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return disk.WriteFile(ReportFile, []byte(text), now)
}
