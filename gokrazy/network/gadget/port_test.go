//go:build linux

package gadget

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pushcam/pushcam/gokrazy/device"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write makes files below dir; a name that ends with a slash is a folder.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		folder := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			folder = path
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if folder == path {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// board is a system with a port that can be a device, in which nothing is set up.
func board(t *testing.T) device.Root {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"sys/class/udc/3f980000.usb/":            "",
		"sys/class/net/usb0/":                    "",
		"sys/kernel/config/usb_gadget/":          "",
		"proc/device-tree/serial-number":         "10000000abcdef01\x00",
		"sys/kernel/config/unrelated/attribute1": "",
	})
	return device.Root(dir)
}

func noMount(string) error { return errors.New("not permitted") }

// What is written is what the kernel and other computers are told. The folders are
// not configfs: the rig's test has that.
func TestCreate(t *testing.T) {
	root := board(t)
	p := newPort(root, "3f980000.usb", noMount)
	// The kernel makes these.
	write(t, p.path(), map[string]string{"os_desc/": "", msID + "/": ""})
	if err := p.create("pushcam-2", identify(serial(root))); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	err := filepath.WalkDir(p.path(), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(p.path(), path)
		if err != nil {
			return err
		}
		if d.Type() == os.ModeSymlink {
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			if got[name], err = filepath.Rel(p.path(), to); err != nil {
				return err
			}
			return nil
		}
		text, err := os.ReadFile(path)
		got[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"UDC":      "3f980000.usb",
		"idVendor": "0x1d6b", "idProduct": "0x0103", "bcdDevice": "0x0100",
		"bDeviceClass": "0xef", "bDeviceSubClass": "0x02", "bDeviceProtocol": "0x01",
		"strings/0x409/manufacturer": "pushcam", "strings/0x409/product": "pushcam-2", "strings/0x409/serialnumber": "10000000abcdef01",
		"configs/c.1/strings/0x409/configuration": "network",
		"configs/c.1/bmAttributes":                "0x80", "configs/c.1/MaxPower": "500",
		"configs/c.1/ncm.usb0":        "functions/ncm.usb0",
		"functions/ncm.usb0/dev_addr": identify("10000000abcdef01").mac.String(), "functions/ncm.usb0/host_addr": identify("10000000abcdef01").peer.String(),
		"functions/ncm.usb0/os_desc/interface.ncm/compatible_id": "WINNCM",
		"os_desc/use": "1", "os_desc/b_vendor_code": "0xcd", "os_desc/qw_sign": "MSFT100",
		"os_desc/c.1": "configs/c.1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Whatever configfs is, there is an error, and nothing else happens.
func TestHostileConfigfs(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"none":                  {"sys/": ""},
		"a file":                {"sys/kernel/config": "x"},
		"no gadgets":            {"sys/kernel/config/": ""},
		"gadgets are a file":    {"sys/kernel/config/usb_gadget": "x"},
		"ours is a file":        {"sys/kernel/config/usb_gadget/pushcam": "x"},
		"functions are a file":  {"sys/kernel/config/usb_gadget/pushcam/functions": "x"},
		"a name that is a path": {"sys/kernel/config/usb_gadget/pushcam/functions/ncm.usb0/ifname": "../../etc", "sys/kernel/config/usb_gadget/pushcam/UDC": "a"},
		"a foreign file":        {"sys/kernel/config/usb_gadget/pushcam/foreign": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, files)
			p := newPort(device.Root(dir), "a", noMount)
			if got, err := p.setUp("pushcam", identify("1")); err == nil {
				t.Errorf("set up, with the interface %q", got)
			} else {
				t.Log(err)
			}
		})
	}
}

