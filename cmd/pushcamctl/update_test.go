package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/partition/partitiontest"
	"github.com/pushcam/pushcam/gokrazy/update"
)

// roof is a pushcam that takes updates, or does not.
type roof struct {
	mu      sync.Mutex
	begins  int // times that it says that it has only just begun
	status  update.Status
	after   []update.Status // what it says after the restart; the last again and again
	breaks  int             // uploads that break off
	refuse  int             // with this status, if not 0
	sentry  string          // says, when it refuses
	dark    bool            // its camera gives no picture
	arrived map[string]int  // by part
	tried   string          // query

	manifest []byte // signed
}

func newRoof(after ...update.Status) *roof {
	return &roof{
		status: update.Status{State: update.State{Phase: update.Idle}, Hostname: "attic", Version: "v1", Built: built.Add(-time.Hour), Arch: "arm64", Kernel: "6.12.47-v8", Root: 2, MaxRoot: 1 << 20, MaxBoot: 4 << 20},
		after:  after, arrived: make(map[string]int),
	}
}

func keepsName(r *roof) *roof {
	r.status.KeepsName = true
	return r
}

// hasChips says for which Wi-Fi chips the roof's own image has firmware.
func hasChips(r *roof, names ...string) *roof {
	r.status.Chips = names
	return r
}

func (r *roof) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, password, _ := req.BasicAuth(); password != "the owner's" {
		w.Header().Set("WWW-Authenticate", `Basic realm="pushcam", charset="UTF-8"`)
		http.Error(w, "This needs the owner's password", http.StatusUnauthorized)
		return
	}
	part := filepath.Base(req.URL.Path)
	switch {
	case req.URL.Path == "/api/update":
		s := r.status
		if r.begins > 0 {
			r.begins--
			s = update.Status{}
		}
		if r.tried != "" && len(r.after) > 0 {
			s = r.after[0]
			r.after = r.after[min(1, len(r.after)-1):]
		}
		json.NewEncoder(w).Encode(s)
	case r.refuse != 0:
		http.Error(w, r.sentry, r.refuse)
	case part == "try" && r.dark && req.URL.Query().Get("picture") != "no":
		http.Error(w, "The camera gives no picture: it is not plugged in", http.StatusPreconditionRequired)
	case part == "try":
		r.tried = req.URL.RawQuery
		json.NewEncoder(w).Encode(update.Record{ID: "u1", Outcome: update.Undecided, To: "v2", Root: 3, Camera: !r.dark})
	case r.breaks > 0:
		r.breaks--
		io.CopyN(io.Discard, req.Body, 100)
		panic(http.ErrAbortHandler)
	case part == "manifest":
		var err error
		if r.manifest, err = io.ReadAll(req.Body); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		r.arrived[part]++
		w.WriteHeader(http.StatusNoContent)
	default:
		b, err := io.ReadAll(req.Body)
		sum := sha256.Sum256(b)
		if err != nil || req.Header.Get("Content-Digest") != "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":" || req.ContentLength != int64(len(b)) {
			http.Error(w, fmt.Sprint("damaged: ", err), http.StatusInternalServerError)
			return
		}
		r.arrived[part]++
		w.WriteHeader(http.StatusNoContent)
	}
}

var built = time.Date(2026, 11, 28, 1, 2, 3, 0, time.UTC)

