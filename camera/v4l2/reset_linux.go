//go:build cgo

package v4l2

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Reset resets the USB port of the camera that was found last, as unplugging it and
// plugging it in again would, or has the driver of a Pi camera loaded anew. It
// serves a camera that does not come back when it is opened again. Any goroutine
// may call it, also while Check or Run hang. It takes as long as the kernel does,
// which listens to no ctx.
func (v *Source) Reset(ctx context.Context) error {
	n := v.state.tried.Load()
	if n == nil {
		return errors.New("no camera was found yet that could be reset")
	}
	module := quirks[n.driver].module
	switch {
	case module == "":
		return resetUSB(v.root(), filepath.Base(n.file))
	case v.Reload == nil:
		return fmt.Errorf("%s: its driver can be loaded anew on the appliance only", n)
	default:
		return v.Reload(ctx, module)
	}
}

// usbDevice is the folder in /sys of the USB device behind a device file. The
// file's own "device" is the USB interface, one level below.
func usbDevice(root, name string) (string, error) {
	usbInterface, err := filepath.EvalSymlinks(filepath.Join(root, "sys/class/video4linux", name, "device"))
	return filepath.Dir(usbInterface), err
}

// usbdevfsReset is USBDEVFS_RESET of linux/usbdevice_fs.h: _IO('U', 20).
const usbdevfsReset = 'U'<<8 | 20

// resetUSB resets the port of the USB device behind a device file. The kernel then
// takes the driver from the device and gives it back, so that the file is made anew.
func resetUSB(root, name string) error {
	device, err := usbDevice(root, name)
	if err != nil {
		return fmt.Errorf("USB reset: %s has gone: %w", name, err)
	}
	var number [2]string
	for i, attribute := range []string{"busnum", "devnum"} {
		text, err := os.ReadFile(filepath.Join(device, attribute))
		if err != nil {
			return fmt.Errorf("USB reset: %s is no USB device: %w", name, err)
		}
		number[i] = fmt.Sprintf("%03s", strings.TrimSpace(string(text)))
	}
	f, err := os.OpenFile(filepath.Join(root, "dev/bus/usb", number[0], number[1]), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("USB reset: %w", err)
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), usbdevfsReset, 0); err != nil {
		return fmt.Errorf("USB reset: %w", os.NewSyscallError("USBDEVFS_RESET", err))
	}
	return nil
}
