package link

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The board's own port as a device is left alone: its network is made here.
func TestIsGadget(t *testing.T) {
	root := t.TempDir()
	for name, parent := range map[string]string{
		"usb0": "../../../devices/platform/soc/3f980000.usb/udc/3f980000.usb/gadget.0",
		"usb1": "../../../devices/platform/soc/3f980000.usb/usb1/1-1/1-1:1.0",
	} {
		dir := filepath.Join(root, "sys/class/net", name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(parent, filepath.Join(dir, "device")); err != nil {
			t.Fatal(err)
		}
	}
	k := &kernel{root: root}
	for name, want := range map[string]bool{"usb0": true, "usb1": false, "eth0": false} {
		if got := k.isGadget(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestManageable(t *testing.T) {
	hw := net.HardwareAddr(ourHW[:])
	for _, c := range []struct {
		name, kind string
		flags      uint32
		hw         net.HardwareAddr
		master     int
		want       bool
	}{
		{"an adapter", "device", 0, hw, 0, true},
		{"a test's", "veth", unix.IFF_UP, hw, 0, true},
		{"a radio", "wlan", unix.IFF_UP, hw, 0, true},
		{"loopback", "device", unix.IFF_LOOPBACK, make(net.HardwareAddr, 6), 0, false},
		{"a tunnel", "device", 0, nil, 0, false},
		{"of IP over InfiniBand", "device", 0, make(net.HardwareAddr, 20), 0, false},
		{"a port of a bridge", "device", 0, hw, 7, false},
		{"a bridge", "bridge", 0, hw, 0, false},
	} {
		if got := manageable(c.kind, c.flags, c.hw, c.master); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// A lease that is nearly for ever must not be over for the kernel after three seconds.
func TestLifetime(t *testing.T) {
	for left, want := range map[time.Duration]uint32{
		-time.Hour: 1, 0: 5, time.Hour: 3605, 0xfffffffe * time.Second: 0x7fffffff, 0x80000000 * time.Second: 0x7fffffff,
	} {
		if got := uint32(lifetime(left)); got != want { // as netlink has it
			t.Errorf("%v: %d seconds, want %d", left, got, want)
		}
	}
}