// gaf writes an image for updates.
func gaf(t *testing.T, root partitiontest.Root, kernel string) (path string) {
	t.Helper()
	root.Version, root.Built = "v2", built
	path = filepath.Join(t.TempDir(), "v2.gaf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	for name, content := range map[string][]byte{"root.img": root.Bytes(), "boot.img": partitiontest.Boot{Kernel: kernel}.Bytes()} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func ended(outcome update.Outcome, why string) update.Status {
	version, root := "v2", 3
	if outcome != update.Committed {
		version, root = "v1", 2
	}
	return update.Status{State: update.State{Phase: update.Idle, Last: &update.Record{ID: "u1", Outcome: outcome, Why: why}}, Version: version, Root: root}
}

func TestUpdate(t *testing.T) {
	onTrial := update.Status{State: update.State{Phase: update.OnTrial, Last: &update.Record{ID: "u1", Outcome: update.Undecided}}, Version: "v2", Root: 3}
	for6 := partitiontest.Root{Hostname: "attic", Kernels: []string{"6.12.47-v8"}}
	for7 := partitiontest.Root{Hostname: "attic", Kernels: []string{"7.0.0-v8"}}
	garden := partitiontest.Root{Hostname: "garden", Kernels: []string{"6.12.47-v8"}}
	amd64 := partitiontest.Root{Hostname: "attic", Machine: 62, Kernels: []string{"6.12.47-v8"}}
	large := partitiontest.Root{Hostname: "attic", Kernels: []string{"6.12.47-v8"}, Size: 2 << 20}
	wifi := for6
	wifi.WiFi = `{"sha256": {"/lib/pushcam/wpa_supplicant": "00"}, "missing": [{"compatible": "raspberrypi,400", "chip": "BCM43456"}]}`
	damagedWiFi := for6
	damagedWiFi.WiFi = "{"
	good := []update.Status{{}, {}, onTrial, onTrial, ended(update.Committed, "")}
	tests := []struct {
		name           string
		roof           *roof
		root           partitiontest.Root
		kernel         string // in the boot partition
		args           []string
		answer         string // on the standard input
		code           int
		stdout, stderr []string // parts of it
		arrived        string
	}{
		{name: "good", roof: newRoof(good...), root: for6,
			stdout:  []string{"attic: pushcam v1 → v2\n", "sending  [########################] 100 %", "attic restarts into it; it stays only if the camera gives a picture again\nattic runs v2 on trial\ncommitted: attic runs v2, "},
			arrived: "map[root:1]"},
		{name: "rolled back", roof: newRoof(onTrial, ended(update.RolledBack, "no camera is found\x1b")), root: for6, code: 1,
			stdout: []string{"runs v2 on trial"}, stderr: []string{"rolled back: attic runs v1 again, because no camera is found�. It works as before. If that may have been a matter of the moment, as a cut of the power, give the same command again; ", "pushcamctl logs -follow=false attic"}, arrived: "map[root:1]"},
		{name: "rolled back with its log", roof: newRoof(onTrial, func() update.Status {
			s := ended(update.RolledBack, "it hung")
			s.Log = "msg=one\nmsg=two\x1b[2J\n"
			return s
		}()), root: for6, code: 1,
			stdout: []string{"what v2 logged last on its trial:\n  msg=one\n  msg=two\ufffd[2J\n"}, stderr: []string{"because it hung"}, arrived: "map[root:1]"},
		{name: "rolled back without a picture", roof: newRoof(onTrial, ended(update.RolledBack, "it was not well within 1m0s: "+update.PictureGone+": it is stuck")), root: for6, code: 1,
			stderr: []string{"See whether its page shows a picture now, and whether the camera's cable is seated, then give the same command again"}, arrived: "map[root:1]"},
		{name: "it forgets", roof: newRoof(update.Status{State: update.State{Phase: update.Idle}, Version: "v1", Root: 2}), root: for6, code: 1,
			stderr: []string{"rolled back", "forgotten"}, arrived: "map[root:1]"},
		{name: "it forgets a good one", roof: newRoof(update.Status{State: update.State{Phase: update.Idle}, Version: "v2", Root: 3}), root: for6,
			stdout: []string{"committed"}, arrived: "map[root:1]"},
		{name: "it never says", roof: newRoof(onTrial), root: for6, code: 1, stderr: []string{"not known what became of the update", "within 8m0s", "pushcamctl find shows which version runs"}, arrived: "map[root:1]"},
		{name: "an older one", roof: func() *roof { r := newRoof(good...); r.status.Built = built.Add(time.Hour); return r }(), root: for6,
			stdout: []string{"v1 → v2 (back to an older one: of 2026-11-28 01:02, and what runs is of 2026-11-28 02:02)"}, arrived: "map[root:1]"},
		{name: "the same", roof: func() *roof { r := newRoof(good...); r.status.Version = "v2"; return r }(), root: for6,
			stdout: []string{"v2 → v2 (the same again)"}, arrived: "map[root:1]"},
		{name: "breaks off twice", roof: func() *roof { r := newRoof(good...); r.breaks = 2; return r }(), root: for6,
			stdout: []string{"the upload broke off", "again in 1s", "again in 2s", "committed"}, arrived: "map[root:1]"},
		{name: "breaks off for ever", roof: func() *roof { r := newRoof(); r.breaks = 100; return r }(), root: for6, code: 1,
			stderr: []string{"tried 5 times; attic runs what it ran before: look at its cable or its Wi-Fi, and give the same command again"}, arrived: "map[]"},
		{name: "refused", roof: func() *roof { r := newRoof(); r.refuse, r.sentry = 409, "An update is on trial"; return r }(), root: for6, code: 1,
			stderr: []string{"refused: attic says: An update is on trial"}, arrived: "map[]"},
		{name: "a full disk", roof: func() *roof { r := newRoof(); r.refuse, r.sentry = 507, "/perm is full"; return r }(), root: for6, code: 1,
			stderr: []string{"attic says: /perm is full"}, arrived: "map[]"},
		{name: "no updates there", roof: func() *roof { r := newRoof(); r.status.Trouble = "no card"; return r }(), root: for6, code: 1,
			stderr: []string{"attic says: updates are not possible: no card; write its card anew"}, arrived: "map[]"},
		{name: "no updates there, in colours", roof: func() *roof { r := newRoof(); r.status.Trouble = "no\x1b[2J card"; return r }(), root: for6, code: 1,
			stderr: []string{"not possible: no\ufffd[2J card; write"}, arrived: "map[]"},
		{name: "an end in colours", roof: newRoof(ended("\x1b[2Jgone", "of a reason")), root: for6, code: 1, stderr: []string{"\ufffd[2Jgone: attic runs v1 again"}, arrived: "map[root:1]"},
		{name: "only just begun", roof: func() *roof { r := newRoof(good...); r.begins = 2; return r }(), root: for6,
			stdout: []string{"committed"}, arrived: "map[root:1]"},
		{name: "a wrong password", roof: newRoof(), root: for6, args: []string{"-password", "wrong"}, code: 1, stderr: []string{"the password is wrong"}, arrived: "map[]"},
		{name: "another processor", roof: newRoof(), root: amd64, code: 1, stderr: []string{"the image is for amd64, and attic is arm64"}, arrived: "map[]"},
		{name: "too large", roof: newRoof(), root: large, code: 1, stderr: []string{"has no room"}, arrived: "map[]"},
		{name: "another name", roof: newRoof(), root: garden, code: 1, stderr: []string{"attic has its name only in", "would be called garden", "pushcamctl image -hostname attic -o attic.gaf"}, arrived: "map[]"},
		{name: "another name, and it keeps its own", roof: keepsName(newRoof(good...)), root: garden, stdout: []string{"committed"}, arrived: "map[root:1]"},
		{name: "another kernel", roof: newRoof(), root: for7, kernel: "7.0.0-v8", code: 1,
			stderr: []string{"modules for the kernel 7.0.0-v8, and attic runs 6.12.47-v8: update the kernel too, with -kernel"}, arrived: "map[]"},
		{name: "another kernel that is meant", roof: newRoof(good...), root: for7, kernel: "7.0.0-v8", args: []string{"-kernel"}, answer: "y\n",
			stdout: []string{"the kernel 6.12.47-v8 → 7.0.0-v8", "written anew", "[y/N] ", "kernel   [###", "committed"}, arrived: "map[boot:1 root:1]"},
		{name: "not after all", roof: newRoof(good...), root: for7, kernel: "7.0.0-v8", args: []string{"-kernel"}, answer: "n\n", code: 1,
			stderr: []string{"attic was left as it is"}, arrived: "map[]"},
		{name: "root and kernel that do not fit", roof: newRoof(), root: for6, kernel: "7.0.0-v8", args: []string{"-kernel", "-yes"}, code: 1,
			stderr: []string{"modules for the kernel 6.12.47-v8, and attic would run 7.0.0-v8"}, arrived: "map[]"},
		{name: "no picture, and never mind", roof: func() *roof { r := newRoof(good...); r.dark = true; return r }(), root: for6, answer: "y\n",
			stdout:  []string{"attic says: The camera gives no picture: it is not plugged in\nUpdate attic without that? [y/N] ", "it stays even if the camera gives no picture", "committed"},
			arrived: "map[root:1]"},
		{name: "no picture, and nobody to ask", roof: func() *roof { r := newRoof(); r.dark = true; return r }(), root: for6, code: 1,
			stdout: []string{"gives no picture"}, stderr: []string{"attic was left as it is; -yes updates without asking"}, arrived: "map[root:1]"},
		{name: "no picture, and not to be asked", roof: func() *roof { r := newRoof(good...); r.dark = true; return r }(), root: for6, args: []string{"-yes"},
			stdout: []string{"gives no picture", "committed"}, arrived: "map[root:1]"},
		{name: "with firmware for its radio", roof: hasChips(newRoof(good...), "BCM43455"), root: wifi, stdout: []string{"committed"}, arrived: "map[root:1]"},
		{name: "without firmware for its radio", roof: hasChips(newRoof(), "BCM43456"), root: wifi, answer: "n\n", code: 1,
			stdout: []string{"This image has no firmware for the Wi-Fi chip BCM43456, which what attic runs has", "make the image with -wifi-firmware", "Update attic without that Wi-Fi? [y/N] "},
			stderr: []string{"attic was left as it is; -yes updates without asking"}, arrived: "map[]"},
		{name: "without Wi-Fi, and it has one", roof: hasChips(newRoof(good...), "BCM43430/1", "BCM43430/2"), root: for6, args: []string{"-yes"},
			stdout: []string{"chip BCM43430/1, BCM43430/2, which", "committed"}, arrived: "map[root:1]"},
		{name: "what it says of Wi-Fi is damaged", roof: hasChips(newRoof(), "BCM43456"), root: damagedWiFi, code: 1, stderr: []string{"the image's Wi-Fi: /etc/pushcam-wifi.json: "}, arrived: "map[]"},
		{name: "all there are", roof: newRoof(good...), root: for6, args: []string{"-all", "-password", "the owner's"}, code: 0,
			stdout: []string{"cellar restarts into it", "committed"}, arrived: "map[root:1]"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			kernel := tc.kernel
			if kernel == "" {
				kernel = "6.12.47-v8"
			}
			args := append([]string{"update", "-image", gaf(t, tc.root, kernel)}, tc.args...)
			if !strings.Contains(strings.Join(tc.args, " "), "-all") {
				args = append(args, "attic")
			}
			synctest.Test(t, func(t *testing.T) {
				p := newAttic(t, tc.roof.ServeHTTP).program(t)
				p.stdin = strings.NewReader(tc.answer)
				stdout, stderr, code := try(t, p, args...)
				if code != tc.code {
					t.Errorf("exit status %d, want %d", code, tc.code)
				}
				for _, w := range tc.stdout {
					if !strings.Contains(stdout, w) {
						t.Errorf("it prints\n%s, want %q", stdout, w)
					}
				}
				for _, w := range tc.stderr {
					if !strings.Contains(stderr, w) {
						t.Errorf("it complains\n%s, want %q", stderr, w)
					}
				}
				if got := fmt.Sprint(tc.roof.arrived); got != tc.arrived {
					t.Errorf("what arrived is %s, want %s", got, tc.arrived)
				}
				if (tc.code == 0) != (stderr == "") || strings.Count(stderr, "\n") > 1 {
					t.Errorf("exit status %d and %q", code, stderr)
				}
			})
		})
	}
}

