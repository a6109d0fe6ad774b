//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pushcam/pushcam/camera/cameratest/usbcam"
)

// levels are what the webcam of the panel's test has. It refuses one of them.
var levels = usbcam.Controls{
	Brightness: &usbcam.Level{Min: -10, Max: 100, Step: 1, Default: 5},
	Exposure:   &usbcam.Level{Min: 1, Max: 5000, Step: 1, Default: 156},
	Refuse:     func(_ usbcam.Level, v int32) bool { return v == 77 },
}

// testPanel has the owner do on its page, in a browser, all that is done there without a
// restart: it reaches the kernel's driver and the webcam, the lights and the viewers.
func testPanel(ctx context.Context, t *testing.T, m *machine) {
	until := func(expression string) {
		t.Helper()
		m.await(t, expression, func() error {
			is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
			if err == nil && !is {
				err = errors.New("it is not so")
			}
			return err
		})
	}
	input := func(label string) string {
		return fmt.Sprintf(`document.getElementById([...document.querySelectorAll("label")].find(l => l.textContent === %q)?.htmlFor)`, label)
	}
	wrong := func(label string) string {
		return input(label) + `.closest(".field").querySelector(".wrong").textContent`
	}
	set := func(label, value string) {
		t.Helper()
		until(fmt.Sprintf(`(i => i && !i.disabled && (i.value = %q, i.dispatchEvent(new Event("input", { bubbles: true })), i.dispatchEvent(new Event("change", { bubbles: true }))))(%s)`, value, input(label)))
	}
	press := func(text string) {
		t.Helper()
		until(fmt.Sprintf(`(b => b && (b.click(), true))([...document.querySelectorAll("button")].find(b => b.textContent === %q && b.checkVisibility() && !b.ariaBusy))`, text))
	}
	webcam := func(what string, value func() int32, want int32) {
		t.Helper()
		m.await(t, fmt.Sprintf("the webcam's %s is %d", what, want), func() error {
			if got := value(); got != want {
				return fmt.Errorf("it is %d", got)
			}
			return nil
		})
	}

	if err := chromedp.Do(ctx, chromedp.Navigate(m.url+"/panel")); err != nil {
		t.Fatal(err)
	}
	until(`document.getElementById("login")?.hidden === false`)
	if err := chromedp.Do(ctx, chromedp.Focus(chromedp.CSS("#password")), chromedp.KeyEvent(password+kb.Enter)); err != nil {
		t.Fatal(err)
	}
	const moves = `/^(live|slow)$/.test(document.getElementById("word")?.textContent)` // slow on a busy machine
	until(moves + ` && document.getElementById("picture").width > 0`)

	until(`(i => i?.type === "range" && i.min === "-10" && i.max === "100" && i.value === "5")(` + input("Brightness") + `)`)
	set("Brightness", "60")
	webcam("brightness", m.cam.Brightness, 60)
	set("Brightness", "77")
	until(wrong("Brightness") + `.includes("refuses 77") && ` + input("Brightness") + `.value === "60"`)
	webcam("brightness", m.cam.Brightness, 60)
	const time = "Exposure time absolute"
	until(`(i => i?.disabled && i.min === "1" && i.max === "5000")(` + input(time) + `)`) // while the webcam rules it itself
	until(`window.manual = [...` + input("Auto exposure") + `.options].find(o => /manual/i.test(o.text))?.value`)
	until(`(i => (i.value = manual, i.dispatchEvent(new Event("change", { bubbles: true }))))(` + input("Auto exposure") + `)`)
	set(time, "300")
	webcam("exposure", m.cam.Exposure, 300)
	if shot, err := chromedp.Run(ctx, chromedp.Screenshot(chromedp.CSS("body"))); err != nil {
		t.Error(err)
	} else {
		keep(t, "panel.png", shot)
	}
	press("All back to the defaults")
	webcam("brightness", m.cam.Brightness, 5)

	set("Name", "not a name")
	until(wrong("Name") + ` !== ""`)
	press("Close the camera (privacy)")
	m.is(t, "privacy, by the panel", func(s state) bool { return s.Settings.Privacy })
	press("Open the camera again")
	m.is(t, "a camera that is open, by the panel", func(s state) bool { return !s.Settings.Privacy })
	until(moves)

	press("Test the lights")
	m.await(t, "the LED, which is lit for a live camera, is dark", func() error {
		lit, err := m.led()
		if err == nil && lit {
			err = errors.New("it is lit")
		}
		return err
	})

	old := m.is(t, "the page's connection", func(s state) bool { return len(s.Viewers) == 1 && s.Viewers[0].Seconds > 2 }).Viewers[0]
	press("Drop")
	m.is(t, "another connection of the page", func(s state) bool {
		return len(s.Viewers) == 1 && s.Viewers[0].Seconds < old.Seconds && s.Viewers[0].Sent > 0
	})
	press("Read")
	until(`document.querySelector("#log pre").textContent.includes("loaded kernel module")`)
	press("Make a diagnosis")
	until(`document.querySelector("#help textarea").value.includes("uvcvideo")`)
	press("Log out")
	until(`document.getElementById("login")?.hidden === false && document.querySelectorAll("section").length === 0`)
}
