package conformance

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// readmeCommands tells what runs each command of the README: this test, hack/test, or a
// person, if it takes too long for every change.
var readmeCommands = map[string]string{
	"go run ./cmd/pushcam": "here",
	"ffmpeg -i http://localhost:8080/stream -frames:v 100 -f null -": "here",
	"curl -o picture.jpg http://localhost:8080/snapshot.jpg":         "here",
	"./hack/test":                              "hack/test",
	"go run ./hack/check -list":                "here",
	"go run ./hack/rig test ./camera/...":      "hack/test",
	"hack/conformance/all":                     "on purpose",
	"go build ./cmd/pushcamctl":                "hack/test",
	"./pushcamctl image":                       "hack/test",
	"sudo ./pushcamctl flash /dev/sdX":         "hack/test",
	"go run ./cmd/pushcamctl find":             "hack/test",
	"go run ./cmd/pushcamctl update pushcam":   "hack/test",
	"go run ./hack/bench":                      "on purpose",
	"go run ./hack/release":                    "on purpose",
	"xz -d pushcam-VERSION.img.xz":             "on purpose",
	"sha256sum -c --ignore-missing SHA256SUMS": "hack/test",
	"sudo ./pushcamctl-linux-amd64 flash -image pushcam-VERSION.img /dev/sdX": "hack/test",
	"go run ./hack/check kernel":                                                           "on purpose",
	"go run ./cmd/pushcam -source http://pushcam.local/stream":                             "hack/test",
	"curl -u owner:PASSWORD -d bitrate=6M -d rotate=180 http://pushcam.local/api/controls": "hack/test",
	"curl -u owner:PASSWORD http://pushcam.local/api/controls":                             "hack/test",

	// cmd/pushcam's TestReadmeAPI runs these.
	"curl -u owner:PASSWORD http://pushcam.local/api/settings":                                                            "hack/test",
	`curl -u owner:PASSWORD -X PATCH -H 'If-Match: *' -d '{"size":"640x480","fps":15}' http://pushcam.local/api/settings`: "hack/test",
	"curl -u owner:PASSWORD http://pushcam.local/api/camera":                                                              "hack/test",
	`curl -u owner:PASSWORD http://pushcam.local/api/controls -X PATCH -d '{"brightness":60}'`:                            "hack/test",
	"curl -u owner:PASSWORD -X POST http://pushcam.local/api/actions/restart-camera":                                      "hack/test",
	`curl -u owner:PASSWORD -d '{"on":true}' http://pushcam.local/api/actions/privacy`:                                    "hack/test",
	"curl -u owner:PASSWORD 'http://pushcam.local/api/log?level=warn'":                                                    "hack/test",
	"curl -u owner:PASSWORD -N http://pushcam.local/api/events":                                                           "hack/test",
}

// The README's commands work as they stand, in its order.
func TestReadmeCommands(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	need(t, "ffmpeg", "curl", "bash")
	commands := shellCommands(string(text))
	if len(commands) < len(readmeCommands) {
		t.Errorf("the README has %d commands, %d are known", len(commands), len(readmeCommands))
	}
	for _, command := range commands {
		who, known := readmeCommands[command]
		switch {
		case !known:
			t.Errorf("nobody runs the README's command %q", command)
		case command == "go run ./cmd/pushcam":
			stop := runProgram(t, root)
			defer stop()
		case who == "here":
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			// A copy of the checkout is not needed: what they write goes elsewhere.
			cmd := exec.CommandContext(ctx, "bash", "-c", strings.ReplaceAll(command, "picture.jpg", filepath.Join(t.TempDir(), "picture.jpg")))
			cmd.Dir = root
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", command, err, out)
			}
			cancel()
		}
	}
}

// shellCommands are the lines of the sh blocks.
func shellCommands(markdown string) (all []string) {
	in := false
	for line := range strings.Lines(markdown) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			in = line == "```sh"
		case in && line != "" && !strings.HasPrefix(line, "#"):
			all = append(all, line)
		}
	}
	return all
}

// runProgram is "go run ./cmd/pushcam" on its own port, with whatever camera
// this machine has.
func runProgram(t *testing.T, root string) (stop func()) {
	t.Helper()
	cmd := exec.Command("go", "run", "./cmd/pushcam")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "PUSHCAM_STATE_DIR="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go run does not pass signals on
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		cmd.Wait() // its error is the interrupt that we sent
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience) // it is compiled first
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := http.Get("http://localhost:8080/healthz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return stop
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			stop()
			t.Fatalf("go run ./cmd/pushcam does not answer: %v\n%s", err, log.Bytes())
		}
	}
}
