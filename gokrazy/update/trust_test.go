package update

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/partition/partitiontest"
	"github.com/pushcam/pushcam/gokrazy/update/card/cardtest"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

func newSigner(t *testing.T) *signed.Signer {
	t.Helper()
	s, _, err := signed.LoadOrMakeSigner(t.Context(), filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// An offer is an update as somebody sends it.
type offer struct {
	manifest   signed.Manifest
	root, boot []byte
}

func newOffer(t *testing.T) *offer {
	o := &offer{root: newRoot, boot: partitiontest.Boot{Kernel: cardtest.Kernel}.Bytes()}
	o.manifest = signed.Manifest{Version: "v2", Built: time.Unix(1e9, 0), Arch: runtime.GOARCH, Root: describe(t, o.root), Boot: describe(t, o.boot)}
	return o
}

func describe(t *testing.T, part []byte) signed.Content {
	t.Helper()
	c, err := signed.Describe(bytes.NewReader(part))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// announce sends the manifest.
func (a *camera) announce(m signed.Manifest, by *signed.Signer) (int, string) {
	a.t.Helper()
	text, err := m.Sign(by)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.ask("PUT", "/api/update/manifest", text, nil)
}

// take sends the root file system and has it tried.
func (a *camera) take(root []byte) (int, string) {
	a.t.Helper()
	if code, said := a.ask("PUT", "/api/update/root", root, digest(root)); code != http.StatusNoContent {
		return code, said
	}
	return a.ask("POST", fmt.Sprintf("/api/update/try?root=%x", sha256.Sum256(root)), nil, nil)
}

// written is what an update has written so far: to the other root, and to /perm.
func (a *camera) written() (other [32]byte, boot bool) {
	a.t.Helper()
	part, err := os.ReadFile(a.Card.Root.Path("dev/mmcblk0p3"))
	if err != nil {
		a.t.Fatal(err)
	}
	_, err = os.Stat(filepath.Join(a.Dir, bootFile))
	return sha256.Sum256(part), err == nil
}

func TestSignedUpdate(t *testing.T) {
	t.Attr("fault", "update | an image that somebody else has signed, changed or put together of two, by who has the password | nothing of it is written, and it is said what to do | –")
	mine := newSigner(t)
	one, other := newOffer(t), newOffer(t)
	other.root = cardtest.Root("v3").Bytes()
	other.manifest.Version, other.manifest.Root = "v3", describe(t, other.root)
	changed := bytes.Clone(one.root)
	changed[0] ^= 1
	with := func(change func(m *signed.Manifest)) signed.Manifest {
		m := one.manifest
		change(&m)
		return m
	}
	raw := func(text []byte) func(a *camera) (int, string) {
		return func(a *camera) (int, string) { return a.ask("PUT", "/api/update/manifest", text, nil) }
	}
	text, err := one.manifest.Sign(mine)
	if err != nil {
		t.Fatal(err)
	}
	announced := func(m signed.Manifest, send func(a *camera) (int, string)) func(a *camera) (int, string) {
		return func(a *camera) (int, string) {
			if code, said := a.announce(m, mine); code != http.StatusNoContent {
				return code, said
			}
			return send(a)
		}
	}
	put := func(part Part, content []byte, sum http.Header) func(a *camera) (int, string) {
		return func(a *camera) (int, string) { return a.ask("PUT", Path+string(part), content, sum) }
	}
	for name, tc := range map[string]struct {
		send func(a *camera) (int, string)
		says string // "" if all is well
	}{
		"signed":                 {announced(one.manifest, func(a *camera) (int, string) { return a.take(one.root) }), ""},
		"signed for this camera": {announced(with(func(m *signed.Manifest) { m.Camera = "THE-CAMERAS" }), func(a *camera) (int, string) { return a.take(one.root) }), ""},

		"not signed":                   {put(Root, one.root, digest(one.root)), "this one is not signed"},
		"a boot partition, not signed": {put(Boot, one.boot, digest(one.boot)), "this one is not signed"},
		"signed by a stranger":         {func(a *camera) (int, string) { return a.announce(one.manifest, newSigner(t)) }, "press its button three times"},
		"cut off":                      {raw(text[:len(text)-40]), "cut off"},
		"changed":                      {raw(bytes.Replace(text, []byte(`"v2"`), []byte(`"v3"`), 1)), "not of what it says"},
		"too large":                    {raw(make([]byte, signed.MaxSize+1)), "did not arrive"},
		"signed for another camera": {func(a *camera) (int, string) {
			return a.announce(with(func(m *signed.Manifest) { m.Camera = "ANOTHER" }), mine)
		}, "for another camera"},
		"signed for another processor": {func(a *camera) (int, string) {
			return a.announce(with(func(m *signed.Manifest) { m.Arch = "mips" }), mine)
		}, "is for mips"},
		"another root":                          {announced(one.manifest, put(Root, other.root, digest(other.root))), "not what was signed"},
		"the halves swapped":                    {announced(one.manifest, put(Root, one.boot, digest(one.boot))), "not what was signed"},
		"the halves swapped the other way":      {announced(one.manifest, put(Boot, one.root, digest(one.root))), "not what was signed"},
		"a changed piece":                       {announced(one.manifest, put(Root, changed, digest(one.root))), "differs within"},
		"a changed piece of the boot partition": {announced(one.manifest, put(Boot, append([]byte{1}, one.boot[1:]...), digest(one.boot))), "differs within"},
		"cut off in the root":                   {announced(one.manifest, put(Root, one.root[:len(one.root)-512], digest(one.root))), "not what was signed"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newCamera(t)
			a.Keys = []signed.Entry{{Key: mine.Key()}}
			a.open(t.Context())
			root, _ := a.written()
			code, said := tc.send(a)
			if tc.says == "" {
				if code != http.StatusOK || a.reboots != 1 || a.State().Last.Key != mine.Key().Fingerprint() || a.State().Last.Older {
					t.Errorf("%d %s, %+v", code, said, a.State().Last)
				}
				return
			}
			if code/100 != 4 || !strings.Contains(said, tc.says) || strings.Count(said, "\n") != 1 {
				t.Errorf("%d %s, want %q", code, said, tc.says)
			}
			if now, boot := a.written(); now != root || boot {
				t.Error("something of it was written")
			}
			if a.State().Phase != Idle || !a.State().Signed {
				t.Errorf("%+v", a.State())
			}
		})
	}
}

// What is tried together came by one manifest, so nobody puts two updates together, and
// its words are those of its root.
func TestSignedParts(t *testing.T) {
	mine := newSigner(t)
	a := newCamera(t)
	a.Keys = []signed.Entry{{Key: mine.Key()}}
	a.open(t.Context())
	one, two := newOffer(t), newOffer(t)
	two.manifest.Boot = describe(t, append(bytes.Clone(two.boot), make([]byte, 512)...))
	try := fmt.Sprintf("/api/update/try?root=%x&boot=%x", sha256.Sum256(one.root), sha256.Sum256(one.boot))
	put := func(part Part, content []byte) {
		t.Helper()
		if code, said := a.ask("PUT", Path+string(part), content, digest(content)); code != http.StatusNoContent {
			t.Fatalf("%d %s", code, said)
		}
	}
	announce := func(m signed.Manifest) {
		t.Helper()
		if code, said := a.announce(m, mine); code != http.StatusNoContent {
			t.Fatalf("%d %s", code, said)
		}
	}
	announce(one.manifest)
	put(Boot, one.boot)
	announce(two.manifest)
	put(Root, two.root)
	if code, said := a.ask("POST", try, nil, nil); code != http.StatusConflict {
		t.Errorf("the halves of two updates: %d %s", code, said)
	}
	a.ShowWindow = func(bool) {}
	a.OpenWindow()
	own := append(bytes.Clone(one.boot), 1) // not signed, which the button allows
	put(Boot, own)
	if code, said := a.ask("POST", fmt.Sprintf("/api/update/try?root=%x&boot=%x", sha256.Sum256(two.root), sha256.Sum256(own)), nil, nil); code != http.StatusConflict {
		t.Errorf("a root that is signed with a boot partition that is not: %d %s", code, said)
	}
	lying := one.manifest
	lying.Version = "v9"
	announce(lying)
	if code, said := a.take(one.root); code != http.StatusUnprocessableEntity || !strings.Contains(said, "signed as v9") {
		t.Errorf("another version than it says: %d %s", code, said)
	}
	announce(one.manifest)
	put(Boot, one.boot)
	put(Root, one.root)
	if code, said := a.ask("POST", try, nil, nil); code != http.StatusOK {
		t.Errorf("both halves of one: %d %s", code, said)
	}
}

// A camera that knows no key takes the first signed update, and from then on only those of
// that key. It says so, and knows it after a restart.
func TestFirstKey(t *testing.T) {
	a := newCamera(t)
	if a.State().Signed {
		t.Fatal("a camera without keys asks for signatures")
	}
	root := cardtest.Root("v0")
	root.Built = time.Unix(9e8, 0)
	old := root.Bytes()
	if code, said := a.ask("PUT", "/api/update/root", old, digest(old)); code != http.StatusNoContent {
		t.Errorf("not signed, as from a pushcamctl of before: %d %s", code, said)
	}
	mine, o := newSigner(t), newOffer(t)
	o.manifest.Version, o.manifest.Built, o.manifest.Root = "v0", root.Built, describe(t, old)
	if code, said := a.announce(o.manifest, mine); code != http.StatusNoContent {
		t.Fatalf("the first signed one: %d %s", code, said)
	}
	try := fmt.Sprintf("/api/update/try?root=%x", sha256.Sum256(old))
	if code, said := a.ask("POST", try, nil, nil); code != http.StatusUnprocessableEntity {
		t.Errorf("what came before without a signature: %d %s", code, said)
	}
	a.start("v1")
	if got := a.now().Keys; !cmp.Equal(got, []string{mine.Key().Fingerprint()}) || !a.State().Signed {
		t.Errorf("after a restart it knows %v", got)
	}
	if code, said := a.announce(o.manifest, newSigner(t)); code != http.StatusUnprocessableEntity {
		t.Errorf("signed by another one: %d %s", code, said)
	}
	if code, said := a.ask("PUT", "/api/update/root", old, digest(old)); code != http.StatusUnprocessableEntity {
		t.Errorf("not signed, now: %d %s", code, said)
	}
	a.announce(o.manifest, mine)
	if code, said := a.take(old); code != http.StatusOK || !strings.Contains(said, `"older": true`) {
		t.Errorf("an older version, signed by the first one: %d %s", code, said)
	}
}

// A file of keys that is damaged does not make the camera take everything.
func TestDamagedKeys(t *testing.T) {
	a := newCamera(t)
	file := filepath.Join(a.Dir, signed.KeysFile)
	if err := os.WriteFile(file, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	a.start("v1")
	mine, o := newSigner(t), newOffer(t)
	if code, said := a.announce(o.manifest, mine); code != http.StatusUnprocessableEntity || !a.State().Signed {
		t.Errorf("%d %s", code, said)
	}
	a.ShowWindow = func(bool) {}
	a.OpenWindow()
	if code, said := a.announce(o.manifest, mine); code != http.StatusNoContent {
		t.Errorf("after the button: %d %s", code, said)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), string(mine.Key())+" allowed by the button") || strings.Count(string(text), "\n") != 1 {
		t.Errorf("the file has %q, %v", text, err)
	}
	if err := os.RemoveAll(a.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.Dir, nil, 0o600); err != nil { // no folder any more
		t.Fatal(err)
	}
	a.OpenWindow()
	if code, said := a.announce(o.manifest, newSigner(t)); code != http.StatusUnprocessableEntity || !strings.Contains(said, "cannot be kept") {
		t.Errorf("a key that cannot be kept: %d %s", code, said)
	}
}

// The button lets in one update of somebody else, for ten minutes.
func TestWindow(t *testing.T) {
	stranger, o := newSigner(t), newOffer(t)
	for name, tc := range map[string]struct {
		do   func(a *camera) (int, string)
		code int
		last bool // the window is still open
	}{
		"signed by a stranger": {func(a *camera) (int, string) {
			if code, said := a.announce(o.manifest, stranger); code != http.StatusNoContent {
				return code, said
			}
			if _, said := a.ask("PUT", "/api/update/root", o.boot, digest(o.boot)); !strings.Contains(said, "not what was signed") {
				return 0, "it is open for what nobody has signed: " + said
			}
			return a.take(o.root)
		}, http.StatusOK, false},
		"not signed": {func(a *camera) (int, string) { return a.take(o.root) }, http.StatusOK, false},
		"not signed, twice": {func(a *camera) (int, string) {
			if code, said := a.take(o.root); code != http.StatusOK {
				return 0, said
			}
			a.setPhase(Idle)
			return a.take(o.root)
		}, http.StatusUnprocessableEntity, false},
		"refused for another reason": {func(a *camera) (int, string) {
			text := bytes.Repeat([]byte("text"), 128)
			return a.take(text)
		}, http.StatusUnprocessableEntity, true},
		"just in time":  {func(a *camera) (int, string) { time.Sleep(windowTime - 1); return a.take(o.root) }, http.StatusOK, false},
		"its time over": {func(a *camera) (int, string) { time.Sleep(windowTime); synctest.Wait(); return a.take(o.root) }, http.StatusUnprocessableEntity, false},
		"uploaded in time, and tried too late": {func(a *camera) (int, string) {
			if code, said := a.ask("PUT", "/api/update/root", o.root, digest(o.root)); code != http.StatusNoContent {
				return 0, said
			}
			time.Sleep(windowTime)
			synctest.Wait()
			return a.ask("POST", fmt.Sprintf("/api/update/try?root=%x", sha256.Sum256(o.root)), nil, nil)
		}, http.StatusUnprocessableEntity, false},
		"opened again": {func(a *camera) (int, string) {
			time.Sleep(windowTime - 1)
			a.OpenWindow()
			time.Sleep(windowTime - 1)
			return a.take(o.root)
		}, http.StatusOK, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := newCamera(t)
			a.Keys = []signed.Entry{{Key: newSigner(t).Key()}}
			a.open(t.Context())
			synctest.Test(t, func(t *testing.T) {
				shown := false
				a.ShowWindow = func(on bool) { shown = on }
				a.OpenWindow()
				if !shown || !strings.Contains(a.State().Message, "10 minutes") {
					t.Errorf("it is not said that it is open: %q", a.State().Message)
				}
				code, said := tc.do(a)
				if code != tc.code {
					t.Errorf("%d %s, want %d", code, said, tc.code)
				}
				if shown != tc.last {
					t.Errorf("the LEDs show that it is open: %v", shown)
				}
				a.mu.Lock()
				a.closeWindow()
				a.mu.Unlock()
			})
		})
	}
}

// A button that is quicker than the card, which has the keys, has opened the window too.
func TestWindowBeforeKeysAreKnown(t *testing.T) {
	mine, o := newSigner(t), newOffer(t)
	a := newCamera(t)
	a.Keys = []signed.Entry{{Key: mine.Key()}}
	synctest.Test(t, func(t *testing.T) {
		shown := false
		a.ShowWindow = func(on bool) { shown = on }
		a.OpenWindow()
		a.readKeys()
		if code, said := a.ask("PUT", "/api/update/root", o.root, digest(o.root)); code != http.StatusNoContent {
			t.Errorf("%d %s", code, said)
		}
		time.Sleep(windowTime)
		synctest.Wait()
		if shown {
			t.Error("the LEDs show for ever that it is open")
		}
	})
}

// A record names the key that has signed what is tried, and not the one that has announced
// something else meanwhile.
func TestRecordNamesTheSigner(t *testing.T) {
	mine, other, o := newSigner(t), newSigner(t), newOffer(t)
	a := newCamera(t)
	a.Keys = []signed.Entry{{Key: mine.Key()}, {Key: other.Key()}}
	a.readKeys()
	a.announce(o.manifest, mine)
	if code, said := a.ask("PUT", "/api/update/root", o.root, digest(o.root)); code != http.StatusNoContent {
		t.Fatalf("%d %s", code, said)
	}
	a.announce(o.manifest, other)
	code, said := a.ask("POST", fmt.Sprintf("/api/update/try?root=%x", sha256.Sum256(o.root)), nil, nil)
	if code != http.StatusOK || !strings.Contains(said, mine.Key().Fingerprint()) {
		t.Errorf("%d %s, want %s", code, said, mine.Key().Fingerprint())
	}
}

// The client announces an update before it uploads it.
func TestAnnounce(t *testing.T) {
	mine, stranger := newSigner(t), newSigner(t)
	o := newOffer(t)
	signedBy := func(s *signed.Signer) []byte {
		text, err := o.manifest.Sign(s)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		broke := 0
		c := &Client{Conn: n, Sent: func(int64, int64, time.Duration) {}, BrokeOff: func(error, time.Duration) { broke++ }}
		if _, err := c.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.breaks.Store(1)
		if err := c.Announce(t.Context(), signedBy(mine)); err != nil || broke != 1 {
			t.Errorf("%v, broken off %d times", err, broke)
		}
		if err := c.Announce(t.Context(), signedBy(stranger)); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "update-key="+string(stranger.Key())) {
			t.Errorf("a stranger's: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Announce(ctx, signedBy(mine)); !errors.Is(err, context.Canceled) {
			t.Errorf("stopped: %v", err)
		}
	})
}
