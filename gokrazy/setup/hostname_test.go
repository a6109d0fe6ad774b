package setup

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// The first name is kept, for the programs of this boot too, and what is set later goes
// with it.
func TestKeepHostname(t *testing.T) {
	root := device.Root(t.TempDir())
	if err := Save(root, func(s *Settings) error { s.Country = "DE"; return nil }); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"garden", "pushcam"} { // the second is that of an update's root
		if err := KeepHostname(root, name); err != nil {
			t.Fatal(err)
		}
		if err := Save(root, func(s *Settings) error { return nil }); err != nil {
			t.Fatal(err)
		}
		want := Settings{Hostname: "garden", Country: "DE"}
		served, err := Load(root)
		kept, err2 := readKept(root)
		if err != nil || err2 != nil || !cmp.Equal(served.Settings, want) || !cmp.Equal(kept.Settings, want) {
			t.Errorf("%s: %+v is served, %v, and %+v kept, %v; want %+v", name, served.Settings, err, kept.Settings, err2, want)
		}
	}
}

// Without a /perm that can be written to, the name is not kept, and nobody is told that
// it is.
func TestKeepHostnameFails(t *testing.T) {
	root := device.Root(t.TempDir())
	if err := os.WriteFile(root.Path("perm"), nil, 0o600); err != nil { // in the place of the folder
		t.Fatal(err)
	}
	if err := KeepHostname(root, "garden"); err == nil {
		t.Error("it says that the name is kept")
	}
}

// A name that was typed and is not kept yet comes before the one that the system has.
func TestKeepHostnameThatWasTyped(t *testing.T) {
	root := device.Root(t.TempDir())
	if err := changeRunning(root, func(s *Settings) error { s.Hostname = "garden"; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := KeepHostname(root, "pushcam"); err != nil {
		t.Fatal(err)
	}
	served, err := Load(root)
	kept, err2 := readKept(root)
	if err != nil || err2 != nil || served.Hostname != "garden" || kept.Settings.Hostname != "garden" {
		t.Errorf("%q is served, %v, and %q kept, %v", served.Hostname, err, kept.Settings.Hostname, err2)
	}
}

// The card's name is known when the camera has another one that was given later, also after
// the next boot.
func TestCardHostname(t *testing.T) {
	root, d := system(t), newDisk(t, map[string]string{"pushcam.txt": "hostname=garden\n"})
	for _, want := range []string{"garden", "attic"} {
		if err := taker(t, root, d).Take(); err != nil {
			t.Fatal(err)
		}
		if got, err := Load(root); err != nil || got.Hostname != want || got.CardHostname != "garden" {
			t.Errorf("%q serves, %v, and the card says %q", got.Hostname, err, got.CardHostname)
		}
		if err := Save(root, func(s *Settings) error { s.Hostname = "attic"; return nil }); err != nil {
			t.Fatal(err)
		}
		if got, err := Load(root); err != nil || got.Hostname != "attic" || got.CardHostname != "garden" {
			t.Errorf("saved: %q serves, %v, and the card says %q", got.Hostname, err, got.CardHostname)
		}
	}
}
