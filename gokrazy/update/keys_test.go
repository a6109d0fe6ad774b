package update

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

// keys are those that the camera says it knows.
func (a *camera) keys() (known []TrustedKey, asks bool) {
	a.t.Helper()
	var said struct {
		Signed bool
		Keys   []TrustedKey
	}
	if code, text := a.ask("GET", "/api/update/keys", nil, nil); code != http.StatusOK || json.Unmarshal([]byte(text), &said) != nil {
		a.t.Fatalf("%d %s", code, text)
	}
	return said.Keys, said.Signed
}

func (a *camera) remove(key signed.Key, more string) (int, string) {
	a.t.Helper()
	return a.ask("DELETE", "/api/update/keys?key="+url.QueryEscape(key.Fingerprint())+more, nil, nil)
}

// A camera says of each key where it has it from. One that is taken away does not count any
// more, also after a restart, and after the last one not everything is taken.
func TestRemoveKeys(t *testing.T) {
	t.Attr("fault", "update | the key of a computer that was lost or sold is still trusted | its owner takes it away: what it signs is refused at once; after the last key all is refused but what the button allows | at once")
	card, setting, release, stranger := newSigner(t), newSigner(t), newSigner(t), newSigner(t)
	o := newOffer(t)
	a := newCamera(t)
	start := func(settings ...signed.Entry) {
		a.begin("v1")
		a.Keys, a.ShowWindow = settings, func(bool) {}
		a.open(t.Context())
	}
	write := func(path string, e signed.Entry) {
		t.Helper()
		if err := os.WriteFile(path, signed.FormatKeys([]signed.Entry{e}), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(a.keysFile(), signed.Entry{Key: card.Key()})
	root := a.Card.Root.Path(signed.RootFile)
	if err := os.MkdirAll(a.Card.Root.Path("etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(root, signed.Entry{Key: release.Key()})
	start(signed.Entry{Key: setting.Key(), Comment: "me@home"})
	a.OpenWindow()
	if code, said := a.announce(o.manifest, stranger); code != http.StatusNoContent {
		t.Fatalf("by the button: %d %s", code, said)
	}
	entry := func(s *signed.Signer, comment string, from Origin) TrustedKey {
		return TrustedKey{Fingerprint: s.Key().Fingerprint(), Comment: comment, From: from}
	}
	knows := func(want ...TrustedKey) {
		t.Helper()
		got, asks := a.keys()
		for i, k := range got {
			if k.From == FromUpdate {
				if !strings.HasPrefix(k.Comment, "allowed by the button") {
					t.Errorf("of the button's it says %q", k.Comment)
				}
				got[i].Comment = ""
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(TrustedKey{})); diff != "" || !asks || !a.State().Signed {
			t.Errorf("it asks for signatures: %v; -want +got:\n%s", asks, diff)
		}
	}
	knows(entry(setting, "me@home", FromSetting), entry(release, "", FromRelease), entry(card, "", FromCard), entry(stranger, "", FromUpdate))

	removed := func(s *signed.Signer, more string, want int, says string) {
		t.Helper()
		code, said := a.remove(s.Key(), more)
		if code != want || !strings.Contains(said, says) {
			t.Errorf("%d %s, want %d %q", code, said, want, says)
		}
	}
	if code, said := a.announce(o.manifest, release); code != http.StatusNoContent {
		t.Fatalf("of the release: %d %s", code, said)
	}
	a.ask("PUT", "/api/update/root", o.root, digest(o.root))
	removed(setting, "", http.StatusConflict, "take update-key= out of pushcam.txt")
	removed(newSigner(t), "", http.StatusNotFound, "knows no key")
	removed(release, "", http.StatusNoContent, "")
	if code, _ := a.ask("POST", fmt.Sprintf("/api/update/try?root=%x", sha256.Sum256(o.root)), nil, nil); code != http.StatusConflict {
		t.Errorf("what a key had signed that was taken away meanwhile is tried: %d", code)
	}
	removed(stranger, "", http.StatusNoContent, "")
	for range 2 {
		knows(entry(setting, "me@home", FromSetting), entry(card, "", FromCard))
		for _, s := range []*signed.Signer{release, stranger} {
			if code, said := a.announce(o.manifest, s); code != http.StatusUnprocessableEntity {
				t.Errorf("by a key that was taken away: %d %s", code, said)
			}
		}
		start(signed.Entry{Key: setting.Key(), Comment: "me@home"})
	}

	start() // the owner has taken the setting out
	removed(card, "", http.StatusConflict, "no update is taken until its button")
	knows(entry(card, "", FromCard))
	removed(card, "&last=yes", http.StatusNoContent, "")
	for range 2 {
		knows()
		for _, s := range []*signed.Signer{card, release, newSigner(t)} {
			if code, said := a.announce(o.manifest, s); code != http.StatusUnprocessableEntity {
				t.Errorf("after the last key was taken away: %d %s", code, said)
			}
		}
		if code, said := a.take(o.root); code != http.StatusUnprocessableEntity {
			t.Errorf("not signed, after the last key was taken away: %d %s", code, said)
		}
		start()
	}
	a.OpenWindow()
	if code, said := a.announce(o.manifest, release); code != http.StatusNoContent {
		t.Errorf("by the button: %d %s", code, said)
	}
	knows(entry(release, "", FromUpdate))

	// A list of what was taken away that is lost does not make a release's keys count.
	if err := os.WriteFile(a.removedFile(), make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.keysFile(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	start()
	knows()
}

// What cannot be kept is not said to be done.
func TestRemoveKeyNotKept(t *testing.T) {
	a := newCamera(t)
	mine, other := newSigner(t), newSigner(t)
	if err := os.WriteFile(a.keysFile(), signed.FormatKeys([]signed.Entry{{Key: mine.Key()}, {Key: other.Key()}}), 0o600); err != nil {
		t.Fatal(err)
	}
	a.start("v1")
	if err := os.RemoveAll(a.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.Dir, nil, 0o600); err != nil { // no folder any more
		t.Fatal(err)
	}
	if code, said := a.remove(mine.Key(), ""); code != http.StatusInternalServerError || !strings.Contains(said, "cannot be kept") {
		t.Errorf("%d %s", code, said)
	}
	if known, _ := a.keys(); len(known) != 2 {
		t.Errorf("it knows %v", known)
	}
	a.setPhase(OnTrial)
	if code, said := a.remove(mine.Key(), ""); code != http.StatusConflict || !strings.Contains(said, "on trial") {
		t.Errorf("on trial: %d %s", code, said)
	}
}