// The first that fails is the last that is tried.
func TestUpdateAllStops(t *testing.T) {
	image := gaf(t, partitiontest.Root{Hostname: "attic", Kernels: []string{"6.12.47-v8"}}, "6.12.47-v8")
	synctest.Test(t, func(t *testing.T) {
		r := newRoof(ended(update.RolledBack, "it hung"))
		p := newAttic(t, r.ServeHTTP).program(t)
		at := func(host string) discovery.Found {
			return discovery.Found{Host: host, Port: 80, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7")}}
		}
		p.browse = finds(at("cellar.local"), discovery.Found{Host: "gone.local"}, at("shed.local"), at("barn.local")).browse
		_, stderr, code := try(t, p, "update", "-all", "-password", "the owner's", "-image", image)
		if code != 1 || !strings.Contains(stderr, "rolled back: cellar") || !strings.Contains(stderr, "2 others are left as they are") {
			t.Errorf("exit status %d: %s", code, stderr)
		}
	})
	p := finds()
	if _, stderr, code := try(t, p, "update", "-all", "-image", image); code != 1 || !strings.Contains(stderr, "no pushcam has answered") {
		t.Errorf("exit status %d: %s", code, stderr)
	}
}

// Ctrl-C ends the command, and it says what becomes of the camera.
func TestUpdateStopped(t *testing.T) {
	t.Attr("fault", "update | Ctrl-C at any moment of an update | it ends, and says what becomes of the camera | –")
	onTrial := update.Status{State: update.State{Phase: update.OnTrial, Last: &update.Record{ID: "u1", Outcome: update.Undecided}}, Version: "v2", Root: 3}
	image := gaf(t, partitiontest.Root{Hostname: "attic", Kernels: []string{"6.12.47-v8"}}, "6.12.47-v8")
	tests := []struct {
		name string
		when func(r *roof, req *http.Request) bool
		want string
	}{
		{"before the upload", func(_ *roof, req *http.Request) bool { return req.URL.Path == "/api/update" }, "pushcamctl: stopped: attic was left as it is\n"},
		{"in the upload", func(_ *roof, req *http.Request) bool { return req.Method == http.MethodPut }, "pushcamctl: stopped: attic was left as it is\n"},
		{"as it begins", func(_ *roof, req *http.Request) bool { return req.Method == http.MethodPost },
			"pushcamctl: stopped: attic may have begun to restart into it already, and then decides by itself whether it stays: pushcamctl find shows which version runs and what became of the update\n"},
		{"in the trial", func(r *roof, req *http.Request) bool { return req.Method == http.MethodGet && r.tried != "" },
			"pushcamctl: stopped, but the trial goes on: in some minutes attic has decided by itself whether v2 stays; leave its power on; pushcamctl find shows which version runs and what became of the update\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRoof(onTrial)
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				p := newAttic(t, func(w http.ResponseWriter, req *http.Request) {
					r.mu.Lock()
					now := tt.when(r, req)
					r.mu.Unlock()
					if now {
						stop()
						time.Sleep(time.Second) // until the client has hung up
						panic(http.ErrAbortHandler)
					}
					r.ServeHTTP(w, req)
				}).program(t)
				var errs strings.Builder
				p.stdout, p.stderr = io.Discard, &errs
				code := p.exitCode(p.run(ctx, []string{"update", "-image", image, "attic"}))
				time.Sleep(time.Minute) // until the camera has seen it
				if code != 1 || errs.String() != tt.want {
					t.Errorf("exit status %d: %s", code, errs.String())
				}
			})
		})
	}
}

