package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/partition/partitiontest"
	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

// with is an image for updates with one file more.
func with(t *testing.T, gaf, name string, content []byte) (path string) {
	t.Helper()
	in, err := zip.OpenReader(gaf)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var b bytes.Buffer
	out := zip.NewWriter(&b)
	for _, entry := range in.File {
		if err := out.Copy(entry); err != nil {
			t.Fatal(err)
		}
	}
	w, err := out.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err == nil {
		_, err = w.Write(content)
	}
	path = filepath.Join(t.TempDir(), "signed.gaf")
	if err == nil {
		err = out.Close()
	}
	if err == nil {
		err = os.WriteFile(path, b.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// manifestOf is what an image for updates is, without a signature.
func manifestOf(t *testing.T, gaf string) (m signed.Manifest) {
	t.Helper()
	a, err := partition.OpenArchive(gaf)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	m = signed.Manifest{Version: a.RootInfo.Version, Built: a.RootInfo.Built, Arch: a.RootInfo.Arch}
	if m.Root, err = signed.Describe(a.Root); err != nil {
		t.Fatal(err)
	}
	if m.Boot, err = signed.Describe(a.Boot); err != nil {
		t.Fatal(err)
	}
	return m
}

func signer(t *testing.T, p *program) *signed.Signer {
	t.Helper()
	p.stdout = new(strings.Builder)
	s, err := p.signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// An update is signed by whom the camera knows: by whoever made the image, else by this
// computer.
func TestUpdateSigned(t *testing.T) {
	root := partitiontest.Root{Hostname: "attic", Kernels: []string{"6.12.47-v8"}}
	plain := gaf(t, root, "6.12.47-v8")
	release, _, err := signed.LoadOrMakeSigner(t.Context(), filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := manifestOf(t, plain).Sign(release)
	if err != nil {
		t.Fatal(err)
	}
	lies := manifestOf(t, plain)
	lies.Root.Pieces[0][0] ^= 1
	lie, err := lies.Sign(release)
	if err != nil {
		t.Fatal(err)
	}
	released := with(t, plain, partition.ManifestFile, text)
	const made = "This computer's key for updates is made: "
	for _, tc := range []struct {
		name           string
		image          string
		own, release   bool // the camera knows this computer, and who made the release
		by             *signed.Signer
		refuse         int
		code           int
		stdout, stderr string
		arrived        string
	}{
		{"of nobody, and the camera knows this computer", plain, true, false, nil, 0, 0, "The image is signed by nobody, and not by anybody whom attic knows: this computer, which it knows, signs it\n", "", "map[manifest:1 root:1]"},
		{"of the release, which the camera knows", released, true, true, release, 0, 0, "committed", "", "map[manifest:1 root:1]"},
		{"of the release, and the camera knows this computer only", released, true, false, nil, 0, 0, "this computer, which it knows, signs it\n", "", "map[manifest:1 root:1]"},
		{"of nobody, and the camera knows nobody", plain, false, false, nil, 0, 0, "From now on attic takes updates from this computer, and not from everybody", "", "map[manifest:1 root:1]"},
		{"of nobody, and the camera does not know this computer", plain, false, true, nil, http.StatusUnprocessableEntity, 1, "", "refused: attic says: not from you", "map[]"},
		{"of something else", with(t, plain, partition.ManifestFile, lie), true, true, nil, 0, 1, "", "it is not what was signed: it was changed, or is damaged; get it anew", "map[]"},
		{"of something that is none", with(t, plain, partition.ManifestFile, []byte("{}")), true, true, nil, 0, 1, "", "it has no signature; get it anew", "map[]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRoof(ended(update.Committed, ""))
				r.status.TakesSigned, r.status.ID, r.refuse, r.sentry = true, "ABCDEFGHIJKLMNOP", tc.refuse, "not from you"
				p := newAttic(t, r.ServeHTTP).program(t)
				want := tc.by
				if tc.own {
					own := signer(t, p)
					r.status.Keys = append(r.status.Keys, own.Key().Fingerprint())
				}
				if tc.release {
					r.status.Keys = append(r.status.Keys, release.Key().Fingerprint())
				}
				r.status.Signed = len(r.status.Keys) > 0
				stdout, stderr, code := try(t, p, "update", "-image", tc.image, "attic")
				if code != tc.code || !strings.Contains(stdout, tc.stdout) || !strings.Contains(stderr, tc.stderr) {
					t.Errorf("exit status %d: %s%s; want %q, %q", code, stdout, stderr, tc.stdout, tc.stderr)
				}
				if strings.Contains(stdout, made) == tc.own {
					t.Errorf("a key is made, or not: %s", stdout)
				}
				if got := fmt.Sprint(r.arrived); got != tc.arrived {
					t.Errorf("what arrived is %s, want %s", got, tc.arrived)
				}
				if r.manifest == nil {
					return
				}
				m, key, err := signed.Open(r.manifest)
				if err != nil {
					t.Fatal(err)
				}
				if want == nil {
					want = signer(t, p)
				}
				if key != want.Key() || (m.Camera == "") != (want == release) || m.Camera != "" && m.Camera != r.status.ID {
					t.Errorf("signed by %s for %q, want %s", key.Fingerprint(), m.Camera, want.Key().Fingerprint())
				}
			})
		})
	}
}

// What a camera will refuse is said before an image is built for it.
func TestHintUnknown(t *testing.T) {
	p, dir := new(program), t.TempDir()
	p.configDir = func() (string, error) { return dir, nil }
	own := signer(t, p).Key().Fingerprint()
	for name, tc := range map[string]struct {
		to   update.Status
		says bool
	}{
		"an old version":               {update.Status{}, false},
		"one that knows nobody":        {update.Status{TakesSigned: true}, false},
		"one that knows this computer": {update.Status{TakesSigned: true, State: update.State{Signed: true}, Keys: []string{"another", own}}, false},
		"one that knows another":       {update.Status{TakesSigned: true, State: update.State{Signed: true}, Keys: []string{"another"}}, true},
		"one that knows nobody more":   {update.Status{TakesSigned: true, State: update.State{Signed: true}}, true},
	} {
		var said strings.Builder
		p.stdout = &said
		if err := p.hintUnknown(t.Context(), &remote{name: "attic"}, &tc.to); err != nil || strings.Contains(said.String(), "attic does not know this computer") != tc.says {
			t.Errorf("%s: %v, %q", name, err, said.String())
		}
	}
}

func TestSignerIsMadeOnce(t *testing.T) {
	p := new(program)
	dir := t.TempDir()
	p.configDir = func() (string, error) { return dir, nil }
	first := signer(t, p)
	if second := signer(t, p); first.Key() != second.Key() {
		t.Error("each time it is another key")
	}
	if info, err := os.Stat(filepath.Join(dir, "pushcam", "update-key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
