//go:build linux

// Router is a program for test images: the wireless router of a camera's home, on the
// camera's own computer. Simulated radios hear only each other and are all of one
// kernel, so it takes one of them, and the computer's Ethernet, into a network namespace
// of its own. Nothing leads to the camera then but its radio.
//
// The router is an access point by the image's own wpa_supplicant, and gives the camera
// the address that QEMU's router would, so that the way from outside is the same as
// without it.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/network/dhcp"
	"github.com/pushcam/pushcam/gokrazy/network/wpa"
	"github.com/pushcam/pushcam/hack/hwsim"
)

// The router's links: the second radio, the first being the camera's, and the Ethernet.
// The third is where the simulation shows what the radios send; no board has it.
const (
	phy   = 1
	wifi  = "wlan1"
	wire  = "eth0"
	ether = "hwsim0"
)

// The network is QEMU's.
var (
	here   = netip.MustParsePrefix("10.0.2.1/24")
	onWire = netip.MustParsePrefix("10.0.2.16/24")
	camera = netip.MustParsePrefix("10.0.2.15/32")
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("router: ")
	ssid := flag.String("ssid", "home", "the network's `name`")
	password := flag.String("password", "", "its `password` for WPA2, of 8 characters and more")
	inside := flag.Bool("inside", false, "be the router itself, in its namespace; standard input ends when its links are there")
	flag.Parse()
	do := outside
	if *inside {
		do = func() error { return route(*ssid, *password) }
	}
	log.Fatal(do())
}

// outside loads the radios and starts the router.
func outside() error {
	modules := device.Modules{Root: "/", Parameters: map[string]string{hwsim.Module: "radios=2"}}
	if err := modules.Load(hwsim.Module); err != nil {
		return err
	}
	runtime.LockOSThread() // Pdeathsig is about the thread that starts the child
	router := exec.Command("/proc/self/exe", append([]string{"-inside"}, os.Args[1:]...)...)
	router.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	router.Stdout, router.Stderr = os.Stdout, os.Stderr
	ready, err := router.StdinPipe()
	if err != nil {
		return err
	}
	if err := router.Start(); err != nil {
		return err
	}
	if err := give(router.Process.Pid); err != nil {
		return err
	}
	ready.Close()
	return errors.Join(router.Wait(), errors.New("the router has ended"))
}

// give moves the links to a process' namespace.
func give(pid int) error {
	for _, name := range []string{wire, ether} {
		link, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetNsPid(link, pid)
		}
		if err != nil {
			return fmt.Errorf("move %s: %w", name, err)
		}
	}
	const setNamespace, attrWiphy, attrPID = 49, 1, 82 // of linux/nl80211.h
	family, err := netlink.GenlFamilyGet("nl80211")
	if err != nil {
		return fmt.Errorf("nl80211: %w", err)
	}
	request := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	request.AddData(&nl.Genlmsg{Command: setNamespace})
	request.AddData(nl.NewRtAttr(attrWiphy, nl.Uint32Attr(phy)))
	request.AddData(nl.NewRtAttr(attrPID, nl.Uint32Attr(uint32(pid))))
	if _, err := request.Execute(unix.NETLINK_GENERIC, 0); err != nil {
		return fmt.Errorf("move the radio: %w", err)
	}
	return nil
}

// route is the router.
func route(ssid, password string) error {
	io.Copy(io.Discard, os.Stdin)
	conf := filepath.Join(os.TempDir(), "router.conf")
	text := fmt.Sprintf("freq_list=2437\nnetwork={\nssid=%s\nmode=2\nfrequency=2437\nkey_mgmt=WPA-PSK\nproto=RSN\npairwise=CCMP\npsk=\"%s\"\n}\n", hex.EncodeToString([]byte(ssid)), password)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return err
	}
	runtime.LockOSThread()
	ap := exec.Command(wpa.Path, "-i", wifi, "-D", "nl80211", "-c", conf)
	ap.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	said, err := ap.StdoutPipe()
	if err != nil {
		return err
	}
	ap.Stderr = os.Stderr
	if err := ap.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(said); lines.Scan(); {
		log.Print(lines.Text())
		if strings.Contains(lines.Text(), "AP-ENABLED") {
			go func() { log.Fatal(serve()) }()
		}
	}
	return errors.Join(ap.Wait(), errors.New("the access point has ended"))
}

// serve routes between the links, and gives the camera its address.
func serve() error {
	if err := errors.Join(address(wire, onWire), address(wifi, netip.PrefixFrom(here.Addr(), 32)), toCamera()); err != nil {
		return err
	}
	// For each side, the other side's computers are here (proxy ARP): it is one network
	// on both.
	for _, name := range []string{"ip_forward", "conf/all/proxy_arp"} {
		if err := os.WriteFile(filepath.Join("/proc/sys/net/ipv4", name), []byte("1"), 0o644); err != nil {
			return err
		}
	}
	ctx := context.Background()
	conn, err := dhcp.Listen(ctx, wifi)
	if err != nil {
		return err
	}
	s := &dhcp.Server{Address: here, First: camera.Addr(), Count: 1, LeaseTime: time.Hour, Router: true}
	return s.Serve(ctx, conn)
}

// address switches a link on and gives it an address.
func address(name string, to netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := errors.Join(netlink.LinkSetUp(link), netlink.AddrReplace(link, &netlink.Addr{IPNet: ipNet(to)})); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func toCamera() error {
	link, err := netlink.LinkByName(wifi)
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: ipNet(camera)})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}
