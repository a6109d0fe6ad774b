package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/identity"
	"github.com/pushcam/pushcam/gokrazy/partition/partitiontest"
)

// otherKey is a fingerprint of nobody's key.
var otherKey = "SHA256:" + strings.Repeat("A", 43)

// An impostor that answers in a camera's place, as any camera would, gets neither its
// password nor an update, whichever command it is.
func TestImpostor(t *testing.T) {
	t.Attr("fault", "abuse | an impostor answers in a camera's place | pushcamctl sends it neither password nor update | a sentence that says so")
	image := gaf(t, partitiontest.Root{Hostname: "attic", Kernels: []string{"6.12.47-v8"}}, "6.12.47-v8")
	key, err := identity.New()
	if err != nil {
		t.Fatal(err)
	}
	camera := key.Fingerprint()
	for _, command := range [][]string{{"logs", "-follow=false"}, {"update", "-image", image}} {
		for _, tt := range []struct {
			name  string
			known map[string]string // fingerprints, by name or id
			id    string            // that the impostor says to have
			plain bool              // it answers without TLS only
			args  []string
			want  string // why not
		}{
			{"in the place of a camera that is known", map[string]string{"attic": camera, idA: camera}, idA, false, []string{"attic"}, "is not the camera that this computer knows: its key is SHA256:"},
			{"with an id of its own", map[string]string{"attic": camera, idA: camera}, idB, false, []string{"attic"}, "is not the camera that this computer knows"},
			{"as a camera of the owner's", map[string]string{"attic": otherKey, idB: "its own"}, idB, false, []string{"attic"}, "is not the camera that this computer knows"},
			{"at its address", map[string]string{"attic": camera, idA: camera}, idA, false, []string{"192.0.2.7"}, "is not the camera that this computer knows"},
			{"at an address, without an id", map[string]string{"192.0.2.7": camera}, "", false, []string{"192.0.2.7"}, "is not the camera that this computer knows"},
			{"before there is a terminal to ask", nil, idA, false, []string{"attic"}, "does not know attic yet, whose key is SHA256:"},
			{"with -yes", nil, idA, false, []string{"attic", "-yes"}, "does not know attic yet"},
			{"with another key than the one that is given", nil, idA, false, []string{"attic", "-key", camera}, "and not the one of -key"},
			{"without TLS", map[string]string{"attic": camera}, idA, true, []string{"attic"}, "no pushcam is at attic that can prove who it is"},
			{"without TLS, as -insecure allows", map[string]string{"attic": camera}, idA, true, []string{"attic", "-insecure"}, "has proved to this computer who it is, and can do so again: leave -insecure out"},
			{"at a port that is not for TLS", map[string]string{"attic:80": camera}, idA, false, []string{"attic:80"}, "does not speak TLS on port 80"},
			{"found by multicast DNS", map[string]string{"cellar": camera}, idA, false, []string{"cellar"}, "is not the camera that this computer knows"},
		} {
			args := append(command, tt.args...)
			if command[0] == "logs" && strings.Contains(tt.name, "-yes") {
				continue
			}
			t.Run(command[0]+" "+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := newAttic(t, func(w http.ResponseWriter, r *http.Request) {
						t.Errorf("it was sent %s %s with %q", r.Method, r.URL, r.Header["Authorization"])
						guarded(w, r, "r1", 1, "line")
					})
					a.id, a.old = tt.id, tt.plain
					p := a.stranger(t)
					for name, key := range tt.known {
						if key == "its own" {
							key = a.key.Fingerprint()
						}
						if err := (knownCameras{p.configDir}).add(key, name); err != nil {
							t.Fatal(err)
						}
					}
					_, stderr, code := try(t, p, args...)
					if code != 1 || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
						t.Errorf("exit status %d, want 1 and %q: %s", code, tt.want, stderr)
					}
				})
			})
		}
	}
}

