//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pushcam/pushcam/camera/cameratest/usbcam"
)

// levels are what the webcam of the panel's test has. It refuses one of them.
var levels = usbcam.Controls{
	Brightness: &usbcam.Level{Min: -10, Max: 100, Step: 1, Default: 5},
	Exposure:   &usbcam.Level{Min: 1, Max: 5000, Step: 1, Default: 156},
	Refuse:     func(_ usbcam.Level, v int32) bool { return v == 77 },
}

// testPanel has the owner do on its page all that is done there without a restart: it
// reaches the kernel's driver and the webcam, the lights, the button and the viewers.
func testPanel(t *testing.T, tb *tab) {
	m := tb.m
	webcam := func(what string, value func() int32, want int32) {
		t.Helper()
		m.await(t, fmt.Sprintf("the webcam's %s is %d", what, want), func() error {
			if got := value(); got != want {
				return fmt.Errorf("it is %d", got)
			}
			return nil
		})
	}

	tb.open(t, m.url+"/panel")
	tb.logIn(t, password)
	tb.until(t, moves)

	tb.until(t, `(i => i?.type === "range" && i.min === "-10" && i.max === "100" && i.value === "5")(`+input("Brightness")+`)`)
	tb.set(t, "Brightness", "60")
	webcam("brightness", m.cam.Brightness, 60)
	tb.set(t, "Brightness", "77")
	tb.until(t, wrong("Brightness")+`.includes("refuses 77") && `+input("Brightness")+`.value === "60"`)
	webcam("brightness", m.cam.Brightness, 60)
	const exposure = "Exposure time absolute"
	tb.until(t, `(i => i?.disabled && i.min === "1" && i.max === "5000")(`+input(exposure)+`)`) // while the webcam rules it itself
	tb.until(t, `window.manual = [...`+input("Auto exposure")+`.options].find(o => /manual/i.test(o.text))?.value`)
	tb.until(t, `(i => (i.value = manual, i.dispatchEvent(new Event("change", { bubbles: true }))))(`+input("Auto exposure")+`)`)
	tb.set(t, exposure, "300")
	webcam("exposure", m.cam.Exposure, 300)
	tb.shot(t, "panel.png")
	tb.press(t, "All back to the defaults")
	webcam("brightness", m.cam.Brightness, 5)

	tb.set(t, "Name", "not a name")
	tb.until(t, wrong("Name")+` !== ""`)
	t.Run("two owners at once", func(t *testing.T) {
		const hold = "Seconds on without viewers"
		other := tb.another(t)
		other.open(t, m.url+"/panel")
		tb.begin(t, hold, "33")
		other.set(t, hold, "42")
		other.until(t, input(hold)+`.value === "42" && !`+input(hold)+`.closest(".field").querySelector(".reset").hidden`)
		tb.finish(t, hold)
		tb.until(t, wrong(hold)+` === "Somebody else has changed this: it is 42 now." && `+input(hold)+`.value === "42"`)
		tb.until(t, input(hold)+`.closest(".field").querySelector(".reset").click() === undefined`)
		other.until(t, input(hold)+`.value === "10"`)
	})

	// The panel and the button close and open the camera in turn.
	tb.until(t, `(s => { window.said = []; return new MutationObserver(() => said.push(s.textContent)).observe(s, { childList: true }) === undefined; })(document.querySelector("#device [role=status]"))`)
	tb.press(t, "Close the camera (privacy)")
	m.is(t, "privacy, by the panel", func(s state) bool { return s.Settings.Privacy })
	m.toggle(t, false)
	tb.until(t, `said.includes("The button is pressed.") && said.includes("The button was pressed.")`)
	m.toggle(t, true)
	tb.press(t, "Open the camera again")
	m.is(t, "a camera that is open, by the panel", func(s state) bool { return !s.Settings.Privacy })
	tb.until(t, moves)

	lit := func(want bool) {
		t.Helper()
		m.await(t, fmt.Sprintf("the LED is lit: %v", want), func() error {
			lit, err := m.led()
			if err == nil && lit != want {
				err = errors.New("it is not so")
			}
			return err
		})
	}
	lit(true) // for a live camera
	tb.press(t, "Test the lights")
	lit(false)
	lit(true)
	tb.until(t, input("Status light")+`.click() === undefined`)
	m.ledIs(t, false, 1200*time.Millisecond)
	tb.until(t, input("Status light")+`.click() === undefined`)
	lit(true)

	streams := m.cam.Streams()
	tb.press(t, "Restart the camera")
	m.await(t, "the webcam's stream begins anew", func() error {
		if n := m.cam.Streams(); n == streams {
			return fmt.Errorf("there were %d in all", n)
		}
		return nil
	})
	m.picture(t)

	old := m.is(t, "the page's connection", func(s state) bool { return len(s.Viewers) == 1 && s.Viewers[0].Seconds > 2 }).Viewers[0]
	tb.press(t, "Drop")
	m.is(t, "another connection of the page", func(s state) bool {
		return len(s.Viewers) == 1 && s.Viewers[0].Seconds < old.Seconds && s.Viewers[0].Sent > 0
	})
	tb.press(t, "Read")
	tb.until(t, `document.querySelector("#log pre").textContent.includes("loaded kernel module")`)
	tb.press(t, "Make a diagnosis")
	tb.until(t, `document.querySelector("#help textarea").value.includes("uvcvideo")`)
	tb.logOut(t)
}
