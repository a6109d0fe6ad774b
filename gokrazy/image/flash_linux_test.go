package image

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/fat"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// smallImage is an image for tests: with a partition table, and far smaller than
// a real one. It is not a whole number of pieces.
func smallImage(t *testing.T) (path string, content []byte) {
	t.Helper()
	content = make([]byte, 3*piece+5*sectorSize)
	rand.NewChaCha8([32]byte{1}).Read(content)
	header := cardHeader(DefaultSize)
	for i := range 4 { // four partitions of a sector each
		entry := header[2*sectorSize+i*128:]
		copy(entry[32:48], bytes.Repeat([]byte{byte(6 + i), 0, 0, 0, 0, 0, 0, 0}, 2))
	}
	copy(content, header)
	path = filepath.Join(t.TempDir(), "pushcam.img")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// card makes /dev/sdb of the computer something to write to, with old content.
func card(t *testing.T, s *System, size int) (path string) {
	t.Helper()
	write(t, s, "sys/devices/sdb/size", strconv.Itoa(size/sectorSize)+"\n")
	write(t, s, "dev/sdb", strings.Repeat("o", size))
	return s.path("dev/sdb")
}

func TestFlash(t *testing.T) {
	image, content := smallImage(t)
	s := computer(t)
	device := card(t, s, 4*piece)
	var got []Progress
	f := &Flasher{System: s, Progress: func(p Progress) {
		if !p.Checking && p.Done < int64(len(content)) {
			// Until the last piece, the card has no partition table.
			if first := readCard(t, device, 3*sectorSize); !bytes.Equal(first, make([]byte, 3*sectorSize)) {
				t.Errorf("the card begins with %x after %d bytes", first[:16], p.Done)
			}
		}
		got = append(got, p)
	}}
	if err := f.Flash(t.Context(), image, "/dev/sdb"); err != nil {
		t.Fatal(err)
	}
	written := readCard(t, device, 4*piece)
	if !bytes.Equal(written[:len(content)], content) {
		t.Error("the card differs from the image")
	}
	if !bytes.Equal(written[len(content):], bytes.Repeat([]byte("o"), 4*piece-len(content))) {
		t.Error("the card was written to beyond the image")
	}
	const last, total = 5 * sectorSize, 3*piece + 5*sectorSize
	want := []Progress{
		{Done: piece}, {Done: 2 * piece}, {Done: 2*piece + last}, {Done: total},
		{Checking: true, Done: piece}, {Checking: true, Done: 2 * piece}, {Checking: true, Done: 3 * piece}, {Checking: true, Done: total},
	}
	for i := range want {
		want[i].Total = total
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Progress{}, "Elapsed")); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

// TestFlashText has the owner's file on the card, in the place of the image's.
func TestFlashText(t *testing.T) {
	const boot, size = 6, 2_200_064 // in sectors, and in bytes
	content := make([]byte, boot*sectorSize+size+3*sectorSize)
	header := cardHeader(DefaultSize)
	first := uint64(boot)
	for i, n := range []uint64{size / sectorSize, 1, 1, 1} {
		entry := header[2*sectorSize+i*128:]
		binary.LittleEndian.PutUint64(entry[32:], first)
		binary.LittleEndian.PutUint64(entry[40:], first+n-1)
		first += n
	}
	copy(content, header)
	part := memory(content[boot*sectorSize:])
	files := []fat.NewFile{{Path: "cmdline.txt", Data: []byte("x"), ReadOnly: true}, {Path: setup.TextFile, Data: []byte("# the image's")}}
	if _, err := fat.Format(part, size, "PUSHCAM", time.Unix(1e9, 0), files); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(t.TempDir(), "pushcam.img")
	if err := os.WriteFile(image, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s := computer(t)
	device := card(t, s, len(content))
	if err := (&Flasher{System: s, Text: []byte("hostname=garden")}).Flash(t.Context(), image, "/dev/sdb"); err != nil {
		t.Fatal(err)
	}
	written, err := fat.Open(memory(readCard(t, device, len(content))[boot*sectorSize:]))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{setup.TextFile: "hostname=garden", "cmdline.txt": "x"} {
		if text, err := written.ReadFile(name, 100); err != nil || string(text) != want {
			t.Errorf("%s on the card is %q, %v", name, text, err)
		}
	}
}

// memory is a partition in memory.
type memory []byte

func (m memory) ReadAt(p []byte, off int64) (int, error)  { return copy(p, m[off:]), nil }
func (m memory) WriteAt(p []byte, off int64) (int, error) { return copy(m[off:], p), nil }

func readCard(t *testing.T, device string, n int) []byte {
	t.Helper()
	f, err := os.Open(device)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := io.ReadFull(f, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// A card that gives back something else than was written is found out.
func TestFlashBadCard(t *testing.T) {
	image, content := smallImage(t)
	s := computer(t)
	device := card(t, s, 4*piece)
	const at = piece + 12345
	f := &Flasher{System: s, Progress: func(p Progress) {
		if p.Checking || p.Done < int64(len(content)) {
			return
		}
		c, err := os.OpenFile(device, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.WriteAt([]byte{^content[at]}, at); err != nil {
			t.Fatal(err)
		}
	}}
	err := f.Flash(t.Context(), image, "/dev/sdb")
	if err == nil || !strings.Contains(err.Error(), "after byte "+strconv.Itoa(at)) || !strings.Contains(err.Error(), "another one") {
		t.Errorf("error %v, want the place, and what to do", err)
	}
}

func TestFlashStops(t *testing.T) {
	image, _ := smallImage(t)
	s := computer(t)
	device := card(t, s, 4*piece)
	for _, checking := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		f := &Flasher{System: s, Progress: func(p Progress) {
			if p.Checking == checking {
				calls++
				cancel()
			}
		}}
		if err := f.Flash(ctx, image, "/dev/sdb"); !errors.Is(err, context.Canceled) || calls != 1 {
			t.Errorf("after %d pieces: %v, want context.Canceled after one", calls, err)
		}
		hasTable := readCard(t, device, sectorSize)[510] == 0x55
		if hasTable != checking {
			t.Errorf("stopped while checking is %v: partition table is %v", checking, hasTable)
		}
	}
}

func TestFlashRefuses(t *testing.T) {
	image, _ := smallImage(t)
	text := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(text, bytes.Repeat([]byte("note\n"), 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	s := computer(t)
	device := card(t, s, 2*piece)
	odd := oddFiles(t)
	gaf := filepath.Join(odd, "x.gaf")
	if err := os.WriteFile(gaf, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, image, path, want string }{
		{"no image", "none.img", "/dev/sdb", "make one with: pushcamctl image -o none.img"},
		{"no image, of a name with a blank", "my card.img", "/dev/sdb", "make one with: pushcamctl image -o 'my card.img'"},
		{"image is a folder", odd, "/dev/sdb", "is a folder: give a file"},
		{"image is a pipe", filepath.Join(odd, "pipe"), "/dev/sdb", "is a pipe: give a file"},
		{"image is a device", os.DevNull, "/dev/sdb", "is a device: give a file"},
		{"image is for updates", gaf, "/dev/sdb", "pushcamctl update -image " + gaf},
		{"image is another file", text, "/dev/sdb", "not a card image"},
		{"card too small", image, "/dev/sdb", "too small"},
		{"the system's disk", image, "/dev/sda", "this computer runs from"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			f := &Flasher{System: s}
			for name, err := range map[string]error{
				"Flash":  f.Flash(t.Context(), tc.image, tc.path),
				"Target": func() error { _, err := f.Target(tc.image, tc.path); return err }(),
			} {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("%s: error %v, want %q in it", name, err, tc.want)
				}
			}
		})
	}
	if !bytes.Equal(readCard(t, device, 2*piece), bytes.Repeat([]byte("o"), 2*piece)) {
		t.Error("the card was written to")
	}
}

// Who may not write to the card hears so before anything is asked.
func TestFlashNotRoot(t *testing.T) {
	image, _ := smallImage(t)
	s := computer(t)
	device := card(t, s, 4*piece)
	if err := errors.Join(os.Chmod(device, 0o400), os.Chmod(filepath.Dir(filepath.Dir(image)), 0o755)); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: this thread ends with this goroutine
		if os.Geteuid() == 0 {
			const nobody = 65534
			if _, _, err := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); err != 0 {
				failed <- err
				return
			}
		}
		_, err := (&Flasher{System: s}).Target(image, "/dev/sdb")
		failed <- err
	}()
	if err := <-failed; !errors.Is(err, ErrNotRoot) {
		t.Errorf("error %v, want that only root may", err)
	}
}

// TestFlashLoop writes to a real block device.
func TestFlashLoop(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs a loop device: run it as root")
	}
	image, content := smallImage(t)
	backing := filepath.Join(t.TempDir(), "card")
	if err := os.WriteFile(backing, make([]byte, 4*piece), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", backing).CombinedOutput()
	if err != nil {
		t.Skipf("needs a loop device: losetup: %v: %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("losetup --detach: %v: %s", err, out)
		}
	})

	held, err := openCard(device)
	if err != nil {
		t.Fatal(err)
	}
	f := new(Flasher)
	if err := f.Flash(t.Context(), image, device); err == nil || !strings.Contains(err.Error(), "in use by another program") {
		t.Errorf("while another program has it: %v", err)
	}
	held.Close()
	if err := f.Flash(t.Context(), image, device); err != nil {
		t.Fatal(err)
	}
	if got := readCard(t, device, len(content)); !bytes.Equal(got, content) {
		t.Error("the card differs from the image")
	}

	// What is compared is read from the card, not remembered by the kernel.
	const at = 2*piece + 99
	f.Progress = func(p Progress) {
		if p.Checking || p.Done < int64(len(content)) {
			return
		}
		c, err := os.OpenFile(backing, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.WriteAt([]byte{^content[at]}, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Flash(t.Context(), image, device); err == nil || !strings.Contains(err.Error(), "after byte "+strconv.Itoa(at)) {
		t.Errorf("the card forgot something: %v", err)
	}
}
