package update

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushcam/pushcam/gokrazy/fat"
	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/partition/partitiontest"
	"github.com/pushcam/pushcam/gokrazy/update/card"
	"github.com/pushcam/pushcam/gokrazy/update/card/cardtest"
)

// camera is a pushcam with a card.
type camera struct {
	*Server
	t       *testing.T
	reboots int
	shown   []bool // by the LEDs: on trial
	checks
}

// checks is a Health.
type checks struct {
	answers, picture func(context.Context) error
	board            func() error
	private          bool
}

func (c *checks) Answers(ctx context.Context) error { return c.answers(ctx) }
func (c *checks) Picture(ctx context.Context) error { return c.picture(ctx) }
func (c *checks) Board() error                      { return c.board() }
func (c *checks) Private() bool                     { return c.private }

func fine(context.Context) error { return nil }

func newCamera(t *testing.T) *camera {
	c := &camera{t: t, checks: checks{answers: fine, picture: fine, board: func() error { return nil }}}
	c.Server = &Server{Card: cardtest.NewCard(t, 2), Dir: t.TempDir()}
	c.start("v1")
	return c
}

// begin is what a program of this version does first, without looking at the card.
func (c *camera) begin(version string) {
	c.Server = &Server{
		Card: c.Card, Dir: c.Dir, Version: version, ID: "THE-CAMERAS", Hostname: "garden", Log: slog.New(slog.NewTextHandler(c.t.Output(), nil)), Health: &c.checks,
		Reboot:    func(context.Context) error { c.reboots++; return nil },
		ShowTrial: func(on bool) { c.shown = append(c.shown, on) },
		LastLines: func(max int) []byte { return fmt.Appendf(nil, "%s has %d bytes\n", version, max) },
	}
}

// start is what a program of this version does before it tries an update.
func (c *camera) start(version string) {
	c.begin(version)
	c.open(c.t.Context())
}

// restart is a boot: as gokrazy's init, it takes the root that is to be tried.
func (a *camera) restart() (trial bool) {
	a.t.Helper()
	b := a.onCard()
	running := b.Next.Root
	if b.Next.Try {
		running = partition.OtherRoot(running)
		if err := a.Card.SetNext(partition.Next{Root: b.Next.Root}); err != nil {
			a.t.Fatal(err)
		}
	}
	// The kernel's command line is that of the card.
	line := strings.Replace(partitiontest.Cmdline, "PARTNROFF=1", fmt.Sprint("PARTNROFF=", b.Next.Root-1), 1)
	if err := os.WriteFile(a.Card.Root.Path("proc/cmdline"), []byte(line), 0o644); err != nil {
		a.t.Fatal(err)
	}
	cardtest.Run(a.t, a.Card, running)
	return b.Next.Try
}

func (a *camera) onCard() card.Boot {
	a.t.Helper()
	b, err := a.Card.Boot()
	if err != nil {
		a.t.Fatal(err)
	}
	return b
}

