//go:build linux

package e2e

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gokrazy/image"
	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/hack/e2e/pictures"
	"github.com/pushcam/pushcam/pusher/api/apitest"
)

// TestAppliance is the life of one appliance, from the first boot of a fresh card to
// the press of its button that switches it off. Each part begins with what the one
// before has left, so the first that fails is the last.
func TestAppliance(t *testing.T) {
	t.Attr("fault", "system | the kernel panics, or kills the program because memory runs out | settings stay, and a camera that its owner has closed stays closed | after the reboot, or the program's restart")
	t.Parallel()
	each(t, testAppliance)
}

func testAppliance(t *testing.T, p *product) {
	cam, card := newWebcam(), p.card(t)
	cam.Controls = levels
	m := boot(t, card, p.direct())
	cam.plug(t, m)
	t.Cleanup(func() { cam.unplug(t) })
	tell := func(name string, chapter func(t *testing.T)) {
		select {
		case <-m.exited:
			t.Fatalf("the machine has ended before %q: %v", name, m.exit)
		default:
			if !t.Run(name, chapter) {
				t.FailNow()
			}
		}
	}

	tell("first picture", func(t *testing.T) {
		m.picture(t)
		s := m.is(t, "a state without trouble", func(s state) bool {
			return s.Settings.Trouble == "" && slices.Contains(s.Kernel.Drivers, "uvcvideo")
		})
		var whole state
		if code, _, body, err := m.owned(http.MethodGet, "/api/state"); err != nil || code != http.StatusOK || json.Unmarshal(body, &whole) != nil {
			t.Errorf("the owner's state: status %d, %v: %s", code, err, body)
		}
		m.settings(t)
		if d := s.Camera.Device; d.Serial != "" || d.Path != "" || d.Bus != "" {
			t.Errorf("everybody is told of the camera %+v", d)
		}
		d := whole.Camera.Device
		if d.Driver != "uvcvideo" || d.Name != cam.Name || d.Serial != cam.Serial || d.Path != "/dev/video0" {
			t.Errorf("the camera is %+v", d)
		}
		if f := s.Camera.Format; f.Width != pictures.Width || f.Height != pictures.Height || f.FPS != fps {
			t.Errorf("its format is %+v", f)
		}
		if s.Kernel.Package != string(p.Kernel) {
			t.Errorf("the kernel is %+v, want %s", s.Kernel, p.Kernel)
		}
		if s.Program.Version != p.Version || s.Program.System != "linux/arm64" {
			t.Errorf("the program is %+v, want version %s", s.Program, p.Version)
		}
		_, _, log, err := m.owned(http.MethodGet, "/api/log")
		if p.Kernel == image.PushcamKernel && (err != nil || !bytes.Contains(log, []byte("this program is confined"))) {
			t.Errorf("the program may do more than it needs to: %v\n%s", err, log)
		}
		if !s.Panel.Button || s.Panel.LEDs != 1 {
			t.Errorf("the panel is %+v, want an LED and a button", s.Panel)
		}
	})
	tell("stream", func(t *testing.T) {
		stream := m.stream(t)
		last, _ := stream.picture(t)
		for range 100 {
			n, _ := stream.picture(t)
			if n < last { // the same one comes again if a busy machine has none for a second
				t.Fatalf("picture %d came after %d", n, last)
			}
			last = n
		}
		m.is(t, "the state of a live camera", func(s state) bool {
			return s.Camera.Phase == camera.Live && s.Camera.Frames > 100 && s.Panel.Pattern == "live" && len(s.Viewers) == 1
		})
		m.ledIs(t, true, 3*time.Second)
		m.metrics(t, `pushcam_camera_phase{phase="live"} 1`, "pushcam_viewers 1")
	})
	tell("name on the network", func(t *testing.T) { testName(t, m, p.Hostname) })
	tell("ffmpeg", func(t *testing.T) { testFFmpeg(t, m) })
	var tb *tab // of the appliance with our kernel, which is enough for what starts anew
	name := p.Hostname
	tell("Chromium", func(chapter *testing.T) {
		need(chapter, "chromium")
		all := newTab(t, m)
		testChromium(chapter, all)
		chapter.Run("the owner's panel", func(t *testing.T) { testPanel(t, all) })
		if p.Kernel == image.PushcamKernel {
			const other = "another horse"
			tb, name = all, "porch"
			chapter.Run("what is seen elsewhere", func(t *testing.T) { testPanelSettings(t, tb) })
			if chapter.Run("who may look, and another password", func(t *testing.T) { testPanelAccess(t, tb, other) }) {
				chapter.Run("another name, and the password of before", func(t *testing.T) {
					testRename(t, tb, p.Hostname, name, other)
					tb.changePassword(t, other, password, password, "")
					tb.logOut(t)
				})
			}
		}
		all.open(chapter, "about:blank")
	})
	tell("the card says how it went", func(t *testing.T) {
		m.await(t, "the report on the card", func() error {
			said, err := exec.CommandContext(t.Context(), "mtype", "-i", bootOf(card), "::"+setup.ReportFile).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, said)
			}
			text := string(said)
			for _, want := range []string{"The camera is found at http://" + name + ".local/", "The camera's picture comes from " + cam.Name, "Nothing is wrong"} {
				if !strings.Contains(text, want) {
					return fmt.Errorf("%q is not in the report %q", want, text)
				}
			}
			return nil
		})
	})
	tell("unplug and replug", func(t *testing.T) {
		stream := m.stream(t)
		stream.await(t, true)
		if tb != nil {
			tb.look(t)
		}
		resets := m.resets.Load()
		cam.unplug(t)
		m.is(t, "no camera", func(s state) bool {
			return s.Camera.Phase == camera.NoCamera && s.Camera.Reason != "" && s.Panel.Pattern == "no-camera"
		})
		if said := m.crashes(t); m.resets.Load() != resets && p.Kernel == image.StockKernel && said != "" {
			t.Logf("gokrazy's kernel crashed, which the camera gets over, but not this stream:\n%s", said)
			stream = m.stream(t)
		}
		m.ledIs(t, false, 1200*time.Millisecond)
		code, header, body, err := m.get("/snapshot", getTimeout)
		if err != nil || code != http.StatusServiceUnavailable || header.Get("Content-Type") != "image/jpeg" {
			t.Errorf("a snapshot without a camera: status %d, %v, %v; want 503 and a picture that says so", code, header, err)
		} else if _, err := jpeg.Decode(bytes.NewReader(body)); err != nil {
			t.Errorf("the picture that says so: %v", err)
		}
		stream.await(t, false)
		if tb != nil {
			tb.until(t, theWord+` === "camera lost" && document.getElementById("reason").textContent !== ""`)
			tb.shot(t, "lost.png")
		}
		back := time.Now()
		cam.plug(t, m)
		stream.await(t, true)
		m.picture(t)
		if tb != nil {
			t.Logf("the page is live again %v after the webcam was plugged in", tb.heals(t).Sub(back).Round(time.Millisecond))
			tb.open(t, "about:blank")
		}
	})
	tell("the webcam hangs", func(t *testing.T) {
		stream := m.stream(t)
		stream.await(t, true)
		before := m.now(t)
		cam.Stall(true)
		s := m.is(t, "a stalled camera", func(s state) bool { return s.Camera.Stalls > before.Camera.Stalls })
		if s.Camera.Phase == camera.Live {
			t.Errorf("the state of a camera that hangs is %+v", s.Camera)
		}
		cam.Stall(false)
		m.picture(t)
		stream.await(t, true)
	})
	tell("a short press closes the camera", func(t *testing.T) {
		m.toggle(t, true)
		m.is(t, "privacy", func(s state) bool { return s.Camera.Phase == camera.Privacy && s.Panel.Pattern == "privacy" })
		m.ledIs(t, true, 1500*time.Millisecond)
		m.ledIs(t, false, 1500*time.Millisecond)
		if code, _, _, err := m.get("/snapshot", getTimeout); err != nil || code != http.StatusServiceUnavailable {
			t.Errorf("a snapshot of a closed camera: status %d, %v; want 503", code, err)
		}
	})
	tell("its owner looks at it and reboots it", func(t *testing.T) {
		if tb == nil {
			testOwner(t, m, m.rebootByGokrazy)
		} else {
			testReboot(t, tb, func(reboot func(*testing.T)) { testOwner(t, m, reboot) })
		}
	})
	tell("the kernel panics", func(t *testing.T) {
		resets := m.resets.Load()
		m.sysrq(t, "c")
		m.await(t, "the machine begins anew", func() error {
			if m.resets.Load() == resets {
				return errors.New("it has not")
			}
			return nil
		})
		m.staysClosed(t)
		if !m.repaired(t) {
			t.Error("/perm was clean after a panic: then this test cannot tell that a reboot leaves it so")
		}
		m.toggle(t, false)
		m.picture(t)
	})
	tell("the program is killed", func(t *testing.T) {
		stream := m.stream(t)
		stream.await(t, true)
		asked, resets := time.Now(), m.resets.Load()
		m.sysrq(t, "f") // the kernel kills the program that has the most memory
		stream.end(t)
		m.is(t, "a program that has just begun", func(s state) bool {
			return s.Uptime < time.Since(asked).Seconds()
		})
		m.picture(t)
		if m.resets.Load() != resets {
			t.Error("the machine began anew, not only the program")
		}
		// What it never announced it does not take back, and the program that was killed
		// said no goodbye.
		m.is(t, "a program that has its name again", func(s state) bool { return s.Network.Host != "" })
	})
	tell("the button switches off", func(t *testing.T) {
		if p.Kernel == image.StockKernel { // which knows power keys
			m.powerKey(t)
		} else {
			m.hold(t)
		}
		if r := m.station.last(service, dnsmessage.TypePTR); r == nil || r.Header.TTL != 0 {
			t.Errorf("the last that was heard of %s is %v, want a goodbye", service, r)
		}
		if reason := m.shutdown.Load(); m.exit != nil || reason != "guest-shutdown" {
			t.Errorf("the machine ended because of %v, and QEMU with %v", reason, m.exit)
		}
		perm(t, card, func(_ *os.File, _ int64, super []byte) {
			const needsRecovery = 0x4
			if binary.LittleEndian.Uint32(super[0x60:])&needsRecovery != 0 {
				t.Error("/perm was not settled")
			}
		})
	})
}

