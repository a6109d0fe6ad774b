package usbcam

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// vhciPath is the first of the kernel's virtual USB host controllers.
const vhciPath = "/sys/devices/platform/vhci_hcd.0"

// unplugTimeout bounds how long the kernel may take to free a port.
const unplugTimeout = 10 * time.Second

// Plug plugs the webcam into this machine's kernel, which then looks at it and
// makes its device nodes; see Node. Unplug must be called in the end.
func (w *Webcam) Plug() error {
	t := &w.transport
	t.mu.Lock()
	defer t.mu.Unlock()
	port, err := freePort(w.Port)
	if err != nil {
		return err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("plug: socketpair: %w", err)
	}
	defer unix.Close(pair[1])
	// Ours waits in Go's poller, so that Close ends a Read.
	if err := unix.SetNonblock(pair[0], true); err != nil {
		unix.Close(pair[0])
		return fmt.Errorf("plug: %w", err)
	}
	conn := os.NewFile(uintptr(pair[0]), "usbip")
	link := &usbip{conn: conn}
	if err := t.connect(w, conn, link, link.serve); err != nil {
		return fmt.Errorf("plug: %w", err)
	}
	const highSpeed = 3
	attach := fmt.Sprintf("%d %d %d %d", port, pair[1], 1<<16|port+1, highSpeed)
	if err := os.WriteFile(vhciPath+"/attach", []byte(attach), 0); err != nil {
		t.disconnect()
		return fmt.Errorf("plug: %w", err)
	}
	t.sysfs = func() (string, error) { return sysfsDevice(port) }
	t.gone = func() error { return waitUnplugged(port) }
	return nil
}

// waitUnplugged returns when the kernel has forgotten the device in the port.
//
// vhci-hcd frees the port at once, but the hub looks at its ports only four
// times a second. Whoever plugs in before that has not unplugged: the kernel
// goes on with the device that it knows. There is nothing to wait on.
func waitUnplugged(port int) error {
	device, err := sysfsDevice(port)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(unplugTimeout); ; time.Sleep(2 * time.Millisecond) {
		_, portErr := freePort(port + 1)
		_, statErr := os.Stat(device)
		switch {
		case portErr == nil && errors.Is(statErr, fs.ErrNotExist):
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%s is still there after %v", device, unplugTimeout)
		}
	}
}

// freePort is a free high-speed port, counted from 0: want (counted from 1), or
// any when that is 0.
func freePort(want int) (int, error) {
	status, err := os.ReadFile(vhciPath + "/status")
	if err != nil {
		return 0, fmt.Errorf("vhci-hcd: %w: load the module, or run in hack/rig", err)
	}
	return parsePorts(string(status), want)
}

// parsePorts reads vhci-hcd's status (drivers/usb/usbip/vhci_sysfs.c).
func parsePorts(status string, want int) (int, error) {
	const free = "004" // VDEV_ST_NULL
	for line := range strings.Lines(status) {
		var hub, state string
		var port int
		if n, _ := fmt.Sscan(line, &hub, &port, &state); n != 3 || hub != "hs" {
			continue
		}
		if want == 0 && state == free || want == port+1 {
			if state != free {
				return 0, fmt.Errorf("vhci port %d is in use", want)
			}
			return port, nil
		}
	}
	if want == 0 {
		return 0, errors.New("no vhci port is free")
	}
	return 0, fmt.Errorf("there is no vhci port %d", want)
}

// sysfsDevice is the folder that the USB device in the port has, when there is
// one.
func sysfsDevice(port int) (string, error) {
	hubs, err := filepath.Glob(vhciPath + "/usb*/speed")
	if err != nil {
		return "", err
	}
	for _, path := range hubs {
		speed, err := os.ReadFile(path)
		if err == nil && strings.TrimSpace(string(speed)) == "480" {
			hub := filepath.Dir(path)
			bus := strings.TrimPrefix(filepath.Base(hub), "usb")
			return fmt.Sprintf("%s/%s-%d", hub, bus, port+1), nil
		}
	}
	return "", errors.New("vhci-hcd has no high-speed hub")
}

// usbip speaks the kernel's USB/IP protocol (Documentation/usb/usbip_protocol.rst)
// for one webcam.
type usbip struct {
	conn io.ReadWriter // an os.File, but for tests

	submitted uint32            // the last request; the host numbers them upwards
	early     map[uint32]uint32 // requests that were taken back before they came, and by which command
}

const (
	usbipHeaderLen = 48

	cmdSubmit = 1
	cmdUnlink = 2
	retSubmit = 3
	retUnlink = 4

	// usbipMaxTransfer bounds what one request may carry in bytes.
	usbipMaxTransfer = 1 << 20
)