func (a *camera) ask(method, path string, body []byte, header http.Header) (int, string) {
	a.t.Helper()
	r := httptest.NewRequest(method, "http://pushcam"+path, bytes.NewReader(body))
	for k, v := range header {
		r.Header[k] = v
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func digest(b []byte) http.Header {
	sum := sha256.Sum256(b)
	return http.Header{"Content-Digest": {"sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"}}
}

// send uploads a root file system and has it tried.
func (a *camera) send(root []byte) {
	a.t.Helper()
	if code, said := a.ask("PUT", "/api/update/root", root, digest(root)); code != http.StatusNoContent {
		a.t.Fatalf("upload: %d %s", code, said)
	}
	if code, said := a.ask("POST", fmt.Sprintf("/api/update/try?root=%x", sha256.Sum256(root)), nil, nil); code != http.StatusOK {
		a.t.Fatalf("try: %d %s", code, said)
	}
}

func (a *camera) want(state Outcome, why string) {
	a.t.Helper()
	r := a.readRecord()
	if r == nil || r.Outcome != state || !strings.Contains(r.Why, why) || (why == "") != (r.Why == "") {
		a.t.Errorf("the record is %+v, want %s, %q", r, state, why)
	}
}

var newRoot = cardtest.Root("v2").Bytes()

// What a trial logged last is kept for its owner, until another update comes, and is not
// in what everybody sees.
func TestLogOfTheTrial(t *testing.T) {
	a := newCamera(t)
	logged := func() string {
		var s Status
		if code, said := a.ask("GET", "/api/update/", nil, nil); code != http.StatusOK || json.Unmarshal([]byte(said), &s) != nil {
			t.Fatalf("%d %s", code, said)
		}
		return s.Log
	}
	fails := func(context.Context) error { return errors.New("no camera is found") }
	for range 2 {
		a.send(newRoot)
		a.restart()
		a.start("v2")
		a.picture = fails
		synctest.Test(t, func(t *testing.T) { a.tryIt(t.Context()) })
		a.picture = fine
		a.restart()
		a.start("v1")
		a.want(RolledBack, "no camera is found")
		if got, want := logged(), fmt.Sprintf("v2 has %d bytes\n", maxLog); got != want {
			t.Errorf("%q is kept of the trial, want %q", got, want)
		}
		if public, err := json.Marshal(a.State()); err != nil || strings.Contains(string(public), "bytes") {
			t.Errorf("everybody sees %s, %v", public, err)
		}
	}
	a.send(newRoot)
	if got := logged(); got != "" {
		t.Errorf("of another update %q is kept", got)
	}
	a.restart() // and it does not begin
	a.restart()
	a.start("v1")
	a.want(RolledBack, "never began")
	if got := logged(); got != "" {
		t.Errorf("%q is kept of an update that never began", got)
	}
}

// Two updates in a row, from one partition to the other and back.
func TestUpdate(t *testing.T) {
	a := newCamera(t)
	for i, version := range []string{"v2", "v3"} {
		a.send(cardtest.Root(version).Bytes())
		if a.reboots != i+1 || a.State().Phase != Restarting || !strings.Contains(a.State().Message, "restarting") {
			t.Fatalf("%d reboots, %s", a.reboots, a.State().Phase)
		}
		if !a.restart() {
			t.Fatal("the next boot is no trial")
		}
		a.start(version)
		if a.State().Phase != OnTrial || !strings.Contains(a.State().Message, version+" is on trial") {
			t.Fatalf("%s, %q after the restart", a.State().Phase, a.State().Message)
		}
		if code, said := a.ask("PUT", "/api/update/root", newRoot, digest(newRoot)); code != http.StatusConflict || !strings.Contains(said, "on trial") {
			t.Errorf("another update: %d %s", code, said)
		}
		synctest.Test(t, func(t *testing.T) { a.tryIt(t.Context()) })
		a.want(Committed, "")
		if b := a.onCard(); b.Trial() || b.Next != (partition.Next{Root: b.Running}) || a.State().Phase != Idle {
			t.Errorf("%+v, %s after the trial", b, a.State().Phase)
		}
		if want := []bool{true, false}; fmt.Sprint(a.shown) != fmt.Sprint(want) {
			t.Errorf("the LEDs showed %v", a.shown)
		}
		a.shown = nil
	}
	if a.onCard().Running != 2 {
		t.Errorf("%+v after two updates", a.onCard())
	}
	a.restart()
	a.start("v3")
	a.want(Committed, "")
}

func TestUpdateIsRolledBack(t *testing.T) {
	tests := []struct {
		name  string
		trial func(a *camera) // what happens in it
		why   string
	}{
		{"no picture", func(a *camera) {
			a.start("v2")
			a.picture = func(context.Context) error { return errors.New("no camera is found") }
			synctest.Test(a.t, func(t *testing.T) { a.tryIt(t.Context()) })
			a.picture = fine
			if a.reboots != 2 {
				a.t.Errorf("%d reboots", a.reboots)
			}
		}, "no camera is found"},
		{"it never began", func(*camera) {}, "never began"},
		{"it ended without a word", func(a *camera) { a.start("v2") }, "before it could say why"},
		{"it ended again and again", func(a *camera) { a.start("v2"); a.start("v2"); a.start("v2") }, "began 3 times"},
		{"the power failed", func(a *camera) {
			a.start("v2")
			synctest.Test(a.t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				a.tryIt(ctx)
			})
			a.want(Undecided, "")
		}, "before it could say why"},
		{"the card cannot be written", func(a *camera) {
			a.start("v2")
			line := a.Card.Root.Path("proc/cmdline")
			text, err := os.ReadFile(line)
			if err != nil {
				a.t.Fatal(err)
			}
			if err := os.WriteFile(line, nil, 0o644); err != nil {
				a.t.Fatal(err)
			}
			synctest.Test(a.t, func(t *testing.T) { a.tryIt(t.Context()) })
			if err := os.WriteFile(line, text, 0o644); err != nil {
				a.t.Fatal(err)
			}
		}, "cannot be committed"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			a := newCamera(t)
			a.send(newRoot)
			a.restart()
			tc.trial(a)
			if a.restart() {
				t.Fatal("it is tried again")
			}
			a.start("v1")
			a.want(RolledBack, tc.why)
			if b := a.onCard(); b.Running != 2 || b.Next != (partition.Next{Root: 2}) || a.State().Phase != Idle {
				t.Errorf("%+v, %s afterwards", b, a.State().Phase)
			}
			if !strings.Contains(a.State().Message, "to v2 was rolled back") {
				t.Errorf("it says %q", a.State().Message)
			}
			a.send(newRoot) // and the next one may come
		})
	}
}

