//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// flashed is a card that pushcamctl has written to a disk, which a PC then sets by its
// text file.
func flashed(t *testing.T, p *product) (card string) {
	t.Helper()
	card = filepath.Join(t.TempDir(), "card")
	f, err := os.Create(card)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(p.Size); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", card).CombinedOutput()
	if err != nil {
		t.Logf("there is no loop device here, so the card is copied and not flashed: losetup: %v: %s", err, out)
		return p.card(t)
	}
	disk := strings.TrimSpace(string(out))
	defer func() {
		if out, err := exec.Command("losetup", "--detach", disk).CombinedOutput(); err != nil {
			t.Errorf("losetup --detach: %v: %s", err, out)
		}
	}()
	tool, err := pushcamctl()
	if err != nil {
		t.Fatalf("build pushcamctl: %v", err)
	}
	said, err := exec.CommandContext(t.Context(), tool, "flash", "-yes", "-image", p.Path, disk).CombinedOutput()
	if err != nil || !strings.Contains(string(said), "is written and checked") {
		t.Fatalf("pushcamctl flash: %v: %s", err, said)
	}
	p.set(t, disk+"@@4M")
	return card
}

// TestFirstSight boots what a release has for everybody, without a setting: the camera
// has a picture for all and an owner's things for nobody, until the first who opens its
// page chooses a password, and switches it off there.
func TestFirstSight(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	p, _ := older(t)
	free := *p
	free.settings = ""
	card := free.card(t)
	m := boot(t, card, p.direct())
	s := m.is(t, "a camera without an owner", func(s state) bool { return s.Unowned && s.Hostname == "pushcam" && device.IsID(s.ID) })
	code, _, page, err := m.get("/", getTimeout)
	if err != nil || code != http.StatusOK || !strings.Contains(string(page), `action="welcome"`) {
		t.Fatalf("the page does not ask for a password: status %d, %v:\n%s", code, err, page)
	}
	for _, path := range []string{"/api/log", "/api/update", "/gokrazy/"} {
		if code, _, said, err := m.owned(http.MethodGet, path); err != nil || code != http.StatusForbidden || !strings.Contains(string(said), "no owner yet") {
			t.Errorf("%s: status %d, %v: %s", path, code, err, said)
		}
	}
	tool, err := pushcamctl()
	if err != nil {
		t.Fatal(err)
	}
	logs := exec.CommandContext(t.Context(), tool, append([]string{"logs", "-follow=false", "-password", "-"}, m.trusted(t)...)...)
	logs.Env = append(os.Environ(), "XDG_CONFIG_HOME="+t.TempDir())
	logs.Stdin = strings.NewReader(password + "\n")
	if said, err := logs.CombinedOutput(); err == nil || !strings.Contains(string(said), "has no owner yet: open http://") || strings.Count(string(said), "\n") != 1 {
		t.Errorf("pushcamctl logs: %v: %s", err, said)
	}
	choose := func(password string) int {
		t.Helper()
		resp, err := web.PostForm(m.url+"/welcome", url.Values{"password": {password}, "again": {password}})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	if code := choose("short"); code != http.StatusUnprocessableEntity {
		t.Errorf("a short password: status %d", code)
	}
	tb := newTab(t, m)
	tb.open(t, m.url+"/")
	fill := func(again string) {
		t.Helper()
		tb.until(t, fmt.Sprintf(`(form => form && (Object.entries({ password: %q, again: %q, name: "garden", viewing: "open" })
			.forEach(([name, value]) => form.elements.namedItem(name).value = value), form.requestSubmit(), true))(document.querySelector("form"))`, password, again))
	}
	fill("something else")
	tb.until(t, `document.querySelector("[role=alert]")?.textContent === "The two passwords differ: type the same one twice."`)
	fill(password)
	tb.until(t, `document.querySelector("a")?.href === "http://garden.local/"`)
	m.is(t, "a camera with its owner's name", func(s state) bool { return s.Hostname == "garden" })
	if code := choose("a stranger's own"); code != http.StatusConflict {
		t.Errorf("another password: status %d", code)
	}
	if code, _, said, err := m.owned(http.MethodGet, "/api/log"); err != nil || code != http.StatusOK || strings.Contains(string(said), password) {
		t.Errorf("the owner's log: status %d, %v: %s", code, err, said)
	}
	m.is(t, "a camera with an owner", func(s state) bool { return !s.Unowned })
	switchOff(t, newTab(t, m))

	// /perm as the next start finds it.
	_, hash, _ := strings.Cut(debugPerm(t, card, "debugfs", "-R", "cat /"+device.OwnerFile), "bcrypt-") // behind debugfs' version
	if ok, err := device.NewOwner("bcrypt-" + strings.TrimSpace(hash)).Verify(password); !ok || err != nil {
		t.Errorf("the password on the card: %v, %v", ok, err)
	}
	if id := debugPerm(t, card, "debugfs", "-R", "cat /"+device.IDFile); !strings.Contains(id, s.ID) {
		t.Errorf("the id on the card is %q, want %s", id, s.ID)
	}
}
