package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pushcam is the path of the program, built once for all tests.
var pushcam string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "conformance")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		pushcam = filepath.Join(dir, "pushcam")
		build := exec.Command("go", "build", "-o", pushcam, "github.com/pushcam/pushcam/cmd/pushcam")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
			return 1
		}
		return m.Run()
	}())
}

// need fails or skips a test for which a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing(t, p)
		}
	}
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", what)
	}
	t.Skipf("skipped: %s is not installed", what)
}

// extra skips a test that only hack/conformance/all runs: its client is large,
// slow or rare.
func extra(t *testing.T) {
	t.Helper()
	if os.Getenv("PUSHCAM_CONFORMANCE") != "all" {
		t.Skip("skipped: hack/conformance/all runs this one (PUSHCAM_CONFORMANCE is not all)")
	}
}

// covers says which client and which quirk of it a test is about. The README's table
// is made of these.
func covers(t *testing.T, client, quirk string) {
	t.Helper()
	t.Attr("client", client)
	t.Attr("quirk", quirk)
}

// program is a running pushcam.
type program struct {
	t      *testing.T
	url    string // http://127.0.0.1:port, without a slash behind
	port   string
	began  time.Time
	signal func(os.Signal)
	stop   func() // sends SIGTERM, once, and waits until it has ended
	kill   func() // ends it as a loss of power does
}

var link = regexp.MustCompile(`http://[^ ]*:(\d+)/`)

// start runs pushcam with a test pattern on a free port of 127.0.0.1, or as
// args say, until the test is over; then it must stop cleanly.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	return startBy(t, (*exec.Cmd).Start, args...)
}

// startBy is start with another way to start its process.
func startBy(t *testing.T, begin func(*exec.Cmd) error, args ...string) *program {
	t.Helper()
	cmd := exec.Command(pushcam, append([]string{"-listen", "127.0.0.1:0", "-source", "pattern", "-state-dir", t.TempDir()}, args...)...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, began: time.Now()}
	if err := begin(cmd); err != nil {
		t.Fatal(err)
	}
	wait, killed := sync.OnceValue(cmd.Wait), false
	p.signal = func(s os.Signal) {
		if err := cmd.Process.Signal(s); err != nil {
			t.Error(err)
		}
	}
	p.stop = sync.OnceFunc(func() {
		timer := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		defer timer.Stop()
		cmd.Process.Signal(syscall.SIGTERM)
		wait() // its error is the cleanup's to report
	})
	p.kill = func() {
		killed = true
		p.signal(os.Kill)
		wait()
	}
	t.Cleanup(func() {
		p.stop()
		if err := wait(); err != nil && !killed {
			t.Errorf("pushcam ended with: %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("pushcam did not say where it is: %v", err)
	}
	m := link.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("no link in %q", line)
	}
	p.url, p.port = strings.TrimSuffix(m[0], "/"), m[1]
	return p
}

// state is what the tests look at in /state.
type state struct {
	Camera struct {
		Phase  string `json:"phase"`
		Frames uint64 `json:"frames"`
		Format struct {
			FPS float64 `json:"fps"`
		} `json:"format"`
	} `json:"camera"`
	Viewers []struct {
		Name    string `json:"name"`
		Session bool   `json:"session"`
		Sent    uint64 `json:"frames_sent"`
		Skipped uint64 `json:"frames_skipped"`
	} `json:"viewers"`
	Sessions int `json:"sessions"`
}

func (p *program) state() state {
	p.t.Helper()
	resp, err := http.Get(p.url + "/state")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var s state
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// await asks for /state until ok returns true.
func (p *program) await(what string, ok func(state) bool) {
	p.t.Helper()
	var s state
	await(p.t, func() string { return fmt.Sprintf("%s; the state is %+v", what, s) }, func() bool {
		s = p.state()
		return ok(s)
	})
}

// patience is how long a busy machine may take.
const patience = 5 * time.Minute

// await asks ok until it says yes.
func await(t *testing.T, what func() string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for: %s", what())
		}
	}
}
