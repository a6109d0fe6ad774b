//go:build linux

package gadget

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// A port is a USB port that can be a device, as the kernel lets programs set it up:
// by folders, files and links in configfs (Documentation/usb/gadget_configfs.rst).
type port struct {
	controller string // its name in /sys/class/udc
	config     string // where configfs is
	net        string // where network interfaces are listed
	mount      func(dir string) error
}

func newPort(root device.Root, controller string, mount func(string) error) *port {
	if mount == nil {
		mount = func(dir string) error { return unix.Mount("configfs", dir, "configfs", 0, "") }
	}
	return &port{controller: controller, config: root.Path("sys/kernel/config"), net: root.Path("sys/class/net"), mount: mount}
}

// The parts of a device that has one configuration with one function.
const (
	texts         = "strings/0x409" // English, the only language
	function      = "functions/ncm.usb0"
	configuration = "configs/c.1"
	controller    = "UDC" // the file that connects the device to a controller
	// msID is where Windows looks for the driver. Linux before 6.0 has no such folder.
	msID = function + "/os_desc/interface.ncm"
)

func (p *port) path(elem ...string) string {
	return filepath.Join(append([]string{p.config, "usb_gadget/pushcam"}, elem...)...)
}

// setUp makes a network adapter of the port and returns this side's interface. An
// adapter that was set up before stays as it is.
func (p *port) setUp(product string, id identity) (name string, err error) {
	if err := p.findConfigfs(); err != nil {
		return "", err
	}
	if name, err := p.interfaceName(); err == nil && p.works(name) {
		return name, nil
	}
	if err := p.remove(); err != nil {
		return "", fmt.Errorf("what is left of an earlier setup: %w", err)
	}
	if err := p.create(product, id); err != nil {
		return "", errors.Join(err, p.remove())
	}
	return p.interfaceName()
}

// findConfigfs mounts configfs if nobody has.
func (p *port) findConfigfs() error {
	gadgets := filepath.Join(p.config, "usb_gadget")
	_, err := os.Stat(gadgets)
	if errors.Is(err, fs.ErrNotExist) {
		if err := p.mount(p.config); err != nil {
			return fmt.Errorf("mount configfs: %w", err)
		}
		_, err = os.Stat(gadgets)
	}
	if err != nil {
		return fmt.Errorf("this kernel makes no device of a USB port: %w", err)
	}
	return nil
}

// interfaceName is that of this side's network interface.
func (p *port) interfaceName() (string, error) {
	name, err := readLine(p.path(function, "ifname"))
	if err != nil {
		return "", err
	}
	// Before there is one, the kernel says so in words.
	if name == "" || strings.ContainsAny(name, "/ ()") || name[0] == '.' {
		return "", fmt.Errorf("the network interface of %s has no name: %q", p.controller, name)
	}
	return name, nil
}

// works tells whether the port is connected and has this interface.
func (p *port) works(name string) bool {
	connected, err := readLine(p.path(controller))
	if err != nil || connected != p.controller {
		return false
	}
	_, err = os.Stat(filepath.Join(p.net, name))
	return err == nil
}

// sent is how many packets the interface has sent; 0 if it does not say.
func (p *port) sent(name string) uint64 {
	text, err := readLine(filepath.Join(p.net, name, "statistics/tx_packets"))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

func (p *port) create(product string, id identity) error {
	for _, dir := range []string{texts, configuration + "/" + texts, function} {
		if err := os.MkdirAll(p.path(dir), 0o755); err != nil {
			return err
		}
	}
	attributes := []struct{ file, value string }{
		// The Linux Foundation's number for this kind of device.
		{"idVendor", "0x1d6b"},
		{"idProduct", "0x0103"},
		// Windows asks once per vendor, product and this number for the descriptor that
		// names the driver: whoever changes that descriptor must count this up.
		{"bcdDevice", "0x0100"},
		// A device whose functions say which interfaces are theirs.
		{"bDeviceClass", "0xef"},
		{"bDeviceSubClass", "0x02"},
		{"bDeviceProtocol", "0x01"},
		{texts + "/manufacturer", "pushcam"},
		{texts + "/product", product},
		{texts + "/serialnumber", id.serial},
		{configuration + "/" + texts + "/configuration", "network"},
		// The board may have no other power than this port's: that many mA.
		{configuration + "/bmAttributes", "0x80"},
		{configuration + "/MaxPower", "500"},
		{function + "/dev_addr", id.mac.String()},
		{function + "/host_addr", id.peer.String()},
		{"os_desc/use", "1"},
		{"os_desc/b_vendor_code", "0xcd"},
		{"os_desc/qw_sign", "MSFT100"},
	}
	if _, err := os.Stat(p.path(msID)); err == nil {
		attributes = append(attributes, struct{ file, value string }{msID + "/compatible_id", "WINNCM"})
	}
	for _, a := range attributes {
		if a.value == "" {
			continue // not known: the kernel has a value of its own
		}
		if err := os.WriteFile(p.path(a.file), []byte(a.value), 0o644); err != nil {
			return err
		}
	}
	if err := os.Symlink(p.path(function), p.path(configuration, "ncm.usb0")); err != nil {
		return err
	}
	if err := os.Symlink(p.path(configuration), p.path("os_desc/c.1")); err != nil {
		return err
	}
	return os.WriteFile(p.path(controller), []byte(p.controller), 0o644)
}

// remove takes away what there is, in the order that configfs wants. What does not
// exist is fine.
func (p *port) remove() error {
	if _, err := os.Stat(p.path()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	// An empty name disconnects. The kernel answers with an error if it is not connected.
	if connected, err := readLine(p.path(controller)); err == nil && connected != "" {
		if err := os.WriteFile(p.path(controller), []byte("\n"), 0o644); err != nil {
			return err
		}
	}
	var failed []error
	for _, name := range []string{"os_desc/c.1", configuration + "/ncm.usb0", configuration + "/" + texts, configuration, function, texts, ""} {
		if err := os.Remove(p.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// readLine reads one of the kernel's files, which hold a line.
func readLine(path string) (string, error) {
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text[:min(len(text), unix.PathMax)])), err
}
