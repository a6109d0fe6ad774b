//go:build linux

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gokrazy/image"
)

// A fault is a line of code that makes the program hang where it is put.
type fault struct{ file, function, line string }

// TestWatchdog boots the image with a fault in its program. The program ends itself and
// says where it hung, and gokrazy starts it again.
func TestWatchdog(t *testing.T) {
	t.Attr("fault", "system | a deadlock, a loop that hangs, a watchdog that hangs | the program's log says where it hung | started anew by gokrazy")
	t.Parallel()
	p := built(t)
	tests := []struct {
		name  string
		fault fault
		hang  func(t *testing.T, m *machine, cam *webcam)
		says  []string // the program's log, in this order
		one   string   // what process 1 says
	}{
		{"the camera's loop hangs, and so sees no stall",
			fault{"cmd/pushcam/placeholders.go", "func (p *placeholders) show(s camera.State) {", "if s.Phase == camera.Live { select {} }"},
			func(t *testing.T, m *machine, cam *webcam) {
				stream := m.stream(t)
				stream.await(t, true)
				cam.Stall(true)
				t.Cleanup(func() { cam.Stall(false) })
				stream.end(t)
			},
			[]string{"the camera is live for 1m", "main.(*placeholders).show placeholders.go:"}, ""},
		{"a deadlock",
			fault{"camera/camera.go", "func (c *Camera) set(phase Phase, err error) {", "if phase == Live { c.mu.Lock() }"},
			func(t *testing.T, m *machine, _ *webcam) { m.stream(t).end(t) },
			[]string{"the program did not answer itself 3 times", "camera.(*Camera).set camera.go:"}, ""},
		{"the watchdog itself hangs",
			fault{"cmd/pushcam/watchdog.go", "func (d *watchdog) run(ctx context.Context) {", "d.beat(); select {}"},
			func(*testing.T, *machine, *webcam) {},
			nil, "/user/pushcam hangs: it has not said for 3m0s that it is well"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cam, card := newWebcam(), p.card(t)
			copyRoot(t, faultyRoot(t, tt.fault), card)
			m := boot(t, card, p.direct())
			cam.plug(t, m)
			t.Cleanup(func() { cam.unplug(t) })
			m.is(t, "a program that runs", func(s state) bool { return s.Uptime > 0 })
			began := time.Now()
			tt.hang(t, m, cam)
			m.is(t, "a program that has begun since", func(s state) bool { return s.Uptime < time.Since(began).Seconds() })
			if len(tt.says) > 0 {
				m.oldLog(t, tt.says)
			}
			if text, err := os.ReadFile(m.serial); err != nil || !strings.Contains(string(text), tt.one) {
				t.Errorf("process 1 does not say %q, %v", tt.one, err)
			}
			if n := m.resets.Load(); n > 0 {
				t.Errorf("the machine began anew %d times, not only the program", n)
			}
		})
	}
}

// faultyRoot builds a root file system whose program has a fault.
func faultyRoot(t *testing.T, f fault) string {
	t.Helper()
	checkout, err := image.FindCheckout(".")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(checkout, f.file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), f.function) != 1 {
		t.Fatalf("%s does not have one %q", f.file, f.function)
	}
	dir := t.TempDir()
	faulty, overlay := filepath.Join(dir, "faulty.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{file: faulty}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{faulty: strings.Replace(string(text), f.function, f.function+" "+f.line, 1), overlay: string(replace)} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const program = "github.com/pushcam/pushcam/cmd/pushcam"
	return variantRoot(t, func(config map[string]any) {
		options := config["PackageConfig"].(map[string]any)[program].(map[string]any)
		options["GoBuildFlags"] = append(options["GoBuildFlags"].([]any), "-overlay="+overlay)
	}, nil)
}

// oldLog looks in gokrazy's log of the program, which has its last hundred lines,
// for texts in their order.
func (m *machine) oldLog(t *testing.T, want []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url+"/gokrazy/log?path=/user/pushcam&stream=stderr", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("owner", password)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := web.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the program's log: %s", resp.Status)
	}
	var all []string
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); { // it never ends
		all = append(all, lines.Text())
		if strings.Contains(lines.Text(), want[0]) {
			want = want[1:]
		}
		if len(want) == 0 {
			t.Logf("%d lines of the log:\n%s", len(all), strings.Join(all, "\n"))
			return
		}
	}
	t.Errorf("the log does not say %q:\n%s", fmt.Sprint(want), strings.Join(all, "\n"))
}
