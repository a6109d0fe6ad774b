package setup

import (
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/device"
)

func TestSaveAndLoad(t *testing.T) {
	root := device.Root(t.TempDir())
	if got, err := Load(root); err != nil || !cmp.Equal(got, Setup{}) {
		t.Fatalf("before anything is set: %+v, %v", got, err)
	}
	key, err := ParseKey([]byte("Café"), "a password")
	if err != nil {
		t.Fatal(err)
	}
	hash, err := device.HashPassword("the owner's")
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{
		Hostname: "garden", Country: "DE",
		Networks: []Network{{SSID: []byte("Café\xff\x00"), PSK: key, Priority: 2}, {SSID: []byte("open"), Priority: 1}},
		Flags:    map[string]string{"fps": "10"},
	}
	if err := Save(root, func(s *Settings) error { *s = want.clone(); s.Password = hash; return nil }); err != nil {
		t.Fatal(err)
	}
	got, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Setup{Settings: want}, got); diff != "" {
		t.Errorf("what serves (-want +got):\n%s", diff)
	}
	if ok, err := device.ReadOwner(root).Verify("the owner's"); !ok || err != nil {
		t.Errorf("the owner's password: %v, %v", ok, err)
	}
	for _, path := range []string{root.Path("perm", File), root.Path("run", File)} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if text, err := os.ReadFile(path); err != nil || strings.Contains(string(text), "bcrypt") {
			t.Errorf("%s has the owner's password a second time: %v, %s", path, err, text)
		}
	}

	refused := errors.New("no")
	if err := Save(root, func(s *Settings) error { s.Hostname = "other"; return refused }); !errors.Is(err, refused) {
		t.Errorf("a change that is refused: %v", err)
	}
	if got, err := Load(root); err != nil || got.Hostname != "garden" {
		t.Errorf("after it: %q, %v", got.Hostname, err)
	}
}

// What is typed comes first, and takes none of the networks away that the card's file has.
func TestPrefer(t *testing.T) {
	var s Settings
	for i := range maxNetworks {
		s.Prefer(Network{SSID: []byte{byte('a' + i)}})
	}
	s.Prefer(Network{SSID: []byte("c"), PSK: new([32]byte)})
	names := ""
	for i, n := range s.Networks {
		if names += string(n.SSID); i > 0 && n.Priority >= s.Networks[i-1].Priority {
			t.Errorf("%q has the priority %d, behind %d", n.SSID, n.Priority, s.Networks[i-1].Priority)
		}
	}
	if names != "cponmlkjihgfedba" || s.Networks[0].PSK == nil {
		t.Errorf("the networks are %q", names)
	}
	if s.Prefer(Network{SSID: []byte("z")}); len(s.Networks) != maxNetworks {
		t.Errorf("%d networks", len(s.Networks))
	}
}

func TestSaveSideBySide(t *testing.T) {
	root := device.Root(t.TempDir())
	var all sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		all.Go(func() {
			err := Save(root, func(s *Settings) error {
				if s.Flags == nil {
					s.Flags = map[string]string{}
				}
				s.Flags[name] = name
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got, err := Load(root); err != nil || len(got.Flags) != 8 {
		t.Errorf("%v, %v", got.Flags, err)
	}
}

// TestSaveWithoutPerm has a /perm that takes nothing.
func TestSaveWithoutPerm(t *testing.T) {
	root := device.Root(t.TempDir())
	if err := os.WriteFile(root.Path("perm"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := Save(root, func(s *Settings) error { s.Hostname, s.Password = "garden", "hash"; return nil })
	if err == nil || !strings.Contains(err.Error(), "until the power goes") {
		t.Errorf("the error is %v", err)
	}
	if got, err := Load(root); err != nil || got.Hostname != "garden" || got.Password != "hash" {
		t.Errorf("what serves: %+v, %v", got, err)
	}
}

// What was typed serves at once, also while the card hangs, over which only one waits.
// Once the card answers, all that was typed is kept.
func TestSaveWhileTheCardHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := device.Root(t.TempDir())
		answers := make(chan struct{})
		var hanging atomic.Int32
		hang := func(root device.Root) error {
			hanging.Add(1)
			if s, err := Load(root); err != nil || s.Hostname != "first" {
				t.Errorf("while it is kept, %q serves, %v", s.Hostname, err)
			}
			<-answers
			return keepNow(root)
		}
		for _, name := range []string{"first", "second"} {
			err := save(root, func(s *Settings) error { s.Hostname, s.Password = name, "hash of "+name; return nil }, hang)
			if !errors.Is(err, ErrNotKept) || !errors.Is(err, errCard) {
				t.Errorf("%s: %v", name, err)
			}
			if s, err := Load(root); err != nil || s.Hostname != name || s.Password != "hash of "+name {
				t.Errorf("what serves: %+v, %v", s, err)
			}
		}
		if n := hanging.Load(); n != 1 {
			t.Errorf("%d wait for the card", n)
		}
		close(answers)
		synctest.Wait()
		if k, err := readKept(root); err != nil || k.Settings.Hostname != "second" {
			t.Errorf("kept is %+v, %v", k, err)
		}
		if s, err := Load(root); err != nil || s.Password != "" {
			t.Errorf("a password that is kept serves a second time: %+v, %v", s, err)
		}
	})
}

func TestParseKey(t *testing.T) {
	// IEEE 802.11-2020, J.4.2
	for _, tt := range []struct{ ssid, password, want string }{
		{"IEEE", "password", "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"},
		{"ThisIsASSID", "ThisIsAPassword", "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af"},
		{"any", "0DC0D6EB90555ED6419756B9A15EC3E3209B63DF707DD508D14581F8982721AF", "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af"},
	} {
		key, err := ParseKey([]byte(tt.ssid), tt.password)
		if err != nil {
			t.Errorf("%s: %v", tt.ssid, err)
		} else if got := hex.EncodeToString(key[:]); got != tt.want {
			t.Errorf("%s: %s, not %s", tt.ssid, got, tt.want)
		}
	}
	for _, tt := range []struct{ name, ssid, password, want string }{
		{"short", "home", "1234567", "at least 8 characters, and this one has 7"},
		{"long", "home", strings.Repeat("x", 65), "at most 63 characters, and this one has 65"},
		{"64 that are no digits", "home", strings.Repeat("x", 64), "64 are the key itself"},
		{"a tab", "home", "pass\tword", "control character"},
		{"no name", "", "password", "name is missing"},
		{"a long name", strings.Repeat("x", 33), "password", "at most 32 bytes, and this one has 33"},
	} {
		if _, err := ParseKey([]byte(tt.ssid), tt.password); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
