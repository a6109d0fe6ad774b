//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/hack/e2e/pictures"
)

// simulated is the product's card with a simulated VideoCore: hack/vcsim replaces the
// kernel's bcm2835-mmal-vchiq, and the unmodified bcm2835-v4l2 runs on it.
func simulated(t *testing.T, p *product) (card string) {
	t.Helper()
	if simulatedRoot == "" {
		simulatedRoot = buildSimulated(t)
	}
	card = p.card(t)
	copyRoot(t, simulatedRoot, card)
	return card
}

var simulatedRoot string // of all tests, which run one after the other

func buildSimulated(t *testing.T) (root string) {
	t.Helper()
	const media = "kernel/drivers/staging/vc04_services/vchiq-mmal/bcm2835-mmal-vchiq.ko"
	checkout, kernel := checkout(t), filepath.Join(t.TempDir(), "kernel")
	if err := os.CopyFS(kernel, os.DirFS(filepath.Join(checkout, "gokrazy/kernel"))); err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Glob(filepath.Join(kernel, "lib/modules/*"))
	if err != nil || len(modules) != 1 {
		t.Fatalf("the kernel has modules in %q, %v; want one folder", modules, err)
	}
	vcsim, err := os.ReadFile(filepath.Join(checkout, "hack/vcsim/vcsim.ko"))
	if err != nil {
		t.Fatal(err)
	}
	dep := filepath.Join(modules[0], "modules.dep")
	text, err := os.ReadFile(dep)
	if err != nil {
		t.Fatal(err)
	}
	name := []byte(filepath.Join(filepath.Dir(media), "vcsim.ko"))
	lines := slices.DeleteFunc(bytes.Split(text, []byte("\n")), func(line []byte) bool { return bytes.HasPrefix(line, []byte(media+":")) })
	lines = append(lines, append(slices.Clone(name), ":\n"...))
	text = bytes.ReplaceAll(bytes.Join(lines, []byte("\n")), []byte(media), name)
	err = errors.Join(os.Remove(filepath.Join(modules[0], media)), os.WriteFile(dep, text, 0o644),
		os.WriteFile(filepath.Join(modules[0], string(name)), vcsim, 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return variantRoot(t, func(c map[string]any) {
		c["Packages"] = append(c["Packages"].([]any), pushcam+"/hack/vcsim/feeder")
	}, map[string]string{pushcam + "/gokrazy/kernel": kernel})
}

// TestPiCamera is the product with the Pi camera's own driver.
func TestPiCamera(t *testing.T) {
	t.Attr("fault", "camera | the Pi camera's sensor stalls, or its frames are lost | the stream says why there is no picture; lost frames are counted | live when it goes on")
	t.Parallel()
	p := built(t)
	card := simulated(t, p)
	m := boot(t, card, p.direct())
	t.Run("first picture", func(t *testing.T) {
		m.picture(t)
		s := m.is(t, "both drivers are loaded", func(s state) bool {
			return slices.Equal(s.Kernel.Drivers, []string{"bcm2835-v4l2", "uvcvideo"})
		})
		if d := s.Camera.Device; d.Driver != "bcm2835 mmal" {
			t.Errorf("the camera is %+v", d)
		}
		if f := s.Camera.Format; f.PixelFormat != "MJPG" || f.Width != pictures.Width || f.Height != pictures.Height || f.FPS != 30 {
			t.Errorf("its format is %+v", f)
		}
		if k := s.Kernel; k.Package != "pushcam" || !strings.HasSuffix(k.Release, "-pushcam") {
			t.Errorf("the kernel is %+v", k)
		}
	})
	t.Run("300 frames", func(t *testing.T) {
		stream := m.stream(t)
		for last, count := 0, 0; count < 300; count++ {
			n, _ := stream.picture(t)
			if n <= last {
				t.Fatalf("picture %d came after %d", n, last)
			}
			last = n
		}
		s := m.now(t)
		if s.Camera.Restarts > 0 {
			t.Errorf("the camera was started anew: %+v", s.Camera)
		}
		// A busy machine may be late for a frame.
		delete(s.Camera.Dropped, camera.DropLost)
		delete(s.Camera.Dropped, camera.DropStale)
		if len(s.Camera.Dropped) > 0 {
			t.Errorf("damaged frames came: %v", s.Camera.Dropped)
		}
	})
	t.Run("bit rate", func(t *testing.T) {
		const bitRate = 0x009909cf // V4L2_CID_MPEG_VIDEO_BITRATE
		stream := m.stream(t)
		for _, rate := range []int{20_000_000, 6_000_000} {
			m.turn(t, fmt.Sprintf("/controls/%#x", bitRate), rate)
			stream.awaitRate(t, rate)
		}
	})
	t.Run("the sensor stalls", func(t *testing.T) {
		stream := m.stream(t)
		stream.await(t, true)
		before := m.now(t)
		m.turn(t, "/parameters/stall", 1)
		s := m.is(t, "a stalled camera", func(s state) bool { return s.Camera.Stalls > before.Camera.Stalls })
		if s.Camera.Phase == camera.Live {
			t.Errorf("the state of a camera that stalls is %+v", s.Camera)
		}
		m.turn(t, "/parameters/stall", 0)
		m.picture(t)
		stream.await(t, true)
	})
	t.Run("lost frames", func(t *testing.T) {
		stream := m.stream(t)
		stream.await(t, true)
		m.turn(t, "/parameters/drop_every", 5)
		m.await(t, "frames are lost", func() error {
			if n, err := m.knob("/parameters/lost"); err != nil || n < 10 {
				return fmt.Errorf("%d are lost, %v", n, err)
			}
			return nil
		})
		m.turn(t, "/parameters/drop_every", 0)
		// The stream was live all along, and is whole.
		stream.picture(t)
	})
	t.Run("Chromium", func(chapter *testing.T) {
		tb := newTab(chapter, m)
		chapter.Run("the owner's panel: how it encodes", func(t *testing.T) { testPanelEncoding(t, tb) })
		chapter.Run("the owner's panel: another camera", func(t *testing.T) { testPanelCameras(t, tb) })
	})
}

// TestNoPiCamera is the product on a Pi whose firmware finds no camera.
func TestNoPiCamera(t *testing.T) {
	t.Attr("fault", "camera | a board without its camera | the picture says what to look at | –")
	t.Parallel()
	p := built(t)
	loader := p.direct()
	loader[len(loader)-1] += " VCSIM_CAMERAS=0"
	m := boot(t, simulated(t, p), loader)
	m.is(t, "the driver was loaded, and found none", func(s state) bool {
		return len(s.Kernel.Drivers) == 2 && s.Camera.Phase == camera.NoCamera
	})
	m.is(t, "what the board shows of the reason", func(s state) bool {
		return strings.Contains(s.Camera.Reason, "firmware finds none") && strings.Contains(s.Camera.Reason, "cable")
	})
	if code, _, _, err := m.get("/snapshot", getTimeout); err != nil || code != http.StatusServiceUnavailable {
		t.Errorf("a snapshot without a camera: status %d, %v; want 503", code, err)
	}
}

// TestNoSimulation sees that the product has no simulated VideoCore in it.
func TestNoSimulation(t *testing.T) {
	p := built(t)
	f, err := os.Open(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	root := make([]byte, p.RootSize)
	if _, err := f.ReadAt(root, firstRoot); err != nil {
		t.Fatal(err)
	}
	// gok does not compress the names of files.
	for name, want := range map[string]bool{"bcm2835-v4l2.ko": true, "bcm2835-mmal-vchiq.ko": true, "vcsim": false, "feeder": false} {
		if got := bytes.Contains(root, []byte(name)); got != want {
			t.Errorf("there is a %s in the product: %v, want %v", name, got, want)
		}
	}
}

// turn turns one of vcsim's knobs.
func (m *machine) turn(t *testing.T, knob string, value int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, m.knobs+knob, strings.NewReader(strconv.Itoa(value)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := answer(req); err != nil {
		t.Fatal(err)
	}
}

// awaitKnob waits until one of vcsim's knobs has a value.
func (m *machine) awaitKnob(t *testing.T, name string, want int) {
	t.Helper()
	m.await(t, fmt.Sprintf("%s is %d", name, want), func() error {
		if n, err := m.knob(name); err != nil || n != want {
			return fmt.Errorf("it is %d, %v", n, err)
		}
		return nil
	})
}

// knob reads one of vcsim's knobs.
func (m *machine) knob(name string) (int, error) {
	req, err := http.NewRequest(http.MethodGet, m.knobs+name, nil)
	if err != nil {
		return 0, err
	}
	text, err := answer(req)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

func answer(req *http.Request) (string, error) {
	client := &http.Client{Transport: web.Transport, Timeout: getTimeout}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", req.URL, resp.Status, text)
	}
	return string(text), err
}
