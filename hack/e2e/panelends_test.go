//go:build linux

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pushcam/pushcam/gokrazy/update"
)

// testRename gives the camera another name on its owner's page, which goes there by itself.
// Chromium is told where all names below .local are, so the page's questions fail until the
// camera announces the new one.
func testRename(t *testing.T, tb *tab, name, other, password string) {
	m, port := tb.m, tb.m.url[strings.LastIndex(tb.m.url, ":"):]
	there := "http://" + other + ".local" + port + "/panel"
	tb.open(t, "http://"+name+".local"+port+"/panel")
	tb.logIn(t, password)
	tb.until(t, `(all => window.fetch = (url, ...more) => url !== "`+there+`" || window.announced ? all(url, ...more) : Promise.reject(new TypeError("no such name")))(fetch)`)
	tb.set(t, "Name", other)
	began := time.Now()
	tb.until(t, `document.querySelector("#trouble a")?.href === "`+there+`"`)
	m.is(t, "a camera with its new name", func(s state) bool { return s.Hostname == other && s.Network.Host == other+".local" })
	tb.until(t, `window.announced = true`)
	tb.until(t, `location.href === "`+there+`"`)
	tb.logIn(t, password) // which is for one name only
	tb.until(t, moves+` && `+input("Name")+`.value === "`+other+`"`)
	t.Logf("on the page of its new name after %.1f s", time.Since(began).Seconds())
}

// testReboot has the owner reboot the appliance on its page, in the course of meanwhile. A
// viewer's page that is open shows by itself that the camera is closed as before, and its
// picture when its owner opens it.
func testReboot(t *testing.T, tb *tab, meanwhile func(reboot func(*testing.T))) {
	m, viewer := tb.m, tb.another(t)
	is := func(tb *tab, word string) {
		t.Helper()
		tb.until(t, theWord+` === "`+word+`"`)
	}
	viewer.open(t, m.url+"/")
	is(viewer, "privacy")
	viewer.until(t, `window.sameAsBefore = true`)
	tb.open(t, m.url+"/panel")
	tb.logIn(t, password)
	is(tb, "privacy")
	meanwhile(func(t *testing.T) { tb.sure(t, "Restart the device", "The picture is gone for half a minute") })

	tb.logIn(t, password) // a login ends with the program
	tb.press(t, "Open the camera again")
	tb.until(t, moves)
	viewer.until(t, moves+` && sameAsBefore`)
	tb.press(t, "Close the camera (privacy)")
	is(viewer, "privacy")
	m.staysClosed(t)
	tb.open(t, "about:blank")
}

// switchOff has the owner switch the appliance off on its page.
func switchOff(t *testing.T, tb *tab) {
	t.Helper()
	m := tb.m
	tb.open(t, m.url+"/panel")
	tb.logIn(t, password)
	tb.sure(t, "Switch off", "Switch off?", "Only its plug starts it again")
	select {
	case <-m.exited:
	case <-time.After(patience):
		t.Fatalf("the machine is on %v after its owner has switched it off", patience)
	}
	if reason := m.shutdown.Load(); m.exit != nil || reason != "guest-shutdown" {
		t.Errorf("the machine ended because of %v, and QEMU with %v", reason, m.exit)
	}
}

// testPanelUpdate has the owner send an update on its page, by https, and answer what it asks.
func testPanelUpdate(t *testing.T, tb *tab, gaf, version string, send func(button string)) {
	tb.open(t, "https://"+tb.m.tls+"/panel")
	tb.logIn(t, password)
	tb.do(t, chromedp.SetUploadFiles(chromedp.CSS("#update [type=file]"), []string{gaf}))
	send("Send it, and try it")
	tb.until(t, `document.querySelector("#update progress").value > 0`)
	tb.m.is(t, version+" on no trial", func(s state) bool { return s.Program.Version == version && s.Update.Phase == update.Idle })
	tb.open(t, "https://"+tb.m.tls+"/panel")
	tb.logIn(t, password)
	tb.until(t, `document.querySelector("#update [role=status]").textContent === "The update to `+version+` was tried, and stays."`)
	tb.logOut(t)
}