func TestUpdateRefuses(t *testing.T) {
	other := cardtest.Root("v2")
	other.Machine = 243
	old := cardtest.Root("v2")
	old.Kernels = []string{"6.1.0"}
	text := bytes.Repeat([]byte("text"), 1000)
	tests := []struct {
		name         string
		method, path string
		body         []byte
		header       http.Header
		code         int
		says         string
	}{
		{"unknown", "GET", "/api/update/roots", nil, nil, 404, "not found"},
		{"a mere GET", "GET", "/api/update/try", nil, nil, 405, "takes POST"},
		{"no digest", "PUT", "/api/update/root", newRoot, nil, 400, "Content-Digest"},
		{"a digest of another kind", "PUT", "/api/update/root", newRoot, http.Header{"Content-Digest": {"md5=:AAAA:, sha-256=:AAAA:"}}, 400, "Content-Digest"},
		{"nothing", "PUT", "/api/update/root", nil, digest(nil), 411, "length"},
		{"damaged", "PUT", "/api/update/root", newRoot, digest(text), 500, "not what was sent"},
		{"too large", "PUT", "/api/update/root", make([]byte, 4<<20), digest(text), 422, "no room"},
		{"a boot partition too large", "PUT", "/api/update/boot", make([]byte, partitiontest.BootSize+512), digest(text), 422, "no room"},
		{"a damaged boot partition", "PUT", "/api/update/boot", newRoot, digest(text), 500, "not what was sent"},
		{"never uploaded", "POST", "/api/update/try?root=" + strings.Repeat("0", 64), nil, nil, 409, "upload it again"},
		{"nothing named", "POST", "/api/update/try", nil, nil, 409, "upload it again"},
		{"an image that is none", "try", "", text, nil, 422, "no root file system of a pushcam"},
		{"an image for another processor", "try", "", other.Bytes(), nil, 422, "it is for riscv64"},
		{"an image for another kernel", "try", "", old.Bytes(), nil, 422, "modules for the kernel 6.1.0"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			a := newCamera(t)
			if tc.method == "try" {
				if code, said := a.ask("PUT", "/api/update/root", tc.body, digest(tc.body)); code != http.StatusNoContent {
					t.Fatalf("upload: %d %s", code, said)
				}
				tc.method, tc.path = "POST", fmt.Sprintf("/api/update/try?root=%x", sha256.Sum256(tc.body))
			}
			code, said := a.ask(tc.method, tc.path, tc.body, tc.header)
			if code != tc.code || !strings.Contains(said, tc.says) {
				t.Errorf("%d %s, want %d with %q", code, said, tc.code, tc.says)
			}
			if b := a.onCard(); a.State().Phase != Idle || a.reboots != 0 || b.Next != (partition.Next{Root: 2}) {
				t.Errorf("%s, %d reboots, %+v", a.State().Phase, a.reboots, b)
			}
		})
	}
}

