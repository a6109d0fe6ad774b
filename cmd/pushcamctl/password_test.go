package main

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/partition/partitiontest"
	"github.com/pushcam/pushcam/gokrazy/update"
)

// Two ids.
const (
	idA = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	idB = "BBCDEFGHIJKLMNOPQRSTUVWXYZ"
)

func TestPasswords(t *testing.T) {
	dir := t.TempDir()
	k := passwords{dir: func() (string, error) { return dir, nil }}
	check := func(name, given, want string, wantOrigin passwordOrigin) {
		t.Helper()
		got, origin, err := k.choose(name, given)
		if err != nil || got != want || origin != wantOrigin {
			t.Errorf("choose(%q, %q) is %q, %d, %v; want %q, %d", name, given, got, origin, err, want, wantOrigin)
		}
	}
	fresh, origin, err := k.choose("cam", "")
	if err != nil || origin != newPassword || !regexp.MustCompile(`^[a-z2-9]{4}(-[a-z2-9]{4}){3}$`).MatchString(fresh) {
		t.Fatalf("a new password: %q, %d, %v", fresh, origin, err)
	}
	if again, _, err := k.choose("cam", ""); err != nil || again == fresh {
		t.Errorf("another new password: %q, %v", again, err)
	}
	path, err := k.keep("cam", idA, fresh)
	if err != nil {
		t.Fatal(err)
	}
	check("cam", "", fresh, oldPassword)
	check("cam", "given by me", "given by me", givenPassword)
	// A later image of that name does not take the password from the earlier one.
	later, err := k.keep("cam", idB, " given by me ")
	if err != nil || later == path {
		t.Errorf("kept in %q, %v", later, err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	check("cam", "", " given by me ", oldPassword)
	if kept, err := k.of(idA); err != nil || kept == nil || kept.path != path {
		t.Errorf("the earlier one's is %+v, %v; want %s", kept, err, path)
	}
	if other, origin, err := k.choose("cam-2", ""); err != nil || origin != newPassword || other == "given by me" {
		t.Errorf("another camera's: %q, %d, %v", other, origin, err)
	}

	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): os.ModeDir | 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want mode %v", name, info.Mode(), err, want)
		}
	}
	if files := passwordFiles(t, dir); len(files) != 2 {
		t.Errorf("left behind: %v", files)
	}
}

// passwordFiles are the files with passwords and their contents.
func passwordFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, "pushcam"))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), passwordSuffix) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, "pushcam", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[f.Name()] = string(text)
	}
	return all
}

