//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"net/http"
	"testing"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest/usbcam"
)

// testPanelEncoding has the owner say on its page how the Pi camera encodes.
func testPanelEncoding(t *testing.T, tb *tab) {
	m := tb.m
	tb.open(t, m.url+"/panel")
	tb.logIn(t, password)
	tb.until(t, moves)
	encodes := func(rate int) {
		t.Helper()
		m.awaitKnob(t, "/parameters/bitrate", rate)
		stream := m.stream(t)
		defer stream.conn.Close()
		stream.awaitRate(t, rate)
		tb.until(t, moves)
	}

	tb.set(t, "Quality", "101")
	tb.until(t, wrong("Quality")+`.includes("100") && `+input("Quality")+`.value === ""`)
	tb.set(t, "Quality", "30")
	encodes(7_600_000)
	tb.until(t, wrong("Quality")+` === "" && `+input("Quality")+`.value === "30"`)

	tb.set(t, "Bit rate", "1k")
	tb.until(t, wrong("Bit rate")+`.includes("from 25000 to 25000000") && `+input("Bit rate")+`.value === ""`)
	m.awaitKnob(t, "/parameters/bitrate", 7_600_000)
	tb.set(t, "Bit rate", "9M")
	encodes(9_000_000)
	tb.until(t, wrong("Bit rate")+` === "" && `+input("Bit rate")+`.value === "9m"`)
	m.kept(t, map[string]any{"quality": 30.0, "bitrate": "9m", "format": "mjpg"})
	tb.reset(t, "Bit rate")
	encodes(7_600_000)

	tb.choose(t, "Format", "jpeg")
	m.gives(t, "bcm2835 mmal", "JPEG")
	m.awaitKnob(t, "/parameters/quality", 30)
	tb.set(t, "Quality", "42")
	m.awaitKnob(t, "/parameters/quality", 42)
	tb.until(t, moves)
	m.kept(t, map[string]any{"quality": 42.0, "bitrate": nil, "format": "jpeg"})
	tb.choose(t, "Format", "mjpg")
	m.gives(t, "bcm2835 mmal", "MJPG")
	encodes(9_250_000)
}