func TestInterfaceName(t *testing.T) {
	p := newPort(device.Root(t.TempDir()), "a", noMount)
	for text, want := range map[string]string{
		"usb0\n": "usb0", "cable1": "cable1",
		"": "", "\n": "", "(unnamed net_device)\n": "", "../usb0": "", ".": "", "a b": "",
	} {
		write(t, p.path(), map[string]string{function + "/ifname": text})
		if got, err := p.interfaceName(); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

// A port that works is left as it is: whoever is connected stays connected.
func TestSetUpBefore(t *testing.T) {
	root := board(t)
	p := newPort(root, "3f980000.usb", noMount)
	write(t, p.path(), map[string]string{"UDC": "3f980000.usb\n", function + "/ifname": "usb0\n"})
	if name, err := p.setUp("pushcam", identify("1")); err != nil || name != "usb0" {
		t.Errorf("%q, %v", name, err)
	}
	if _, err := os.Stat(p.path("idVendor")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was set up again: %v", err)
	}
}

func TestIdentify(t *testing.T) {
	a, again, b := identify("10000000abcdef01"), identify("10000000abcdef01"), identify("10000000abcdef02")
	if diff := cmp.Diff(a, again, cmp.AllowUnexported(identity{}), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("one board, twice:\n%s", diff)
	}
	if a.mac.String() == b.mac.String() || a.here == b.here {
		t.Errorf("two boards: %+v and %+v", a, b)
	}
	seen := map[string]bool{}
	for _, serial := range []string{"", "0", "10000000abcdef01", "10000000abcdef02", strings.Repeat("f", 32)} {
		id := identify(serial)
		if !id.here.Addr().IsPrivate() || !id.here.Contains(id.there) || id.here.Masked().Addr().Next() != id.here.Addr() || id.here.Addr().Next() != id.there {
			t.Errorf("%q: %v and %v", serial, id.here, id.there)
		}
		if (id.mac == nil) != (serial == "") || serial != "" && (id.mac[0]&3 != 2 || id.peer[0]&3 != 2 || id.mac.String() == id.peer.String()) {
			t.Errorf("%q: %v and %v", serial, id.mac, id.peer)
		}
		if seen[id.here.String()] {
			t.Errorf("%v is another board's too", id.here)
		}
		seen[id.here.String()] = true
	}
}

func TestSerial(t *testing.T) {
	for text, want := range map[string]string{
		"10000000abcdef01\x00":    "10000000abcdef01",
		"":                        "",
		"\x1b[2J\n../x\xff\x00":   "2Jx",
		strings.Repeat("1", 1000): strings.Repeat("1", maxSerial),
	} {
		dir := t.TempDir()
		write(t, dir, map[string]string{"proc/device-tree/serial-number": text})
		if got := serial(device.Root(dir)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := serial(device.Root(t.TempDir())); got != "" {
		t.Errorf("without a device tree: %q", got)
	}
}

// A board whose port cannot be a device is told once, and costs nothing.
func TestNoPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		l := &Link{Root: device.Root(t.TempDir()), mount: noMount,
			Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		l.Run(ctx)
		if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, errNoPort.Error()) {
			t.Errorf("it said %q, want one line with %q", said, errNoPort)
		}
	})
}

// What fails is tried again.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := board(t)
		tries := 0
		l := &Link{Root: root, Product: "pushcam", mount: noMount, up: func(name string, address netip.Prefix) error {
			tries++
			return errors.New("no such device")
		}}
		p := newPort(root, "3f980000.usb", noMount)
		write(t, p.path(), map[string]string{"UDC": "3f980000.usb\n", function + "/ifname": "usb0\n"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute-time.Second)
		defer cancel()
		l.Run(ctx)
		if tries != 6 {
			t.Errorf("%d tries in a minute, want 6", tries)
		}
	})
}

// A port is mute if answers were written to it and it has sent nothing.
func TestMute(t *testing.T) {
	for _, tt := range []struct {
		name  string
		looks [][2]uint64 // answers that were written, and packets that were sent
		want  bool
	}{
		{"nobody is there", [][2]uint64{{0, 0}, {0, 0}, {0, 0}}, false},
		{"it answers", [][2]uint64{{0, 0}, {2, 2}, {4, 5}}, false},
		{"only one was asked for, perhaps just now", [][2]uint64{{0, 0}, {1, 0}, {2, 0}}, false},
		{"from the start", [][2]uint64{{0, 0}, {2, 0}}, true},
		{"later", [][2]uint64{{0, 0}, {2, 2}, {7, 2}}, true},
		{"what others send counts too", [][2]uint64{{0, 0}, {2, 1}}, false},
	} {
		var m mute
		got := false
		for _, look := range tt.looks {
			got = m.look(look[0], look[1])
		}
		if got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
