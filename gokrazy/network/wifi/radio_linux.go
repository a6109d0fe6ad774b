package wifi

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/network/firmware"
)

// The driver of the Pis' radios (Broadcom's, on SDIO), and what must be loaded right
// behind it: it asks modprobe for that, which this system has not, and then has no link.
const (
	brcmDriver = "brcmfmac"
	brcmVendor = "brcmfmac_wcc"
	// brcmParameters switch off what breaks: roaming by the firmware, which does not tell
	// wpa_supplicant; the firmware's own handshake (FWSUP, bit 13 of the kernel's
	// brcmfmac/feature.h), which drops the frames of wpa_supplicant's; its WPA3 (SAE, 19);
	// and its list of channels (DUMP_OBSS, 21), which fails. The bits are of one version of
	// the kernel.
	brcmParameters = "roamoff=1 feature_disable=0x282000"
	// sdioBroadcom is the vendor in an SDIO device's id.
	sdioBroadcom = "0x02d0"
)

// A radio is the board's, as the kernel shows it.
type radio struct {
	root    device.Root
	modules *device.Modules
}

func newRadio(root device.Root, log *slog.Logger) *radio {
	return &radio{root, &device.Modules{Root: root, Log: log, Parameters: map[string]string{brcmDriver: brcmParameters}}}
}

// link is the name of the radio's link; empty if there is none.
func (r *radio) link() string {
	found, _ := filepath.Glob(r.root.Path("sys/class/net/*/phy80211"))
	if len(found) == 0 {
		return ""
	}
	return filepath.Base(filepath.Dir(found[0])) // Glob sorts: wlan0
}

// index is the link's in the kernel, by which one that came back is told from the one
// that went.
func (r *radio) index(link string) string {
	text, _ := os.ReadFile(r.root.Path("sys/class/net", link, "ifindex"))
	return strings.TrimSpace(string(text))
}

// present says whether the board has a radio that the driver is for.
func (r *radio) present() bool {
	found, _ := filepath.Glob(r.root.Path("sys/bus/sdio/devices/*/vendor"))
	for _, f := range found {
		if text, err := os.ReadFile(f); err == nil && strings.TrimSpace(string(text)) == sdioBroadcom {
			return true
		}
	}
	return false
}

// load loads the driver. It may hang, as the kernel breaks off no load.
func (r *radio) load() error { return r.modules.Load(brcmDriver, brcmVendor) }

// driver is the module that a link is of.
func (r *radio) driver(link string) string {
	to, err := os.Readlink(r.root.Path("sys/class/net", link, "device/driver/module"))
	if err != nil {
		return ""
	}
	return filepath.Base(to)
}

// reload takes a driver out of the kernel and loads it again. It may hang.
func (r *radio) reload(driver string) error {
	if driver != "" && driver != brcmDriver {
		return r.modules.Reload(driver)
	}
	// The one goes with the other, or may not be there.
	err := errors.Join(ignoreMissing(r.modules.Unload(brcmVendor)), ignoreMissing(r.modules.Unload(brcmDriver)))
	return errors.Join(err, r.load())
}

func ignoreMissing(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// restart switches a link off and on.
func restart(link string) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	return errors.Join(netlink.LinkSetDown(l), netlink.LinkSetUp(l))
}

// flush takes the IPv4 addresses from a link.
func flush(link string) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	addrs, err := netlink.AddrList(l, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		err = errors.Join(err, netlink.AddrDel(l, &netlink.Addr{IPNet: a.IPNet}))
	}
	return err
}

// Of linux/nl80211.h.
const (
	nl80211SetPowerSave = 61
	nl80211AttrIfindex  = 3
	nl80211AttrPSState  = 93
	nl80211PSDisabled   = 0
)

// stayAwake switches the radio's power saving off, which wpa_supplicant does not see to
// and every driver has on at first.
func stayAwake(link string) error {
	i, err := net.InterfaceByName(link)
	if err != nil {
		return err
	}
	family, err := netlink.GenlFamilyGet("nl80211")
	if err != nil {
		return fmt.Errorf("nl80211: %w", err)
	}
	request := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	request.AddData(&nl.Genlmsg{Command: nl80211SetPowerSave})
	request.AddData(nl.NewRtAttr(nl80211AttrIfindex, nl.Uint32Attr(uint32(i.Index))))
	request.AddData(nl.NewRtAttr(nl80211AttrPSState, nl.Uint32Attr(nl80211PSDisabled)))
	if _, err = request.Execute(unix.NETLINK_GENERIC, 0); err != nil {
		return fmt.Errorf("switch power saving off: %w", err)
	}
	return nil
}

// maxKernelLog is what the kernel keeps, in bytes.
const maxKernelLog = 256 << 10

var firmwareMissing = regexp.MustCompile(brcmDriver + `.*Direct firmware load for (brcm/[!-~]+\.bin) failed with error -2\b`)

// missingFirmware are the files that the driver has looked for in vain, by the kernel's
// messages, the one for this very board first.
func missingFirmware(kernelLog string) (files []string) {
	for _, m := range firmwareMissing.FindAllStringSubmatch(kernelLog, -1) {
		files = append(files, m[1])
	}
	return files
}

// whatIsMissing is a sentence on files that the driver has looked for in vain.
func (r *radio) whatIsMissing(files []string) string {
	c, err := firmware.Load(r.root)
	if errors.Is(err, fs.ErrNotExist) {
		return sentence(firmware.NoWiFi)
	}
	if err == nil {
		if here := c.Here(r.root); len(here) > 0 {
			return sentence(here[0].String())
		}
	}
	return "This image has no firmware for the board's radio: " + files[0] + " is not in it."
}

// sentence begins a text with a capital letter and ends it with a full stop.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] + "." }

// kernelLog are the kernel's latest messages.
func kernelLog() string {
	const readAll = 3 // SYSLOG_ACTION_READ_ALL
	buf := make([]byte, maxKernelLog)
	n, err := unix.Klogctl(readAll, buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}