// A camera whose key changes between two requests is sent nothing any more.
func TestImpostorLater(t *testing.T) {
	image := gaf(t, partitiontest.Root{Hostname: "attic", Kernels: []string{"6.12.47-v8"}}, "6.12.47-v8")
	synctest.Test(t, func(t *testing.T) {
		r := newRoof()
		a := newAttic(t, nil)
		others, err := identity.New()
		if err != nil {
			t.Fatal(err)
		}
		own := a.key.Fingerprint()
		a.answer = func(w http.ResponseWriter, req *http.Request) {
			if a.key == others {
				t.Errorf("the other one was sent %s %s", req.Method, req.URL)
			}
			r.ServeHTTP(w, req)
			if req.Header.Get("Authorization") != "" {
				a.key = others
			}
		}
		p := a.program(t)
		_, stderr, code := try(t, p, "update", "-image", image, "-key", own, "attic")
		if code != 1 || !strings.Contains(stderr, "attic has not proved to be the camera that it was") || len(r.arrived) > 0 {
			t.Errorf("exit status %d: %s; arrived %v", code, stderr, r.arrived)
		}
	})
}

// A camera that has so much to do that it is late is asked again.
func TestBusyCamera(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttic(t, func(w http.ResponseWriter, r *http.Request) { guarded(w, r, "r1", 1, "line") })
		p := a.program(t)
		late := 2
		p.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if late == 0 {
				return a.dial(ctx, network, address)
			}
			late--
			ours, theirs := net.Pipe()
			time.AfterFunc(10*time.Second, func() { theirs.Close() }) // as http.Server does
			go io.Copy(io.Discard, theirs)
			return ours, nil
		}
		if stdout, stderr, code := try(t, p, "logs", "-follow=false", "attic"); code != 0 || stdout != "line\n" || stderr != "" {
			t.Errorf("%q, %q, exit status %d", stdout, stderr, code)
		}
	})
}

// A camera that is not known is asked about once.
func TestFirstMeeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttic(t, func(w http.ResponseWriter, r *http.Request) { guarded(w, r, "r1", 1, "line") })
		a.id = idA
		p := a.stranger(t)
		p.askPassword = func(context.Context, string) (string, error) { return "the owner's", nil }
		ask := func(answer string, args ...string) (string, string, int) {
			p.stdin = strings.NewReader(answer)
			return try(t, p, append([]string{"logs", "-follow=false", "-password", "the owner's"}, args...)...)
		}
		question := fmt.Sprintf("This computer does not know attic yet. Its key is %s;\npushcam-report.txt on the camera's card tells the right one. Is it yours? [y/N] ", a.key.Fingerprint())
		if stdout, stderr, code := ask("n\n", "attic"); code != 1 || stdout != "" || stderr != question+"pushcamctl: nothing was sent to attic\n" {
			t.Errorf("no: %q, %q, exit status %d", stdout, stderr, code)
		}
		if stdout, stderr, code := ask("y\n", "attic"); code != 0 || stdout != "line\n" || stderr != question {
			t.Errorf("yes: %q, %q, exit status %d", stdout, stderr, code)
		}
		for _, host := range []string{"attic", "attic.local", "192.0.2.7", "attic2"} { // by its id
			if stdout, stderr, code := ask("", host); code != 0 || stdout != "line\n" || stderr != "" {
				t.Errorf("%s afterwards: %q, %q, exit status %d", host, stdout, stderr, code)
			}
		}
		// Its card is written anew.
		other, err := identity.New()
		if err != nil {
			t.Fatal(err)
		}
		a.key = other
		if _, stderr, code := ask("y\n", "attic"); code != 1 || !strings.Contains(stderr, "give it once with -key "+other.Fingerprint()) {
			t.Errorf("another key: %q, exit status %d", stderr, code)
		}
		for _, args := range [][]string{{"attic", "-key", other.Fingerprint()}, {"attic"}} {
			if stdout, stderr, code := ask("", args...); code != 0 || stdout != "line\n" || stderr != "" {
				t.Errorf("%q: %q, %q, exit status %d", args, stdout, stderr, code)
			}
		}
		path := filepath.Join(configOf(t, p), "pushcam", "known-cameras")
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	})
}

