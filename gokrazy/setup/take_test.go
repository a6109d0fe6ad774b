package setup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/fat"
)

// disk is a boot partition in memory that remembers what it was before each write.
type disk struct {
	data    []byte
	written [][]byte // nil keeps none
	onWrite func()
	broken  error // what each write fails with
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(d.data).ReadAt(p, off)
}

func (d *disk) WriteAt(p []byte, off int64) (int, error) {
	if d.broken != nil {
		return 0, d.broken
	}
	if d.onWrite != nil {
		d.onWrite()
	}
	for at := 0; at < len(p); at += 512 { // a power cut may come between sectors
		if d.written != nil {
			d.written = append(d.written, slices.Clone(d.data))
		}
		copy(d.data[off+int64(at):], p[at:min(at+512, len(p))])
	}
	return len(p), nil
}

// newDisk has these files in the smallest file system.
func newDisk(t *testing.T, files map[string]string) *disk {
	t.Helper()
	const size = 2_200_000 / 512 * 512
	d := &disk{data: make([]byte, size)}
	all := []fat.NewFile{{Path: "cmdline.txt", Data: []byte("root=x"), ReadOnly: true}}
	for name, text := range files {
		all = append(all, fat.NewFile{Path: name, Data: []byte(text)})
	}
	if _, err := fat.Format(d, size, "BOOT", time.Unix(1e9, 0), all); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *disk) fs(t *testing.T) *fat.FS {
	t.Helper()
	f, err := fat.Open(d)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (d *disk) file(t *testing.T, name string) string {
	t.Helper()
	text, err := d.fs(t).ReadFile(name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// system is an appliance's folders, which take writes only at /perm and /run.
func system(t *testing.T) device.Root { return device.Root(t.TempDir()) }

func taker(t *testing.T, root device.Root, d *disk) *Taker {
	return &Taker{Root: root, Log: t.Logf, SetHostname: func(string) error { return nil }, Boot: func(use func(*fat.FS) error) error {
		f, err := fat.Open(d)
		if err != nil {
			return err
		}
		return use(f)
	}}
}

const usual = "# pushcam\r\nhostname=garden\r\npassword=tulip and rose\r\nwifi-ssid=home\r\nwifi-password=hyacinth 7\r\nfps=10\r\n"

func TestTake(t *testing.T) {
	root, d := system(t), newDisk(t, map[string]string{
		"pushcam.txt": usual, "._pushcam.txt": "\x00\x05\x16\x07password=not this", "note.txt": "hostname=other"})
	// An editor has left an older copy where no file is.
	if err := d.fs(t).WriteFile("old.txt", []byte("wifi-password=hyacinth 7"), time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	if err := d.fs(t).Remove("old.txt"); err != nil {
		t.Fatal(err)
	}
	var names []string
	taker := taker(t, root, d)
	taker.SetHostname = func(name string) error { names = append(names, name); return nil }
	if err := taker.Take(); err != nil {
		t.Fatal(err)
	}
	key, err := ParseKey([]byte("home"), "hyacinth 7")
	if err != nil {
		t.Fatal(err)
	}
	want := Setup{Settings: Settings{Hostname: "garden", Networks: []Network{{[]byte("home"), key, 1}}, Flags: map[string]string{"fps": "10"}},
		Places: map[string]Place{"fps": {TextFile, 6}}, CardHostname: "garden"}
	got, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what serves (-want +got):\n%s", diff)
	}
	if names == nil || names[len(names)-1] != "garden" {
		t.Errorf("the system was called %q", names)
	}
	if ok, err := device.ReadOwner(root).Verify("tulip and rose"); !ok {
		t.Errorf("the owner's password: %v", err)
	}
	blanked := strings.NewReplacer("tulip and rose", "**************", "hyacinth 7", "**********").Replace(usual)
	if diff := cmp.Diff(blanked, d.file(t, "pushcam.txt")); diff != "" {
		t.Errorf("the file (-want +got):\n%s", diff)
	}
	for _, secret := range []string{"tulip and rose", "hyacinth 7"} {
		if bytes.Contains(d.data, []byte(secret)) {
			t.Errorf("%q is on the card still", secret)
		}
	}

	// The next boots have nothing to do.
	perm, err := os.Stat(root.Path("perm", File))
	if err != nil {
		t.Fatal(err)
	}
	d.onWrite = func() { t.Error("the card is written without need") }
	if err := taker.Take(); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(root); err != nil || !cmp.Equal(want, got) {
		t.Errorf("after another boot: %+v, %v", got, err)
	}
	if now, err := os.Stat(root.Path("perm", File)); err != nil || !os.SameFile(perm, now) {
		t.Errorf("/perm is written without need: %v", err)
	}
}

// permFiles are the contents of /perm.
func permFiles(t *testing.T, root device.Root) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, name := range []string{File, device.OwnerFile} {
		text, err := os.ReadFile(root.Path("perm", name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	return all
}

// TestPowerCut cuts the power before each sector that is written, and between the files
// in /perm. No secret may be gone from both, and the next boot ends with the same.
func TestPowerCut(t *testing.T) {
	text := usual + "wifi-ssid=second\r\nwifi-password=" + strings.Repeat("y", 63) + "\r\n# " + strings.Repeat("z", 400) + "\r\nwifi-ssid=third\r\nwifi-password=hyacinth 9\r\n"
	files := map[string]string{"pushcam.txt": text, "rpi-preseed.toml": "[user]\npassword='tulip and rose'\n[wlan]\nssid='fourth'\npassword='hyacinth 8'\n"}
	root, d := system(t), newDisk(t, files)
	begin := slices.Clone(d.data)
	d.written = [][]byte{}
	check := func(when string) {
		t.Helper()
		k, err := readKept(root)
		if err != nil || len(k.Settings.Networks) != 4 {
			t.Errorf("%s: /perm has %d networks, %v", when, len(k.Settings.Networks), err)
		}
		if ok, err := device.ReadOwner(root).Verify("tulip and rose"); !ok {
			t.Errorf("%s: /perm has not the owner's password: %v", when, err)
		}
	}
	first := true
	d.onWrite = func() {
		if first {
			first = false
			check("before the first write of the card")
		}
	}
	if err := taker(t, root, d).Take(); err != nil {
		t.Fatal(err)
	}
	d.onWrite = nil
	want, err := Load(root)
	if err != nil || len(want.Problems) > 0 {
		t.Fatalf("%v, %v", want.Problems, err)
	}
	perm := permFiles(t, root)
	t.Logf("%d sectors written", len(d.written))
	if len(d.written) < 3 {
		t.Fatal("that is less than the secrets need")
	}
	type cut struct {
		name  string
		card  []byte
		files []string // of /perm that are new
	}
	cuts := []cut{{"before anything", begin, nil}, {"after the password", begin, []string{device.OwnerFile}}}
	for i, card := range d.written {
		cuts = append(cuts, cut{fmt.Sprintf("before sector %d", i), card, []string{device.OwnerFile, File}})
	}
	for _, c := range cuts {
		root := system(t)
		for _, name := range c.files {
			path := root.Path("perm", name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(perm[name]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		after := &disk{data: slices.Clone(c.card)}
		if err := taker(t, root, after).Take(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		got, err := Load(root)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if ok, err := device.ReadOwner(root).Verify("tulip and rose"); !ok {
			t.Errorf("%s: the owner's password: %v", c.name, err)
		}
		for _, secret := range []string{"tulip", "hyacinth", "yyyyy"} {
			if bytes.Contains(after.data, []byte(secret)) {
				t.Errorf("%s: %q is on the card still", c.name, secret)
			}
		}
	}
}

// TestTakeWithTrouble has what the file says serve, whatever else fails.
func TestTakeWithTrouble(t *testing.T) {
	broken := errors.New("the card does not answer")
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, root device.Root, d *disk)
		serves  bool
		problem string
	}{
		{"no /perm", func(t *testing.T, root device.Root, d *disk) {
			if err := os.WriteFile(root.Path("perm"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, true, "What the card's files say serves, but cannot be kept, so its passwords stay in them: "},
		{"damaged settings on /perm", func(t *testing.T, root device.Root, d *disk) {
			if err := os.MkdirAll(root.Path("perm/pushcam"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(root.Path("perm", File), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, true, ""},
		{"a card that takes nothing", func(t *testing.T, root device.Root, d *disk) { d.broken = broken }, true, "The passwords stay in the card's files: "},
		{"no file system", func(t *testing.T, root device.Root, d *disk) { clear(d.data) }, false, "The card's boot partition cannot be read, so pushcam.txt does not count: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root, d := system(t), newDisk(t, map[string]string{"PUSHCAM.TXT.txt": usual})
			tt.prepare(t, root, d)
			err := taker(t, root, d).Take()
			got, loadErr := Load(root)
			if loadErr != nil {
				t.Fatal(loadErr)
			}
			if tt.serves != (len(got.Networks) == 1) || tt.serves != (got.Hostname == "garden") {
				t.Errorf("what serves: %+v", got.Settings)
			}
			if tt.problem == "" {
				if err != nil || len(got.Problems) > 0 {
					t.Errorf("%v, %v", err, got.Problems)
				}
				return
			}
			if len(got.Problems) != 1 || !strings.HasPrefix(got.Problems[0].Text, tt.problem) {
				t.Errorf("problems: %v", got.Problems)
			}
			if tt.serves && !strings.Contains(d.file(t, "PUSHCAM.TXT.txt"), "hyacinth 7") {
				t.Error("the password is neither in the file nor on /perm")
			}
		})
	}
}

// TestTakeReports has a report only for what is wrong.
func TestTakeReports(t *testing.T) {
	root, d := system(t), newDisk(t, map[string]string{"pushcam.txt": "hostname=my garden\n"})
	if err := taker(t, root, d).Take(); err != nil {
		t.Fatal(err)
	}
	if text := d.file(t, ReportFile); !strings.Contains(text, "- pushcam.txt, line 1: ") {
		t.Errorf("the report is %q", text)
	}
	d.onWrite = func() { t.Error("the same is written again") }
	if err := taker(t, root, d).Take(); err != nil {
		t.Fatal(err)
	}
	d.onWrite = nil

	d = newDisk(t, nil)
	if err := taker(t, root, d).Take(); err != nil {
		t.Fatal(err)
	}
	if text, err := d.fs(t).ReadFile(ReportFile, 1<<10); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a report without a problem: %q, %v", text, err)
	}
}

// TestCmdlineCountry has what Raspberry Pi Imager writes serve if nothing else does.
func TestCmdlineCountry(t *testing.T) {
	root := system(t)
	if err := os.MkdirAll(root.Path("proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root.Path("proc/cmdline"), []byte("root=x cfg80211.ieee80211_regdom=de\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ text, want string }{{"", "DE"}, {"wifi-country=at", "AT"}, {"", "AT"}} {
		if err := taker(t, root, newDisk(t, map[string]string{"pushcam.txt": tt.text})).Take(); err != nil {
			t.Fatal(err)
		}
		if got, err := Load(root); err != nil || got.Country != tt.want {
			t.Errorf("%q: %q, %v", tt.text, got.Country, err)
		}
	}
}

// TestTakeWithin goes on without a card that hangs, and after a fault.
func TestTakeWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		for name, boot := range map[string]func(func(*fat.FS) error) error{
			"no longer than 10s": func(func(*fat.FS) error) error { <-hang; return nil },
			"a fault of this":    func(func(*fat.FS) error) error { panic("a fault") },
		} {
			var said string
			began := time.Now()
			taker := &Taker{Root: system(t), Boot: boot, Log: func(format string, args ...any) { said += fmt.Sprintf(format, args...) }}
			taker.TakeWithin(10 * time.Second)
			if !strings.Contains(said, name) || time.Since(began) > 10*time.Second {
				t.Errorf("%s: after %v it said %q", name, time.Since(began), said)
			}
		}
		close(hang)
		synctest.Wait()
	})
}