// powerKey presses the machine's power button, which is a key for the kernel, as that of
// a Pi 5, and waits until the machine is off.
func (m *machine) powerKey(t *testing.T) {
	t.Helper()
	if err := m.control.do("system_powerdown", nil, nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.exited:
	case <-time.After(patience):
		t.Fatal("the machine is on long after its power key was pressed")
	}
	said := lastLines(m.serial, 1000)
	if !strings.Contains(said, "was pressed") || strings.Contains(said, "has not ended the system") || strings.Contains(said, "sending sigterm to all services") {
		t.Error("it was not the program that ended the system, asked by process 1")
	}
}

// TestBootLoader boots a card with the stock kernel by the card's own boot loader.
// TestUpdate does so with our kernel.
func TestBootLoader(t *testing.T) {
	t.Parallel()
	p := builtWith(t, image.StockKernel)
	cam := newWebcam()
	m := boot(t, p.card(t), p.uefi())
	cam.plug(t, m)
	t.Cleanup(func() { cam.unplug(t) })
	m.picture(t)
}

// keep writes an artifact that a person may want to look at.
func keep(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name), data, 0o644); err != nil {
		t.Error(err)
	}
}

// settings has the owner change something, and hold what else is behind /api against its
// description.
func (m *machine) settings(t *testing.T) {
	t.Helper()
	spec, err := apitest.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		method, path, body string
		code               int
		says               string
	}{
		{http.MethodGet, "/api/settings", "", http.StatusOK, `"name"`},
		{http.MethodPatch, "/api/settings", `{"idle_hold":12}`, http.StatusOK, `"value": 12,`},
		{http.MethodPatch, "/api/settings", `{"idle_hold":null}`, http.StatusOK, `"value": 10,`},
		{http.MethodPatch, "/api/settings", `{"name":"not a name"}`, http.StatusUnprocessableEntity, `"name"`},
		{http.MethodGet, "/api/camera", "", http.StatusOK, `"modes"`},
		{http.MethodGet, "/api/report", "", http.StatusOK, "pushcam "},
		{http.MethodPost, "/api/actions/poweroff", `{}`, http.StatusBadRequest, "sure"},
	} {
		code, head, body, err := m.do(s.method, s.path, getTimeout, func(r *http.Request) {
			r.SetBasicAuth("owner", password)
			r.Header.Set("Accept", "application/json")
			r.Header.Set("If-Match", "*")
			if s.body != "" {
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(s.body)), int64(len(s.body))
			}
		})
		if err == nil {
			err = spec.Check(s.path, s.method, code, head.Get("Content-Type"), body)
		}
		if err != nil || code != s.code || !strings.Contains(string(body), s.says) {
			t.Errorf("%s %s %s: status %d, %v: %s", s.method, s.path, s.body, code, err, body)
		}
	}
}