func configOf(t *testing.T, p *program) string {
	t.Helper()
	dir, err := p.configDir()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// A camera of before it could speak TLS is updated once, if the user says so.
func TestInsecure(t *testing.T) {
	image := gaf(t, partitiontest.Root{Hostname: "attic", Kernels: []string{"6.12.47-v8"}}, "6.12.47-v8")
	synctest.Test(t, func(t *testing.T) {
		r := newRoof(ended("committed", ""))
		a := newAttic(t, r.ServeHTTP)
		a.old = true
		p := a.stranger(t)
		p.browse = finds(discovery.Found{}).browse
		if _, stderr, code := try(t, p, "update", "-image", image, "attic"); code != 1 || !strings.Contains(stderr, "is updated once with -insecure") || len(r.arrived) > 0 {
			t.Errorf("exit status %d: %s; arrived %v", code, stderr, r.arrived)
		}
		if stdout, stderr, code := try(t, p, "update", "-image", image, "attic", "-insecure"); code != 0 || stderr != "" || !strings.Contains(stdout, "committed: attic runs v2") {
			t.Errorf("exit status %d: %s%s", code, stdout, stderr)
		}
	})
}

// Who answers without TLS can tell any id and any name. The password that is kept for a
// camera that can prove who it is does not go there by that.
func TestInsecureImpostor(t *testing.T) {
	t.Attr("fault", "abuse | an impostor without TLS tells the id of a camera | pushcamctl -insecure does not send it that camera's password | a sentence that says so")
	for _, tt := range []struct {
		host, id string // that it tells
		known    bool
		args     []string
	}{
		{"192.0.2.7", idA, true, nil},
		{"192.0.2.7", "", true, nil},
		{"192.0.2.7", idA, true, []string{"-password", "typed"}},
		{"cellar", idA, true, nil},
		{"192.0.2.7", idA, false, nil},
		{"192.0.2.7", "", false, nil},
		{"cellar", idA, false, nil},
	} {
		t.Run(fmt.Sprintf("%s, its id %q, known: %v, %q", tt.host, tt.id, tt.known, tt.args), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAttic(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/state" {
						fmt.Fprintf(w, `{"camera": {"phase": "live"}, "id": %q, "hostname": "attic", "network": {"host": "attic.local"}}`, tt.id)
						return
					}
					if _, password, ok := r.BasicAuth(); tt.known && ok {
						t.Errorf("the password %q was sent", password)
					}
					guarded(w, r, "r1", 1, "line")
				})
				a.old = true
				p := a.stranger(t)
				kept := filepath.Join(configOf(t, p), "pushcam", "attic")
				if err := os.Rename(kept+".password", kept+"."+idA+".password"); err != nil {
					t.Fatal(err)
				}
				if tt.known {
					if err := (knownCameras{p.configDir}).add(otherKey, idA, "attic"); err != nil {
						t.Fatal(err)
					}
				}
				stdout, stderr, code := try(t, p, append([]string{"logs", "-follow=false", "-insecure", tt.host}, tt.args...)...)
				if tt.known && (code != 1 || !strings.Contains(stderr, "has proved to this computer who it is")) || !tt.known && (code != 0 || stdout != "line\n") {
					t.Errorf("exit status %d: %s%s", code, stdout, stderr)
				}
			})
		})
	}
}

// What the user has written into the file may be anything; the last line of a name
// counts.
func TestKnownCameras(t *testing.T) {
	dir := t.TempDir()
	k := knownCameras{func() (string, error) { return dir, nil }}
	if all, err := k.all(); err != nil || len(all) != 0 {
		t.Errorf("nothing is there, and %v, %v", all, err)
	}
	path := filepath.Join(dir, "pushcam", "known-cameras")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("# mine\n\ngarden\ngarden SHA256:short\nattic "+otherKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := "SHA256:" + strings.Repeat("B", 43)
	if err := k.add(newer, "attic", idA); err != nil {
		t.Fatal(err)
	}
	if all, err := k.all(); err != nil || len(all) != 2 || all["attic"] != newer || all[idA] != newer {
		t.Errorf("known are %v, %v", all, err)
	}
	if _, stderr, code := try(t, new(program), "logs", "attic", "-key", "SHA256:short"); code != 2 || !strings.Contains(stderr, "a key is given as SHA256:") {
		t.Errorf("exit status %d: %s", code, stderr)
	}
	if _, stderr, code := try(t, new(program), "update", "-all", "-key", newer); code != 2 || !strings.Contains(stderr, "-key is that of one camera") {
		t.Errorf("exit status %d: %s", code, stderr)
	}
}