// A camera that takes no more of an upload is given up.
func TestUploadStalls(t *testing.T) {
	image := gaf(t, partitiontest.Root{Hostname: "attic", Kernels: []string{"6.12.47-v8"}, Size: 500_000}, "6.12.47-v8")
	synctest.Test(t, func(t *testing.T) {
		r := newRoof()
		p := newAttic(t, func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodPut {
				io.CopyN(io.Discard, req.Body, 100)
				time.Sleep(time.Hour) // it does not look whether anybody is still there
				panic(http.ErrAbortHandler)
			}
			r.ServeHTTP(w, req)
		}).program(t)
		began := time.Now()
		_, stderr, code := try(t, p, "update", "-image", image, "attic")
		if took := time.Since(began); code != 1 || !strings.Contains(stderr, "does not take more: nothing was taken for 30s; tried 5 times") || took > 10*time.Minute {
			t.Errorf("exit status %d after %v: %s", code, took, stderr)
		}
		time.Sleep(2 * time.Hour) // until the camera has seen it
	})
}

func TestUpdateMisused(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no host":                             {nil, 2, "which pushcam?"},
		"host and all":                        {[]string{"-all", "attic"}, 2, "which pushcam?"},
		"firmware for an image that is there": {[]string{"attic", "-image", "attic.gaf", "-wifi-firmware", "."}, 2, "not for the one of -image"},
		"two hosts":                           {[]string{"attic", "cellar"}, 2, `one HOST, not also "cellar"`},
		"no name":                             {[]string{"../x"}, 2, "neither a name nor an address"},
		"no image":                            {[]string{"attic", "-image", "none.gaf"}, 1, "there is no image none.gaf; make one with: pushcamctl image -o pushcam.gaf"},
		"not an image":                        {[]string{"attic", "-image", "update_test.go"}, 1, "is not an image for updates (.gaf)"},
		"a folder":                            {[]string{"attic", "-image", "."}, 1, "is not an image for updates (.gaf)"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newAttic(t, newRoof().ServeHTTP).program(t)
				if _, stderr, code := try(t, p, append([]string{"update"}, tc.args...)...); code != tc.code || !strings.Contains(stderr, tc.want) {
					t.Errorf("exit status %d: %s", code, stderr)
				}
			})
		})
	}
}