// A client that goes away leaves what runs, and the next upload works.
func TestUploadIsCut(t *testing.T) {
	t.Attr("fault", "update | an upload is cut off | what runs goes on | the next upload")
	a := newCamera(t)
	r := httptest.NewRequest("PUT", "http://pushcam/api/update/root", io.MultiReader(bytes.NewReader(newRoot[:1000]), gone{}))
	r.ContentLength, r.Header = int64(len(newRoot)), digest(newRoot)
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "ended after 0 of") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	a.send(newRoot)
}

// One at a time.
func TestUpdatesDoNotMix(t *testing.T) {
	t.Attr("fault", "update | two updates at a time | one of them is refused in a sentence | –")
	a := newCamera(t)
	if code, err := a.enter(Receiving, 200); err != nil {
		t.Fatal(code, err)
	}
	a.done = 90
	if got := a.State().Message; got != "an update arrives, 45 %" {
		t.Errorf("it says %q", got)
	}
	for method, path := range map[string]string{"PUT": "/api/update/root", "POST": "/api/update/try"} {
		if code, said := a.ask(method, path, newRoot, digest(newRoot)); code != http.StatusConflict || !strings.Contains(said, "Another update is under way") {
			t.Errorf("%s: %d %s", path, code, said)
		}
	}
	a.setPhase(Idle)
	a.send(newRoot)
}

// Without a place to keep what becomes of it, nothing is tried.
func TestUpdateThatCannotBeKept(t *testing.T) {
	a := newCamera(t)
	a.Dir = filepath.Join(a.Dir, "file")
	if err := os.WriteFile(a.Dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := a.ask("PUT", "/api/update/root", newRoot, digest(newRoot)); code != http.StatusNoContent {
		t.Fatalf("upload: %d %s", code, said)
	}
	code, said := a.ask("POST", fmt.Sprintf("/api/update/try?root=%x", sha256.Sum256(newRoot)), nil, nil)
	if code != http.StatusInternalServerError || !strings.Contains(said, "cannot be kept") {
		t.Errorf("%d %s", code, said)
	}
	if b := a.onCard(); b.Next != (partition.Next{Root: 2}) || a.reboots != 0 || a.State().Phase != Idle {
		t.Errorf("%+v, %d reboots, %s", b, a.reboots, a.State().Phase)
	}
	full := fmt.Errorf("keep it: %w", &os.PathError{Op: "write", Path: "/perm/x", Err: syscall.ENOSPC})
	if code, said := statusCode(full), sentence(full); code != http.StatusInsufficientStorage || !strings.Contains(said, "/perm is too full: ") {
		t.Errorf("a full disk: %d %s", code, said)
	}
}

type gone struct{}

func (gone) Read([]byte) (int, error) { return 0, errors.New("the connection is lost") }

func TestUpdateStatus(t *testing.T) {
	a := newCamera(t)
	code, said := a.ask("GET", "/api/update", nil, nil)
	var s Status
	if err := json.Unmarshal([]byte(said), &s); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s: %v", code, said, err)
	}
	if s.Phase != Idle || s.ID != "THE-CAMERAS" || s.Hostname != "garden" || s.Version != "v1" || s.Kernel != cardtest.Kernel || s.Root != 2 ||
		s.MaxRoot != 3<<20 || s.MaxBoot < 1<<20 || s.Trouble != "" || s.Built.IsZero() || s.Last != nil {
		t.Errorf("the status is %+v", s)
	}
	a.KeepsName.Store(true)
	if _, said := a.ask("GET", "/api/update", nil, nil); s.KeepsName || !strings.Contains(said, `"keeps_name": true`) {
		t.Errorf("before it keeps its name the status says %v, and then %s", s.KeepsName, said)
	}
	// A card that is not understood: no updates, and everything else goes on.
	if err := os.Truncate(a.Card.Root.Path("dev/mmcblk0p1"), 0); err != nil {
		t.Fatal(err)
	}
	a.start("v1")
	a.Run(t.Context())
	if code, said := a.ask("PUT", "/api/update/root", newRoot, digest(newRoot)); code != http.StatusServiceUnavailable || !strings.Contains(said, "boot partition") {
		t.Errorf("%d %s", code, said)
	}
	if _, said := a.ask("GET", "/api/update", nil, nil); !strings.Contains(said, "boot sector") {
		t.Errorf("the status is %s", said)
	}
}

