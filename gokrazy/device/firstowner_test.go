package device

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const mounted = "/dev/root / squashfs ro 0 0\n/dev/mmcblk0p4 /perm ext4 rw,relatime 0 0\n"

// freeRoot is a system without an owner whose /proc/mounts says this.
func freeRoot(t *testing.T, mounts string) Root {
	t.Helper()
	root := Root(t.TempDir())
	for _, dir := range []string{"proc", "perm"} {
		if err := os.Mkdir(root.Path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(root.Path("proc/mounts"), []byte(mounts), 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

// The first of many becomes the owner, all others are told that they are late, and the
// card has the password.
func TestFirstOwner(t *testing.T) {
	root := freeRoot(t, mounted)
	o := OpenOwnership(root, ReadOwner(root))
	if _, err := o.Verify("anything"); !o.Free() || !errors.Is(err, ErrNoOwner) {
		t.Fatalf("before: free %v, %v", o.Free(), err)
	}
	passwords := []string{"the first of four", "the second of four", "the third of four", "the last of four"}
	errs := make([]error, len(passwords))
	var all sync.WaitGroup
	for i, p := range passwords {
		all.Go(func() { errs[i] = o.Choose(p) })
	}
	all.Wait()
	owners := 0
	for i, p := range passwords {
		for name, who := range map[string]interface{ Verify(string) (bool, error) }{"now": o, "after a restart": ReadOwner(root)} {
			ok, err := who.Verify(p)
			if err != nil || ok != (errs[i] == nil) {
				t.Errorf("%s, %q was chosen with %v, and is the owner's: %v, %v", name, p, errs[i], ok, err)
			}
		}
		if errs[i] == nil {
			owners++
		} else if !errors.Is(errs[i], ErrOwned) {
			t.Errorf("%q: %v", p, errs[i])
		}
	}
	if owners != 1 || o.Free() {
		t.Errorf("%d are the owner, and it is free: %v", owners, o.Free())
	}
	if info, err := os.Stat(root.Path("perm", OwnerFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
}

// An owner's new password serves at once and is on the card; if the card does not take it,
// the one before serves.
func TestOwnerChanges(t *testing.T) {
	root := freeRoot(t, mounted)
	o := OpenOwnership(root, ReadOwner(root))
	if err := o.Choose("the first password"); err != nil {
		t.Fatal(err)
	}
	if err := o.Change("the second password"); err != nil {
		t.Fatal(err)
	}
	is := func(password string) {
		t.Helper()
		for name, who := range map[string]interface{ Verify(string) (bool, error) }{"now": o, "after a restart": ReadOwner(root)} {
			for _, p := range []string{"the first password", "the second password"} {
				if ok, err := who.Verify(p); err != nil || ok != (p == password) {
					t.Errorf("%s, %q is the owner's: %v, %v", name, p, ok, err)
				}
			}
		}
	}
	is("the second password")
	perm := root.Path("perm/pushcam")
	if err := os.Rename(perm, perm+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(perm, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := o.Change("the first password"); err == nil {
		t.Error("a card that takes nothing has taken it")
	}
	if err := errors.Join(os.Remove(perm), os.Rename(perm+".away", perm)); err != nil {
		t.Fatal(err)
	}
	is("the second password")
}

// A password that another program has written meanwhile is not overwritten, and serves.
func TestFirstOwnerElsewhere(t *testing.T) {
	root := freeRoot(t, mounted)
	o, late := OpenOwnership(root, ReadOwner(root)), OpenOwnership(root, ReadOwner(root))
	if err := OpenOwnership(root, ReadOwner(root)).Choose("on the other page"); err != nil {
		t.Fatal(err)
	}
	if err := late.Choose("on this page, later"); !errors.Is(err, ErrOwned) {
		t.Errorf("it is chosen again: %v", err)
	}
	for _, who := range []*Ownership{o, late} {
		if ok, err := who.Verify("on the other page"); !ok || err != nil || who.Free() {
			t.Errorf("the owner is not known: %v, %v, free %v", ok, err, who.Free())
		}
	}
}

// A hash of before 2026 is replaced when its password comes, but not while an update is on
// trial, nor in the place of another password. Nothing waits for the card meanwhile.
func TestOldHashIsRenewed(t *testing.T) {
	tests := []struct {
		name     string
		given    string
		unsettle int    // times that settled says no
		other    string // is on the card when the hash is kept
		renewed  bool
	}{
		{name: "the password comes", given: "Password", renewed: true},
		{name: "after a trial", given: "Password", unsettle: 3, renewed: true},
		{name: "a wrong one comes", given: "password"},
		{name: "another password was set", given: "Password", other: strings.Replace(vector, "TmFDbA", "TmFDbB", 1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				root := ownerRoot(t, vector)
				o := OpenOwnership(root, ReadOwner(root))
				if tt.other != "" {
					if err := os.WriteFile(root.Path("perm", OwnerFile), []byte(tt.other), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error)
				asked := 0
				go func() { ended <- o.Run(ctx, func() bool { asked++; return asked > tt.unsettle }) }()
				if ok, err := o.Verify(tt.given); err != nil || ok != (tt.given == "Password") {
					t.Errorf("Verify is %v, %v", ok, err)
				}
				time.Sleep(time.Minute)
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				on := ReadOwner(root)
				if got := strings.HasPrefix(on.hash, scheme); got != tt.renewed {
					t.Errorf("the card has %q", on.hash)
				}
				if asked != tt.unsettle+1 && tt.given == "Password" {
					t.Errorf("it was asked %d times whether it may be written", asked)
				}
				if ok, err := o.Verify("Password"); !ok || err != nil {
					t.Errorf("then Verify is %v, %v", ok, err)
				}
				if ok, err := on.Verify("Password"); tt.other == "" && (!ok || err != nil) {
					t.Errorf("after a restart Verify is %v, %v", ok, err)
				}
			})
		})
	}
}

// Trouble with the card makes nobody the owner of somebody else's camera.
func TestNotFree(t *testing.T) {
	tests := []struct {
		name, mounts string
		spoil        func(root Root) error
	}{
		{"/perm is not mounted", "/dev/root / squashfs ro 0 0\n", nil},
		{"/perm cannot be written to", "/dev/mmcblk0p4 /perm ext4 ro,relatime 0 0\n", nil},
		{"the password is damaged", mounted, func(root Root) error { return os.WriteFile(root.Path("perm", OwnerFile), []byte("x"), 0o600) }},
		{"the password cannot be read", mounted, func(root Root) error { return os.Mkdir(root.Path("perm", OwnerFile), 0o700) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := freeRoot(t, tt.mounts)
			if tt.spoil != nil {
				if err := errors.Join(os.MkdirAll(filepath.Dir(root.Path("perm", OwnerFile)), 0o755), tt.spoil(root)); err != nil {
					t.Fatal(err)
				}
			}
			o := OpenOwnership(root, ReadOwner(root))
			if err := o.Choose("a good password"); o.Free() || !errors.Is(err, ErrOwned) {
				t.Errorf("free: %v; chosen: %v", o.Free(), err)
			}
		})
	}
}

// A card that hangs keeps nobody waiting for ever, and those who ask meanwhile do not
// wait for it one after the other: when it answers, the first is the owner.
func TestFirstOwnerWhileTheCardHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := freeRoot(t, mounted)
		o := OpenOwnership(root, ReadOwner(root))
		answers := make(chan struct{})
		var first sync.WaitGroup
		first.Go(func() {
			if err := o.withCard(func() error { <-answers; return nil }); !errors.Is(err, errCard) {
				t.Errorf("over a card that hangs: %v", err)
			}
		})
		synctest.Wait()
		if err := o.Choose("the second's password"); !errors.Is(err, errCard) || !o.Free() {
			t.Errorf("a password is chosen: %v, and it is free: %v", err, o.Free())
		}
		if ok, err := o.Verify("the second's password"); ok || !errors.Is(err, ErrNoOwner) || !errors.Is(err, errCard) {
			t.Errorf("somebody proves to be the owner: %v, %v", ok, err)
		}
		close(answers)
		first.Wait()
		synctest.Wait()
		if err := o.Choose("the third's password"); err != nil {
			t.Error(err)
		}
		if ok, err := o.Verify("the third's password"); !ok || err != nil {
			t.Errorf("the owner: %v, %v", ok, err)
		}
	})
}
