package update

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/update/card/cardtest"
)

// hang has the card hang from the next time that somebody wants something of it.
func (a *camera) hang() (reached <-chan struct{}, release func()) {
	first, end := make(chan struct{}, 1), make(chan struct{})
	a.Card.Device = func() (uint32, uint32, error) {
		select {
		case first <- struct{}{}:
		default:
		}
		<-end
		return cardtest.Major, cardtest.Minor, nil
	}
	return first, func() { close(end) }
}

// Whoever only asks is answered, whatever is done to a card that hangs.
func TestNobodyWaitsForTheCard(t *testing.T) {
	t.Attr("fault", "update | the card hangs while an update is written | who asks is answered | when it answers")
	trial := func(a *camera) {
		a.send(newRoot)
		a.restart()
		a.start("v2")
	}
	tests := []struct {
		name    string
		prepare func(a *camera)
		does    func(a *camera)
		phase   Phase
	}{
		{"the program begins", func(a *camera) { a.begin("v1") }, func(a *camera) { a.Run(t.Context()) }, Starting},
		{"the last update is put in order", func(a *camera) {
			a.sendKernel()
			a.begin("v1")
		}, func(a *camera) { a.Run(t.Context()) }, Starting},
		{"an upload", func(*camera) {}, func(a *camera) { a.ask("PUT", "/api/update/root", newRoot, digest(newRoot)) }, Receiving},
		{"the upload of a kernel", func(*camera) {}, func(a *camera) { a.ask("PUT", "/api/update/boot", newRoot, digest(newRoot)) }, Receiving},
		{"an update is looked into", func(a *camera) { a.ask("PUT", "/api/update/root", newRoot, digest(newRoot)) }, func(a *camera) {
			a.ask("POST", fmt.Sprintf("/api/update/try?root=%x", sha256.Sum256(newRoot)), nil, nil)
		}, Restarting},
		{"the commit", trial, func(a *camera) { a.commit() }, OnTrial},
		{"an update is taken back", func(a *camera) { a.send(newRoot) }, func(a *camera) { a.disarm(a.State().Last, context.Canceled) }, Restarting},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			a := newCamera(t)
			tc.prepare(a)
			reached, release := a.hang()
			done := make(chan struct{})
			go func() { defer close(done); tc.does(a) }()
			<-reached
			if s := a.State(); s.Phase != tc.phase {
				t.Errorf("the state is %+v, want phase %q", s, tc.phase)
			}
			if code, said := a.ask("GET", "/api/update", nil, nil); code != http.StatusOK {
				t.Errorf("%d %s", code, said)
			}
			release()
			<-done
		})
	}
}

// A status comes from memory: polled by everybody who waits for an update, it must
// not depend on a card.
func TestStatusReadsNoCard(t *testing.T) {
	a := newCamera(t)
	_, before := a.ask("GET", "/api/update", nil, nil)
	if err := os.RemoveAll(string(a.Card.Root)); err != nil {
		t.Fatal(err)
	}
	if _, after := a.ask("GET", "/api/update", nil, nil); after != before || !strings.Contains(after, cardtest.Kernel) {
		t.Errorf("without a card the status is %s, before it was %s", after, before)
	}
}

