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
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed", p)
		}
		t.Skipf("skipped: %s is not installed", p)
	}
}

// program is a running pushcam.
type program struct {
	t       *testing.T
	url     string // http://127.0.0.1:port
	port    string
	began   time.Time
	process *os.Process
}

var link = regexp.MustCompile(`http://[^ ]*:(\d+)/`)

// start runs pushcam with a test pattern on a free port of 127.0.0.1, or as
// args say, until the test is over; then it must stop cleanly.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	cmd := exec.Command(pushcam, append([]string{"-listen", "127.0.0.1:0", "-source", "pattern"}, args...)...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, began: time.Now()}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.process = cmd.Process
	t.Cleanup(func() {
		timer := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		defer timer.Stop()
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
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
	p.port = m[1]
	p.url = "http://127.0.0.1:" + p.port
	return p
}

// state is what the tests look at in /state.
type state struct {
	Camera struct {
		Phase  string `json:"phase"`
		Frames uint64 `json:"frames"`
	} `json:"camera"`
	Viewers []struct {
		Session bool   `json:"session"`
		Sent    uint64 `json:"frames_sent"`
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

// await asks /state until ok says that it is as it should be.
func (p *program) await(what string, ok func(state) bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 40*time.Second)
	defer cancel()
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		s := p.state()
		if ok(s) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.t.Fatalf("waited in vain for: %s; the state is %+v", what, s)
		}
	}
}