// A power cut between the two places that name the root, on a computer with an
// UEFI: the one that it booted wins.
func TestHalfACommit(t *testing.T) {
	t.Attr("fault", "update | the power is cut when one of the two places is written that name the root file system of the next boot | what has booted is taken for both | the next boot")
	a := newCamera(t)
	if err := a.Card.SetNext(partition.Next{Root: 3}); err != nil {
		t.Fatal(err)
	}
	a.start("v1")
	if b := a.onCard(); b.Next != (partition.Next{Root: 2}) {
		t.Errorf("%+v", b)
	}
}

// The program ends between deciding on the next boot and the restart.
func TestArmedIsTakenBack(t *testing.T) {
	t.Attr("fault", "update | the program ends between deciding on the next boot and the restart | the decision is taken back | the next start")
	a := newCamera(t)
	a.send(newRoot)
	a.start("v1")
	a.want(RolledBack, "before the restart")
	if b := a.onCard(); b.Next != (partition.Next{Root: 2}) {
		t.Errorf("%+v", b)
	}
}

func TestRestartFails(t *testing.T) {
	a := newCamera(t)
	a.Reboot = func(context.Context) error { return errors.New("gokrazy does not want to") }
	a.send(newRoot)
	a.want(RolledBack, "does not want to")
	if b := a.onCard(); b.Next != (partition.Next{Root: 2}) || a.State().Phase != Idle {
		t.Errorf("%+v, %s", b, a.State().Phase)
	}
}

// The answer is whole though the restart ends the program before try returns.
func TestAnswerBeforeRestart(t *testing.T) {
	a := newCamera(t)
	cut := make(chan struct{})
	a.Reboot = func(context.Context) error { <-cut; panic(http.ErrAbortHandler) }
	web := httptest.NewServer(a)
	defer web.Close()
	if code, said := a.ask("PUT", "/api/update/root", newRoot, digest(newRoot)); code != http.StatusNoContent {
		t.Fatalf("upload: %d %s", code, said)
	}
	resp, err := http.Post(fmt.Sprintf("%s/api/update/try?root=%x", web.URL, sha256.Sum256(newRoot)), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	cut <- struct{}{} // the system restarts now
	text, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(text, new(Record))
	}
	if err != nil {
		t.Errorf("the answer is not whole: %v", err)
	}
}