// The copy of the old kernel was damaged on /perm. That must not be written to the
// card, and must not be the end of all updates.
func TestDamagedCopyOfTheKernel(t *testing.T) {
	t.Attr("fault", "update | the copy of the old kernel is damaged | it is not written to the card | the next update")
	damage := map[string]func(t *testing.T, copy string){
		"a byte": func(t *testing.T, copy string) {
			b, err := os.ReadFile(copy)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)-1]++
			if err := os.WriteFile(copy, b, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"cut off": func(t *testing.T, copy string) {
			if err := os.Truncate(copy, 1000); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, damage := range damage {
		t.Run(name, func(t *testing.T) {
			a := newCamera(t)
			a.sendKernel()
			a.runKernel()
			a.restart()
			a.start("v2")
			a.restart()
			damage(t, filepath.Join(a.Dir, savedBoot))
			a.start("v1")
			if s := a.now(); s.Phase != Idle || s.Trouble != "" || a.reboots != 1 || !strings.Contains(s.Message, "its copy is damaged: update the kernel again") {
				t.Errorf("%+v, %d reboots", s, a.reboots)
			}
			if a.runKernel() != newKernel {
				t.Error("the damaged kernel is on the card")
			}
			a.wantNoBoots()
			next := cardtest.Root("v3")
			next.Kernels = []string{newKernel}
			a.send(next.Bytes())
		})
	}
}

// A request that is cancelled arms nothing, whenever that is.
func TestCancelledRequestArmsNothing(t *testing.T) {
	for _, boot := range []bool{false, true} {
		t.Run(fmt.Sprint("with a kernel: ", boot), func(t *testing.T) {
			a := newCamera(t)
			ctx, cancel := context.WithCancel(t.Context())
			query := fmt.Sprintf("root=%x", sha256.Sum256(newRoot))
			if boot {
				root, image := kernelImages()
				for part, b := range map[string][]byte{"root": root, "boot": image} {
					if code, said := a.ask("PUT", "/api/update/"+part, b, digest(b)); code != http.StatusNoContent {
						t.Fatalf("upload: %d %s", code, said)
					}
				}
				query = fmt.Sprintf("root=%x&boot=%x", sha256.Sum256(root), sha256.Sum256(image))
				a.picture = func(context.Context) error { // a moment later, when the card is read next
					a.Card.Device = func() (uint32, uint32, error) { cancel(); return cardtest.Major, cardtest.Minor, nil }
					return nil
				}
			} else {
				if code, said := a.ask("PUT", "/api/update/root", newRoot, digest(newRoot)); code != http.StatusNoContent {
					t.Fatalf("upload: %d %s", code, said)
				}
				a.picture = func(context.Context) error { cancel(); return nil }
			}
			before := a.onCard()
			w := httptest.NewRecorder()
			a.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", "http://pushcam/api/update/try?"+query, nil))
			if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "ho asked for it is gone") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if b := a.onCard(); b != before || a.reboots > 0 || a.runKernel() != cardtest.Kernel || a.now().Phase != Idle || a.now().Trouble != "" {
				t.Errorf("%+v, %d reboots, %+v", b, a.reboots, a.now())
			}
			if boot {
				a.wantNoBoots()
			}
		})
	}
}

// What an upload left on /perm that nobody has tried goes with the next boot.
func TestLeftImagesGo(t *testing.T) {
	a := newCamera(t)
	_, image := kernelImages()
	if code, said := a.ask("PUT", "/api/update/boot", image, digest(image)); code != http.StatusNoContent {
		t.Fatalf("%d %s", code, said)
	}
	a.start("v1")
	a.wantNoBoots()
	if b := a.onCard(); b.Next != (partition.Next{Root: 2}) {
		t.Errorf("%+v", b)
	}
}

// The program ended while it wrote a kernel, and the system did not: what is half written
// there would not start, and so it is written back before anything starts anew.
func TestProgramEndsWhileTheKernelIsWritten(t *testing.T) {
	t.Attr("fault", "update | the program ends while a kernel is written | the old kernel is back before the next boot | at its next start")
	probe := newCamera(t)
	old, err := os.ReadFile(probe.Card.Root.Path("dev/mmcblk0p1"))
	if err != nil {
		t.Fatal(err)
	}
	_, image := kernelImages()
	const piece = 512
	for cut := piece; cut < len(image); cut += piece * max(1, len(image)/piece/8) {
		t.Run(fmt.Sprint("after ", cut, " bytes"), func(t *testing.T) {
			a := newCamera(t)
			a.sendKernel()
			half, err := os.ReadFile(a.Card.Root.Path("dev/mmcblk0p1"))
			if err != nil {
				t.Fatal(err)
			}
			copy(half[cut:], old[cut:])
			if err := os.WriteFile(a.Card.Root.Path("dev/mmcblk0p1"), half, 0o644); err != nil {
				t.Fatal(err)
			}
			a.start("v1")
			if s := a.now(); s.Phase != Idle || s.Trouble != "" || a.reboots != 1 {
				t.Errorf("%+v, %d reboots", s, a.reboots)
			}
			if a.runKernel() != cardtest.Kernel || a.restart() {
				t.Error("the old kernel is not back")
			}
			a.wantSettings()
			a.wantNoBoots()
			a.want(RolledBack, "program")
		})
	}
}

// What arrived whole is changed on /perm before it is tried: a boot partition has one
// copy, so it is looked at again before that is overwritten.
func TestDamagedKernelIsNotTried(t *testing.T) {
	t.Attr("fault", "update | /perm does not keep a kernel that has arrived | the kernel that runs stays | the next update")
	a := newCamera(t)
	root, image := kernelImages()
	for part, b := range map[string][]byte{"root": root, "boot": image} {
		if code, said := a.ask("PUT", "/api/update/"+part, b, digest(b)); code != http.StatusNoContent {
			t.Fatalf("upload: %d %s", code, said)
		}
	}
	damaged := bytes.Clone(image)
	damaged[bytes.Index(damaged, []byte("xxxx"))]++
	if err := os.WriteFile(filepath.Join(a.Dir, bootFile), damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	code, said := a.ask("POST", fmt.Sprintf("/api/update/try?root=%x&boot=%x", sha256.Sum256(root), sha256.Sum256(image)), nil, nil)
	if code != http.StatusInternalServerError || !strings.Contains(said, "damaged") || a.reboots > 0 || a.runKernel() != cardtest.Kernel {
		t.Errorf("%d %s, %d reboots", code, said, a.reboots)
	}
	a.sendKernel()
}

// A power cut leaves half a boot partition on /perm under another name. It goes with the
// next boot, and before the next upload, whose room it would have.
func TestHalfAnUploadGoes(t *testing.T) {
	t.Attr("fault", "update | the power is cut while a kernel is uploaded | what has arrived is not left on /perm | the next boot")
	a := newCamera(t)
	halves := []string{filepath.Join(a.Dir, bootFile+".part"), filepath.Join(a.Dir, savedBoot+".part")}
	for _, begin := range []func(){
		func() { a.start("v1") },
		func() {
			_, image := kernelImages()
			if code, said := a.ask("PUT", "/api/update/boot", image, digest(image)); code != http.StatusNoContent {
				t.Fatalf("%d %s", code, said)
			}
		},
	} {
		for _, half := range halves {
			if err := os.WriteFile(half, make([]byte, 1000), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		begin()
		for _, half := range halves {
			if _, err := os.Stat(half); err == nil {
				t.Errorf("%s is left", filepath.Base(half))
			}
		}
	}
}

// A kernel that could not be restarted into is gone, and who has it tried again hears that
// it is to be sent again.
func TestKernelIsGoneAfterARestartThatFailed(t *testing.T) {
	a := newCamera(t)
	reboot := a.Reboot
	a.Reboot = func(context.Context) error { return errors.New("gokrazy does not want to") }
	a.sendKernel()
	if a.runKernel() != cardtest.Kernel {
		t.Error("the old kernel is not back")
	}
	a.wantNoBoots()
	root, image := kernelImages()
	code, said := a.ask("POST", fmt.Sprintf("/api/update/try?root=%x&boot=%x", sha256.Sum256(root), sha256.Sum256(image)), nil, nil)
	if code != http.StatusConflict || !strings.Contains(said, "upload it again") {
		t.Errorf("%d %s", code, said)
	}
	a.Reboot = reboot
	a.sendKernel()
}

// What became of a new kernel cannot be read any more. The copy of the old one is all that
// the old root file system has drivers for.
func TestKernelIsBackWithoutARecord(t *testing.T) {
	t.Attr("fault", "update | what became of a new kernel is lost on /perm | the old kernel is brought back with its root | at the next boot")
	for name, lose := range map[string]func(a *camera){
		"before its trial": func(a *camera) { a.restart() },
		"on its trial":     func(a *camera) { a.restart(); a.start("v2") },
	} {
		t.Run(name, func(t *testing.T) {
			a := newCamera(t)
			a.sendKernel()
			a.runKernel()
			if err := os.WriteFile(filepath.Join(a.Dir, recordFile), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			lose(a)
			a.restart() // and it was not good
			a.start("v1")
			if a.reboots != 2 || a.runKernel() != cardtest.Kernel || a.restart() {
				t.Errorf("%d reboots, and the kernel %s", a.reboots, a.runKernel())
			}
			a.start("v1")
			if s := a.now(); s.Phase != Idle || s.Trouble != "" || a.reboots != 2 {
				t.Errorf("%+v, %d reboots", s, a.reboots)
			}
			a.wantSettings()
			a.wantNoBoots()
		})
	}
	t.Run("after its commit", func(t *testing.T) {
		a := newCamera(t)
		a.sendKernel()
		a.runKernel()
		a.restart()
		a.start("v2")
		if err := a.Card.SetNext(partition.Next{Root: 3}); err != nil { // and the power is cut
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(a.Dir, recordFile), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		a.restart()
		a.start("v2")
		if s := a.now(); s.Phase != Idle || s.Trouble != "" || a.reboots != 1 || a.runKernel() != newKernel {
			t.Errorf("%+v, %d reboots", s, a.reboots)
		}
		a.wantNoBoots()
	})
}
