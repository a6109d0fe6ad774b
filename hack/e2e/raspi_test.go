//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gokrazy/image"
)

// TestRaspi3b boots the card on QEMU's Raspberry Pi 3B, by the kernel's device
// tree for that board: its SD card, its USB with a network adapter behind it, its
// serial port, its screen. QEMU has no firmware for it, so there is no camera.
func TestRaspi3b(t *testing.T) {
	t.Parallel()
	need(t, "fdtput")
	p := built(t)
	card := p.card(t)
	// QEMU takes only a card whose size is a power of two.
	if err := os.Truncate(card, image.DefaultSize); err != nil {
		t.Fatal(err)
	}
	m := &machine{exited: make(chan struct{})}
	control, controlFar := socketpair(t, unix.SOCK_STREAM)
	m.start(t, []string{"-nodefaults", "-display", "none", "-M", "raspi3b", "-accel", "tcg,thread=multi",
		"-kernel", p.kernel, "-dtb", withScreen(t, filepath.Join(checkout(t), "gokrazy/kernel/bcm2710-rpi-3-b.dtb")),
		// QEMU's watchdog of this board hangs the kernel when it starts.
		"-append", p.cmdline + " console=ttyAMA0,115200 loglevel=7 initcall_blacklist=bcm2835_wdt_driver_init",
		"-drive", "if=sd,format=raw,file=" + strings.ReplaceAll(card, ",", ",,"),
		// The address is one of a real maker: with another the interface is not eth0.
		"-netdev", "user,id=lan,hostfwd=tcp:127.0.0.1:0-:80", "-device", "usb-net,netdev=lan,mac=b8:27:eb:00:00:01",
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-chardev", "socket,id=control,fd=3", "-mon", "chardev=control,mode=control",
	}, controlFar)
	var err error
	if m.control, err = newQMP(control, func(qmpEvent) {}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.control.close)
	if m.url, err = forwarded(m.control, firstAddress, 80); err != nil {
		t.Fatal(err)
	}
	s := m.is(t, "the state of a Pi without a camera", func(s state) bool {
		return s.Camera.Phase == camera.NoCamera && len(s.Kernel.Drivers) == 2 && s.Settings.Trouble == ""
	})
	m.is(t, "why there is none", func(s state) bool {
		return strings.Contains(s.Camera.Reason, "the Pi's firmware does not answer")
	})
	if !strings.HasPrefix(s.Board.Model, "Raspberry Pi 3 Model B") || s.Kernel.Package != "pushcam" {
		t.Errorf("the board is %+v, the kernel %+v", s.Board, s.Kernel)
	}
	m.await(t, "where the camera is, on the screen", func() error {
		picture, err := m.screen(t)
		if err != nil {
			return err
		}
		return shows(glyphs(picture), []string{"", " pushcam", "", " http://pushcam.local/", " http://10.0.2.15/", "", " no camera is found: check its cable", "", " " + s.Board.Model})
	})
	m.await(t, "and on the serial line", func() error {
		said, err := os.ReadFile(m.serial)
		if err == nil && !bytes.Contains(said, []byte("pushcam is at http://pushcam.local/ http://10.0.2.15/")) {
			err = errors.New("it is not there")
		}
		return err
	})
}