// A record that cannot be read says nothing, and does no harm.
func TestBadRecord(t *testing.T) {
	for name, text := range map[string]string{"damaged": "{", "of another kind": `{"root": "no number"}`, "empty": ""} {
		t.Run(name, func(t *testing.T) {
			a := newCamera(t)
			if err := os.WriteFile(filepath.Join(a.Dir, recordFile), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			a.start("v1")
			if a.State().Phase != Idle || a.State().Last != nil || a.trouble != nil {
				t.Errorf("%s, %+v, %v", a.State().Phase, a.State().Last, a.trouble)
			}
			a.send(newRoot)
			if err := os.WriteFile(filepath.Join(a.Dir, recordFile), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			a.restart()
			a.start("v2") // on trial all the same
			synctest.Test(t, func(t *testing.T) { a.tryIt(t.Context()) })
			a.want(Committed, "")
		})
	}
}

const newKernel = "6.18.0-v8"

// kernelImages are a root file system and a boot partition with another kernel.
func kernelImages() (root, boot []byte) {
	r := cardtest.Root("v2")
	r.Kernels = []string{newKernel}
	template := map[string]string{"pushcam.txt": "# a template\n"}
	return r.Bytes(), partitiontest.Boot{Kernel: newKernel, Filler: strings.Repeat("x", 50_000), Owner: template}.Bytes()
}

// sendKernel uploads a root file system with its boot partition.
func (a *camera) sendKernel() {
	a.t.Helper()
	image, boot := kernelImages()
	for part, b := range map[string][]byte{"root": image, "boot": boot} {
		if code, said := a.ask("PUT", "/api/update/"+part, b, digest(b)); code != http.StatusNoContent {
			a.t.Fatalf("upload: %d %s", code, said)
		}
	}
	// The root alone does not fit.
	if code, said := a.ask("POST", fmt.Sprintf("/api/update/try?root=%x", sha256.Sum256(image)), nil, nil); code != http.StatusUnprocessableEntity {
		a.t.Fatalf("try the root alone: %d %s", code, said)
	}
	if code, said := a.ask("POST", fmt.Sprintf("/api/update/try?root=%x&boot=%x", sha256.Sum256(image), sha256.Sum256(boot)), nil, nil); code != http.StatusOK {
		a.t.Fatalf("try: %d %s", code, said)
	}
}

// runKernel is what a boot does besides restart.
func (a *camera) runKernel() string {
	a.t.Helper()
	release, err := a.Card.CheckBoot(a.Card.Root.Path("dev/mmcblk0p1"), "")
	if err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(a.Card.Root.Path("proc/sys/kernel/osrelease"), []byte(release+"\n"), 0o644); err != nil {
		a.t.Fatal(err)
	}
	return release
}

// wantSettings looks whether the owner's file is on the card still.
func (a *camera) wantSettings() {
	a.t.Helper()
	err := a.Card.EditBoot(func(f *fat.FS) error {
		got, err := f.ReadFile("pushcam.txt", 1000)
		if string(got) != cardtest.Settings {
			a.t.Errorf("the owner's settings are %q", got)
		}
		return err
	})
	if err != nil {
		a.t.Error(err)
	}
}

func (a *camera) wantNoBoots() {
	a.t.Helper()
	for _, name := range []string{bootFile, savedBoot} {
		if _, err := os.Stat(filepath.Join(a.Dir, name)); err == nil {
			a.t.Errorf("%s is left on /perm", name)
		}
	}
}

func TestUpdateOfTheKernel(t *testing.T) {
	a := newCamera(t)
	a.sendKernel()
	if a.runKernel() != newKernel || !a.restart() {
		t.Fatal("the new kernel does not try the new root")
	}
	a.wantSettings()
	a.start("v2")
	synctest.Test(t, func(t *testing.T) { a.tryIt(t.Context()) })
	a.want(Committed, "")
	a.wantNoBoots()
	a.wantSettings()
}

// The old root with the new kernel brings the old kernel back.
func TestUpdateOfTheKernelIsRolledBack(t *testing.T) {
	a := newCamera(t)
	a.sendKernel()
	if a.runKernel() != newKernel || !a.restart() {
		t.Fatal("the new kernel does not try the new root")
	}
	a.start("v2")
	a.restart()
	a.start("v1")
	if a.reboots != 2 || a.State().Phase != Restarting {
		t.Errorf("%d reboots, %s with the new kernel and the old root", a.reboots, a.State().Phase)
	}
	if a.runKernel() != cardtest.Kernel || a.restart() {
		t.Error("the old kernel is not back")
	}
	a.start("v1")
	a.wantSettings()
	a.want(RolledBack, "before it could say why")
	a.wantNoBoots()
	if a.reboots != 2 || a.State().Phase != Idle {
		t.Errorf("%d reboots, %s in the end", a.reboots, a.State().Phase)
	}
}