// The password is found without a question, whatever the camera is called by.
func TestKeptPassword(t *testing.T) {
	state := func(id, hostname, host string) string {
		text, err := json.Marshal(map[string]any{"camera": map[string]any{"phase": "live"}, "id": id, "hostname": hostname, "network": map[string]any{"host": host}})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const none = "no password is kept for"
	tests := []struct {
		name, host string
		id         string            // in its certificate
		state      string            // that the camera tells; empty: it tells none
		files      map[string]string // kept before
		after      map[string]string // nil: the same
		fails      string            // why there is no log
	}{
		{name: "by its name", host: "attic", id: idA, state: state(idA, "attic", "attic.local"), files: map[string]string{"attic." + idA: "the owner's\n"}},
		{name: "by its address", host: "192.0.2.7", id: idA, state: state(idA, "attic", "attic.local"), files: map[string]string{"attic." + idA: "the owner's\n"}},
		{name: "by the link that find prints", host: "http://192.0.2.7/", id: idA, state: state(idA, "attic", "attic.local"), files: map[string]string{"attic." + idA: "the owner's\n"}},
		{name: "after it was renamed", host: "attic", id: idA, state: state(idA, "attic", "attic.local"),
			files: map[string]string{"garden." + idA: "the owner's\n"}, after: map[string]string{"attic." + idA: "the owner's\n"}},
		{name: "its name is a path", host: "attic", id: idA, state: state(idA, "../attic", "attic.local"), files: map[string]string{"garden." + idA: "the owner's\n"}},
		{name: "the second of its name", host: "attic", id: idB, state: state(idB, "garden", "attic.local"), files: map[string]string{"garden." + idA: "another\n", "garden." + idB: "the owner's\n", "attic." + idA: "another\n"}},
		{name: "with blanks", host: "attic", id: idA, state: state(idA, "attic", "attic.local"), files: map[string]string{"attic." + idA: " the owner's \n"}, fails: "the password is wrong"},
		{name: "of before there were ids", host: "attic", id: idA, state: state(idA, "attic", "attic.local"),
			files: map[string]string{"attic": "the owner's\n"}, after: map[string]string{"attic." + idA: "the owner's\n"}},
		{name: "of before there were ids, by its address", host: "192.0.2.7", id: idA, state: state(idA, "attic", "attic.local"),
			files: map[string]string{"attic": "the owner's\n"}, after: map[string]string{"attic." + idA: "the owner's\n"}},
		{name: "of before there were ids, the second of its name", host: "attic", id: idA, state: state(idA, "garden", "attic.local"),
			files: map[string]string{"garden": "the owner's\n"}, after: map[string]string{"garden." + idA: "the owner's\n"}},
		{name: "a camera of before there were ids", host: "attic", state: state("", "", "attic.local"), files: map[string]string{"attic": "the owner's\n"}},
		{name: "such a camera by its address tells a name, which proves nothing", host: "192.0.2.7", state: state("", "", "attic.local"), files: map[string]string{"attic": "the owner's\n"}, fails: none},
		{name: "it tells another's id", host: "192.0.2.7", id: idB, state: state(idA, "shed", "shed.local"), files: map[string]string{"attic." + idA: "the owner's\n"}, fails: none},
		{name: "such a camera whose file was moved", host: "attic", state: state("", "", "attic.local"), files: map[string]string{"attic." + idA: "the owner's\n"}},
		{name: "it tells nothing", host: "attic", files: map[string]string{"attic": "the owner's\n"}},
		{name: "a wrong one stays where it is", host: "attic", id: idA, state: state(idA, "attic", "attic.local"), files: map[string]string{"attic": "another\n"}, fails: "the password is wrong"},
		{name: "another card's", host: "attic", id: idB, state: state(idB, "attic", "attic.local"), files: map[string]string{"attic." + idA: "the owner's\n"}, fails: none},
		{name: "an id that is a path", host: "attic", state: state("../x", "", "../attic"), files: map[string]string{"garden": "the owner's\n"}, fails: none},
		{name: "what has nothing to do with it", host: "attic", id: idA, state: state(idA, "attic", "attic.local"),
			files: map[string]string{"attic.x": "the owner's\n", "": "the owner's\n"}, fails: none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAttic(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/state" && tt.state != "" {
						if r.Header.Get("Authorization") != "" {
							t.Error("what everybody is told is asked for with the password")
						}
						w.Write([]byte(tt.state))
						return
					}
					guarded(w, r, "r1", 1, "line")
				})
				dir := t.TempDir()
				files := make(map[string]string)
				for name, content := range tt.files {
					oldPasswordFile(t, dir, name, content)
					files[name+".password"] = content
				}
				a.id = tt.id
				p := a.program(t)
				p.configDir = func() (string, error) { return dir, nil }
				stdout, stderr, code := try(t, p, "logs", "-follow=false", "-key", a.key.Fingerprint(), tt.host)
				if tt.fails == "" && (stdout != "line\n" || stderr != "" || code != 0) || tt.fails != "" && (code != 1 || !strings.Contains(stderr, tt.fails)) {
					t.Errorf("%q, %q, exit status %d; want %q", stdout, stderr, code, tt.fails)
				}
				if tt.after != nil {
					clear(files)
					for name, content := range tt.after {
						files[name+".password"] = content
					}
				}
				if diff := cmp.Diff(files, passwordFiles(t, dir)); diff != "" {
					t.Errorf("kept (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// All cameras are updated without a question, also those of which mDNS alone tells
// the id.
func TestKeptPasswordOfAll(t *testing.T) {
	image := gaf(t, partitiontest.Root{Hostname: "attic", Kernels: []string{"6.12.47-v8"}}, "6.12.47-v8")
	synctest.Test(t, func(t *testing.T) {
		r := newRoof(ended(update.Committed, ""))
		a := newAttic(t, r.ServeHTTP)
		a.id = idA
		p := a.stranger(t)
		dir := t.TempDir()
		p.configDir = func() (string, error) { return dir, nil }
		if _, err := (passwords{dir: p.configDir}).keep("attic", idA, "the owner's"); err != nil {
			t.Fatal(err)
		}
		if err := (knownCameras{p.configDir}).add(a.key.Fingerprint(), idA); err != nil { // as pushcamctl image does
			t.Fatal(err)
		}
		p.browse = finds(discovery.Found{Host: "cellar.local", Port: 80, ID: idA, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7")}}).browse
		if _, stderr, code := try(t, p, "update", "-all", "-image", image); code != 0 || stderr != "" {
			t.Errorf("exit status %d: %s", code, stderr)
		}
	})
}
