//go:build linux

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/fat"
	"github.com/pushcam/pushcam/gokrazy/identity"
	"github.com/pushcam/pushcam/gokrazy/image"
)

// TestUpdateKernel updates to another kernel twice. The first time the root panics,
// which brings the old kernel back. The second time the root is good. From the owner's page
// it goes back to the old one.
func TestUpdateKernel(t *testing.T) {
	t.Attr("fault", "update | another kernel, which panics | the old kernel is back | rolled back by itself")
	if !*otaAll {
		t.Skip("takes minutes: run it with \"go test -timeout 1h -run TestUpdate ./hack/e2e -ota-all\"")
	}
	p, newer := older(t)
	checkout, err := image.FindCheckout(".")
	if err != nil {
		t.Fatal(err)
	}
	// This image has room on /perm for two boot partitions.
	b := &image.Builder{Checkout: checkout, Password: password, Kernel: image.StockKernel, Version: p.Version, Time: p.Time, Sign: releaseSigner(t)}
	img, err := b.Build(t.Context(), filepath.Join(t.TempDir(), "card.img"))
	if err != nil {
		t.Fatal(err)
	}
	writeNote := func(text string) {
		t.Helper()
		note := filepath.Join(t.TempDir(), "note")
		err := os.WriteFile(note, []byte(text), 0o600)
		if err == nil {
			err = exec.CommandContext(t.Context(), "mcopy", "-i", img.Path+"@@4M", note, "::Notes of mine.txt").Run()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	note := func() string {
		t.Helper()
		f, err := fat.Open(bytes.NewReader(bootPartition(t, img.Path)))
		if err != nil {
			t.Fatal(err)
		}
		text, err := f.ReadFile("Notes of mine.txt", 100)
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	writeNote("mine")
	cam := newWebcam()
	m := boot(t, img.Path, p.uefi())
	cam.plug(t, m)
	t.Cleanup(func() { cam.unplug(t) })
	old := m.runs(t, p.Version).Kernel.Release
	t.Run("the root alone", func(t *testing.T) {
		said, err := m.update(t, "-image", good(t))
		if err == nil || !strings.Contains(said, "update the kernel too, with -kernel") {
			t.Errorf("without the kernel that it needs: %v", err)
		}
	})
	t.Run("panics", func(t *testing.T) {
		said, err := m.update(t, "-kernel", "-yes", "-image", bad(t, "panics"))
		if err == nil || !strings.Contains(said, "rolled back") {
			t.Fatalf("it is not rolled back: %v", err)
		}
		if s := m.runs(t, p.Version); s.Kernel.Release != old {
			t.Errorf("the kernel is %s afterwards, not %s", s.Kernel.Release, old)
		}
		if got := note(); got != "mine" {
			t.Errorf("the owner's file is %q afterwards", got)
		}
	})
	t.Run("good", func(t *testing.T) {
		said, err := m.update(t, "-kernel", "-yes", "-image", good(t))
		if err != nil || !strings.Contains(said, "committed") {
			t.Fatalf("it is not committed: %v", err)
		}
		if s := m.runs(t, newer); s.Kernel.Package != string(image.PushcamKernel) {
			t.Errorf("the kernel is %+v afterwards", s.Kernel)
		}
		if got := note(); got != "mine" {
			t.Errorf("the owner's file is %q afterwards", got)
		}
	})
	t.Run("from the owner's page", func(t *testing.T) {
		back, err := b.BuildArchive(t.Context(), filepath.Join(t.TempDir(), "back.gaf"))
		if err != nil {
			t.Fatal(err)
		}
		tb := newTab(t, m)
		testPanelUpdate(t, tb, back.Path, p.Version, func(button string) {
			tb.until(t, input("With the kernel")+`.click() === undefined`)
			tb.sure(t, button, "Write the kernel?")
		})
		if s := m.runs(t, p.Version); s.Kernel.Release != old {
			t.Errorf("the kernel is %s afterwards, want %s", s.Kernel.Release, old)
		}
		if got := note(); got != "mine" {
			t.Errorf("the owner's file is %q afterwards", got)
		}
	})
	t.Run("not asked for", func(t *testing.T) {
		said, err := m.update(t, "-kernel", "-image", good(t))
		if err == nil || !strings.Contains(said, "written anew") || !strings.Contains(said, "was left as it is") {
			t.Errorf("without an answer: %v", err)
		}
	})
}

// TestUpdateFull updates with a full /perm, where nothing can be kept.
func TestUpdateFull(t *testing.T) {
	t.Attr("fault", "update | an update with a full /perm | nothing is tried, and the owner hears how much is needed | when there is room")
	if !*otaAll {
		t.Skip("is tried with the other updates: run it with \"go test -timeout 1h -run TestUpdate ./hack/e2e -ota-all\"")
	}
	p, newer := older(t)
	unnamed := *p // a name of its own could not be kept, and the update is for another
	unnamed.settings = "password=" + password + "\r\n"
	cam, card := newWebcam(), unnamed.card(t)
	key, err := identity.New() // updates go to who can prove that it has it, which was kept when there was room
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	debugfs("mkdir /pushcam", "")(t, card)
	debugfs("write FILE /pushcam/"+identity.File, string(text))(t, card)
	fillPerm(t, card)
	m := boot(t, card, p.uefi())
	cam.plug(t, m)
	t.Cleanup(func() { cam.unplug(t) })
	m.picture(t)
	if said, err := m.update(t, "-image", good(t)); err == nil || !strings.Contains(said, "/perm is too full") {
		t.Errorf("an update to %s: %v", newer, err)
	}
	m.runs(t, p.Version)
}