// testPanelCameras has the owner choose between the Pi camera and a webcam, and what that sends.
func testPanelCameras(t *testing.T, tb *tab) {
	const slower = 10 // than fps
	m, cam, large, small := tb.m, newWebcam(), image.Pt(1280, 720), image.Pt(640, 360)
	cam.Controls, cam.stills = levels, map[image.Point][]byte{large: grey(t, large), small: grey(t, small)}
	cam.Modes = []usbcam.Mode{{Width: large.X, Height: large.Y, FPS: []float64{fps}}, {Width: small.X, Height: small.Y, FPS: []float64{fps, slower}}}
	cam.plug(t, m)
	t.Cleanup(func() { cam.unplug(t) })
	m.await(t, "two cameras", func() error {
		_, _, said, err := m.owned(http.MethodGet, "/api/camera")
		if err == nil && !bytes.Contains(said, []byte(cam.Name)) {
			err = fmt.Errorf("there are %s", said)
		}
		return err
	})
	const red, grey = "200,0,0", "128,128,128"
	shows := func(colour string) {
		t.Helper()
		tb.until(t, moves+fmt.Sprintf(` && (c => (c.drawImage(document.getElementById("picture"), 9, 9, 1, 1, 0, 0, 1, 1),
			[...c.getImageData(0, 0, 1, 1).data].slice(0, 3).every((v, i) => Math.abs(v - [%s][i]) < 40)))(document.createElement("canvas").getContext("2d"))`, colour))
	}

	tb.open(t, m.url+"/panel")
	shows(red)
	tb.until(t, `[...`+input("Camera")+`.options].map(o => o.text).join() === "auto,mmal service 16.1,`+cam.Name+`"`)
	tb.until(t, input("Rotate")+`.checkVisibility() && `+input("Brightness")+`.min === "0"`)
	tb.choose(t, "Camera", cam.Name)
	m.gives(t, "uvcvideo", "MJPG")
	shows(grey)
	sends := func(size image.Point, rate float64) { // what viewers get, and the webcam was told
		t.Helper()
		m.is(t, "its size and rate", func(s state) bool {
			f := s.Camera.Format
			return s.Camera.Phase == camera.Live && f.Width == size.X && f.Height == size.Y && f.FPS == rate
		})
		tb.until(t, fmt.Sprintf(`(p => p.width === %d && p.height === %d)(document.getElementById("picture"))`, size.X, size.Y))
		stream := m.stream(t)
		defer stream.conn.Close()
		for {
			part, err := stream.stream.Next()
			if err != nil {
				t.Fatalf("the stream, before a picture of the webcam in %v: %v", size, err)
			}
			if bytes.Equal(part.JPEG, cam.stills[size]) {
				break
			}
		}
		if n := cam.Negotiated(); n.Width != size.X || n.Height != size.Y || n.FPS != rate {
			t.Errorf("the webcam sends %+v, want %v at %v frames a second", n, size, rate)
		}
	}
	sends(large, fps)

	// What the page offers is now this camera's, and what it has not is refused.
	offers := func(label, want string) {
		t.Helper()
		tb.until(t, `[...`+input(label)+`.options].map(o => o.text).join().replace(/\d+(\.\d)? Mbit/g, "… Mbit") === "`+want+`"`)
	}
	offers("Size", "640×360, up to 15 fps, about … Mbit/s,1280×720, up to 15 fps, about … Mbit/s")
	tb.until(t, `!`+input("Rotate")+` && `+input("Brightness")+`.min === "-10"`)
	tb.set(t, "Brightness", "60")
	m.await(t, "the webcam's brightness", func() error {
		if b := cam.Brightness(); b != 60 {
			return fmt.Errorf("it is %d", b)
		}
		return nil
	})
	tb.choose(t, "Size", "640×360")
	sends(small, fps)
	offers("Frames a second", "30,15 fps, about … Mbit/s,10 fps, about … Mbit/s")
	tb.choose(t, "Frames a second", "10 fps")
	sends(small, slower)
	tb.reset(t, "Frames a second")
	sends(small, fps)
	tb.reset(t, "Size")
	sends(large, fps)
	tb.set(t, "Bit rate", "9M")
	tb.until(t, wrong("Bit rate")+`.includes("no such control as bitrate") && `+input("Bit rate")+`.value === ""`)
	tb.shot(t, "cameras.png")

	// When it is gone, its owner goes back to the other one.
	cam.unplug(t)
	m.is(t, "no camera", func(s state) bool { return s.Camera.Phase == camera.NoCamera })
	tb.open(t, m.url+"/panel")
	tb.choose(t, "Camera", "auto")
	m.gives(t, "bcm2835 mmal", "MJPG")
	shows(red)
	tb.until(t, input("Rotate")+`.checkVisibility() && `+input("Brightness")+`.min === "0"`)
	m.picture(t)
}

// grey is a picture that is not among those of pictures.
func grey(t *testing.T, size image.Point) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(img, img.Rect, &image.Uniform{color.RGBA{128, 128, 128, 255}}, image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// choose chooses what has a text, up to a comma, among what a label offers, by the one event
// that programs send which fill in forms.
func (tb *tab) choose(t *testing.T, label, text string) {
	t.Helper()
	tb.until(t, fmt.Sprintf(`(i => (i.value = [...i.options].find(o => o.text.split(",", 1)[0] === %q).value, i.dispatchEvent(new Event("change", { bubbles: true }))))(%s)`, text, input(label)))
}

// gives waits until a driver's camera gives pictures in a format.
func (m *machine) gives(t *testing.T, driver, format string) {
	t.Helper()
	m.is(t, "pictures of "+driver+" in "+format, func(s state) bool {
		return s.Camera.Phase == camera.Live && s.Camera.Device.Driver == driver && s.Camera.Format.PixelFormat == format
	})
}

// kept waits until the API says that settings have these values.
func (m *machine) kept(t *testing.T, want map[string]any) {
	t.Helper()
	m.await(t, fmt.Sprintf("settings are kept: %v", want), func() error {
		var answer struct {
			Settings map[string]struct {
				Value any `json:"value"`
			} `json:"settings"`
		}
		code, _, body, err := m.owned(http.MethodGet, "/api/settings")
		if err == nil {
			err = json.Unmarshal(body, &answer)
		}
		if err != nil || code != http.StatusOK {
			return fmt.Errorf("status %d, %v: %s", code, err, body)
		}
		for name, value := range want {
			if got := answer.Settings[name].Value; got != value {
				return fmt.Errorf("%s is %v", name, got)
			}
		}
		return nil
	})
}
