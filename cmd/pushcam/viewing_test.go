package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// Who may look, as it was chosen on the page of the set-up network, serves at once and after
// a restart. It is taken once: who changes it later is not overruled; and the card is above it.
func TestViewingOfTheSetUpPage(t *testing.T) {
	p, applied := newPage(t, "pushcam"), 0
	c, err := parse(gokrazyRoot(t), nil, noEnv, setup.Setup{}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	p.now.Store(c)
	p.apply = func(_, now *config) { applied++ }
	serves := func(want string, times int) {
		t.Helper()
		if got := p.now.Load().viewing; got != want || applied != times {
			t.Errorf("viewing is %s, applied %d times; want %s, %d", got, applied, want, times)
		}
	}
	p.takeViewing("")
	serves("open", 0)
	for range 2 {
		p.takeViewing("closed")
		serves("closed", 1)
	}
	if err := p.Change(map[string]any{"viewing": "open"}); err != nil {
		t.Fatal(err)
	}
	p.takeViewing("closed")
	serves("open", 2)

	for card, want := range map[string]string{"": "closed", "open": "open"} {
		said := setup.Setup{Settings: setup.Settings{Viewing: "closed", Flags: map[string]string{}}}
		if card != "" {
			said.Flags["viewing"] = card
		}
		c, err := parse(gokrazyRoot(t), nil, noEnv, said, io.Discard, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		s := quietSettings(t.TempDir())
		s.takeViewing(c.setUpViewing)
		if got := withPage(c, s.page(), s.log).viewing; got != want {
			t.Errorf("with %q on the card it starts %s, want %s", card, got, want)
		}
	}
}

// The set-up page is another program's: what is chosen there is heard of within a second,
// until there is an owner.
func TestFollowViewing(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"run/pushcam", "perm/pushcam", "proc"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "proc/mounts"), []byte("/dev/mmcblk0p4 /perm ext4 rw 0 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &appliance{root: device.Root(root)}
	a.owners = device.OpenOwnership(a.root, device.ReadOwner(a.root))
	synctest.Test(t, func(t *testing.T) {
		var heard []string
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			a.followViewing(t.Context(), func(chosen string) { heard = append(heard, chosen) })
		}()
		time.Sleep(5*viewingLook + viewingLook/2)
		err := setup.Save(a.root, func(s *setup.Settings) error {
			s.Viewing, s.Password = "closed", "bcrypt-sha256$2a$10$x"
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		a.owners.Verify("somebody logs in")
		<-ended
		if want := []string{"", "", "", "", "", "", "closed"}; !slices.Equal(heard, want) {
			t.Errorf("it has heard %q, want %q", heard, want)
		}
	})
	(*appliance)(nil).followViewing(t.Context(), nil) // a PC has no such page
}
