package setup

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/fat"
)

// write has an owner write the file on a PC.
func (d *disk) write(t *testing.T, text string) {
	t.Helper()
	if err := d.fs(t).WriteFile("pushcam.txt", []byte(text), time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
}

// A password that was taken over and overwritten, and stands in the file again, is what the
// owner wants now, whatever was typed on a page since: he may have mistyped that.
func TestWrittenAgain(t *testing.T) {
	root, d := system(t), newDisk(t, map[string]string{"pushcam.txt": usual + "viewer-password=look and see\r\n"})
	if err := taker(t, root, d).Take(); err != nil {
		t.Fatal(err)
	}
	hash, err := device.HashPassword("daffodil 2")
	if err != nil {
		t.Fatal(err)
	}
	mistyped, err := ParseKey([]byte("home"), "hyacinth 8")
	if err != nil {
		t.Fatal(err)
	}
	typed := func(s *Settings) error {
		s.Password, s.ViewerPassword = hash, hash
		s.Prefer(Network{SSID: []byte("home"), PSK: mistyped})
		return nil
	}
	check := func(when string, again bool) {
		t.Helper()
		s, err := Load(root)
		if err != nil || len(s.Networks) != 1 || len(s.Problems) > 0 {
			t.Fatalf("%s: %+v, %v", when, s, err)
		}
		if (*s.Networks[0].PSK == *mistyped) == again {
			t.Errorf("%s: the network has the other password", when)
		}
		if isPassword(s.ViewerPassword, "look and see") != again {
			t.Errorf("%s: the viewers have the other password", when)
		}
		if ok, err := device.ReadOwner(root).Verify("tulip and rose"); ok != again {
			t.Errorf("%s: the owner has the other password: %v", when, err)
		}
		if strings.Contains(d.file(t, "pushcam.txt"), "hyacinth") {
			t.Errorf("%s: a password stands in the file", when)
		}
	}
	if err := Save(root, typed); err != nil {
		t.Fatal(err)
	}
	if err := taker(t, root, d).Take(); err != nil {
		t.Fatal(err)
	}
	check("nothing was written", false)
	d.write(t, usual+"viewer-password=look and see\r\n")
	if err := taker(t, root, d).Take(); err != nil {
		t.Fatal(err)
	}
	check("the same was written again", true)
}

// A card that takes nothing keeps its passwords in the file: they say nothing new there.
func TestNotOverwritten(t *testing.T) {
	root, d := system(t), newDisk(t, map[string]string{"pushcam.txt": usual})
	d.broken = bytes.ErrTooLarge
	for _, want := range []string{"hyacinth 7", "hyacinth 8"} {
		taker(t, root, d).Take() // it fails, and says so in Setup
		key, err := ParseKey([]byte("home"), want)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := Load(root); err != nil || len(s.Networks) != 1 || *s.Networks[0].PSK != *key {
			t.Errorf("%+v, %v: want %q", s.Networks, err, want)
		}
		if key, err = ParseKey([]byte("home"), "hyacinth 8"); err != nil {
			t.Fatal(err)
		}
		if err := Save(root, func(s *Settings) error { s.Prefer(Network{SSID: []byte("home"), PSK: key}); return nil }); err != nil {
			t.Fatal(err)
		}
	}
}

// What a slow card has no time for in one boot is done in the next.
func TestOlderCopiesAreLookedForAgain(t *testing.T) {
	root, d := system(t), newDisk(t, map[string]string{"pushcam.txt": usual})
	if err := taker(t, root, d).Take(); err != nil {
		t.Fatal(err)
	}
	k, err := readKept(root)
	if err != nil {
		t.Fatal(err)
	}
	k.Uncleared = true
	if err := keep(root, k); err != nil {
		t.Fatal(err)
	}
	if err := d.fs(t).WriteFile("old.txt", []byte("wifi-password=hyacinth 7"), time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	if err := d.fs(t).Remove("old.txt"); err != nil {
		t.Fatal(err)
	}
	if err := taker(t, root, d).Take(); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(d.data, []byte("hyacinth 7")) {
		t.Error("the password is on the card still")
	}
	if k, err = readKept(root); err != nil || k.Uncleared {
		t.Errorf("and it is looked for once more: %v", err)
	}
}

// What a program saves while a slow card is written stays.
func TestSaveWhileSecretsAreOverwritten(t *testing.T) {
	root, d := system(t), newDisk(t, map[string]string{"pushcam.txt": usual})
	saved := false
	d.onWrite = func() {
		if saved {
			return
		}
		saved = true
		if err := Save(root, func(s *Settings) error { s.Hostname = "porch"; return nil }); err != nil {
			t.Error(err)
		}
	}
	if err := taker(t, root, d).Take(); err != nil {
		t.Fatal(err)
	}
	if k, err := readKept(root); err != nil || k.Settings.Hostname != "porch" || k.Uncleared {
		t.Errorf("kept is %+v, %v", k, err)
	}
}

// Programs wait for the card no longer than TakeWithin does. What they save until it answers
// serves from then on.
func TestSaveWhileTheBootPartitionHangs(t *testing.T) {
	root, d := system(t), newDisk(t, map[string]string{"pushcam.txt": usual})
	if err := taker(t, root, d).Take(); err != nil {
		t.Fatal(err)
	}
	late := taker(t, root, d)
	open := late.Boot
	late.Boot = func(use func(*fat.FS) error) error {
		err := Save(root, func(s *Settings) error {
			s.Hostname = "porch"
			s.Prefer(Network{SSID: []byte("typed")})
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return open(use)
	}
	if err := late.Take(); err != nil {
		t.Fatal(err)
	}
	if s, err := Load(root); err != nil || s.Hostname != "porch" || len(s.Networks) != 2 || string(s.Networks[0].SSID) != "typed" {
		t.Errorf("what serves: %+v, %v", s.Settings, err)
	}
	if k, err := readKept(root); err != nil || k.Settings.Hostname != "porch" || len(k.Settings.Networks) != 2 {
		t.Errorf("what is kept: %+v, %v", k.Settings, err)
	}
}