// A usbipCommand is a request of the host.
type usbipCommand struct {
	Command, Seq uint32
	In           bool   // to the host
	Endpoint     uint32 // without the direction bit
	Length       int    // of the transfer in bytes
	Setup        setup  // on endpoint 0
	Victim       uint32 // of an unlink: the Seq that it cancels
}

func parseUSBIP(h [usbipHeaderLen]byte) (usbipCommand, error) {
	be := binary.BigEndian
	c := usbipCommand{Command: be.Uint32(h[0:]), Seq: be.Uint32(h[4:]), In: be.Uint32(h[12:]) == 1, Endpoint: be.Uint32(h[16:])}
	switch c.Command {
	case cmdSubmit:
		length := be.Uint32(h[24:])
		if length > usbipMaxTransfer {
			return c, fmt.Errorf("usbip: a transfer of %d bytes", length)
		}
		c.Length = int(length)
		c.Setup = parseSetup([8]byte(h[40:48]))
	case cmdUnlink:
		c.Victim = be.Uint32(h[20:])
	default:
		return c, fmt.Errorf("usbip: command %d", c.Command)
	}
	return c, nil
}

// serve answers the host until one of the two hangs up.
func (u *usbip) serve(w *Webcam) error {
	var header [usbipHeaderLen]byte
	for {
		if _, err := io.ReadFull(u.conn, header[:]); err != nil {
			return err
		}
		c, err := parseUSBIP(header)
		if err != nil {
			return err
		}
		var data []byte
		if !c.In && c.Command == cmdSubmit {
			data = make([]byte, c.Length)
			if _, err := io.ReadFull(u.conn, data); err != nil {
				return err
			}
		}
		w.thawed()
		if err := u.handle(w, c, data); err != nil {
			return err
		}
	}
}

func (u *usbip) handle(w *Webcam, c usbipCommand, data []byte) error {
	if c.Command == cmdSubmit {
		u.submitted = c.Seq
		if unlink, ok := u.early[c.Seq]; ok {
			delete(u.early, c.Seq)
			return u.reply(retUnlink, unlink, -int32(unix.ECONNRESET), 0, nil)
		}
	}
	switch {
	case c.Command == cmdUnlink && int32(c.Victim-u.submitted) > 0:
		// vhci-hcd has a queue for each of the two commands (vhci_tx_loop), so one
		// can overtake the other. Answered now, the kernel would either forget the
		// request and hang up when it is answered, or wait for it for ever.
		if len(u.early) == maxPending {
			return errTooMany
		}
		if u.early == nil {
			u.early = map[uint32]uint32{}
		}
		u.early[c.Victim] = c.Seq
		return nil
	case c.Command == cmdUnlink:
		// The host controller takes requests back, whether the device hangs or
		// not: the kernel would wait for ever.
		return w.cancel(uint64(c.Victim), func(open bool) error {
			if open {
				return u.reply(retUnlink, c.Seq, -int32(unix.ECONNRESET), 0, nil)
			}
			return u.reply(retUnlink, c.Seq, 0, 0, nil)
		})
	case c.Endpoint == 0:
		return w.control(uint64(c.Seq), c.Setup, data, func(reply []byte, ok bool) error {
			switch {
			case !ok:
				return u.reply(retSubmit, c.Seq, -int32(unix.EPIPE), 0, nil)
			case c.In:
				reply = reply[:min(len(reply), c.Length)]
				return u.reply(retSubmit, c.Seq, 0, len(reply), reply)
			}
			return u.reply(retSubmit, c.Seq, 0, len(data), nil)
		})
	case c.Endpoint == videoEndpoint&0x0f && c.In:
		return w.submit(uint64(c.Seq), c.Length)
	}
	return u.reply(retSubmit, c.Seq, -int32(unix.EPIPE), 0, nil)
}

// Complete implements bus.
func (u *usbip) Complete(id uint64, data []byte) error {
	return u.reply(retSubmit, uint32(id), 0, len(data), data)
}

// reply writes one answer, whole: an os.File does one Write after the other.
func (u *usbip) reply(command, seq uint32, status int32, actual int, data []byte) error {
	be := binary.BigEndian
	b := make([]byte, usbipHeaderLen, usbipHeaderLen+len(data))
	be.PutUint32(b[0:], command)
	be.PutUint32(b[4:], seq)
	be.PutUint32(b[20:], uint32(status))
	be.PutUint32(b[24:], uint32(actual))
	_, err := u.conn.Write(append(b, data...))
	return err
}
