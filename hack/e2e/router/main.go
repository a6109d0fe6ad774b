//go:build linux

// Router is a program for test images: the wireless router of a camera's home, on the
// camera's own computer. Simulated radios hear only each other and are all of one
// kernel, so it takes all but the camera's, and the computer's Ethernet, into a network
// namespace of its own. Nothing leads to the camera then but its radio. Its arguments are
// its networks, one for each radio: the name and the password for WPA2 of the first, those
// of the next, and so on.
//
// The router is access points by the image's own wpa_supplicant, and gives the camera the
// address that QEMU's router would, in each of its networks, so that the way from outside
// is the same as without it.
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
	"slices"
	"strings"
	"sync"
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

// The router's links beside its radios: the Ethernet, and where the simulation shows what
// the radios send, which no board has.
const (
	wire  = "eth0"
	ether = "hwsim0"
)

// A network is what one of the router's radios makes.
type network struct {
	ssid, password string
	link           string
	radio          int // its number; the camera's is 0
	frequency      int // in MHz
}

// networks are those of the arguments, on the channels 6, 1 and 11.
func networks(args []string) (all []network) {
	for n := range slices.Chunk(args, 2) {
		radio := len(all) + 1
		all = append(all, network{n[0], n[1], fmt.Sprint("wlan", radio), radio, []int{2437, 2412, 2462}[radio-1]})
	}
	return all
}

// The network is QEMU's.
var (
	here   = netip.MustParsePrefix("10.0.2.1/24")
	onWire = netip.MustParsePrefix("10.0.2.16/24")
	camera = netip.MustParsePrefix("10.0.2.15/32")
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("router: ")
	if serial, err := os.OpenFile("/dev/ttyAMA0", os.O_WRONLY|unix.O_NOCTTY, 0); err == nil {
		log.SetOutput(io.MultiWriter(os.Stderr, serial)) // what comes out of the machine without a network
	}
	inside := flag.Bool("inside", false, "be the router itself, in its namespace; standard input ends when its links are there")
	flag.Parse()
	all, do := networks(flag.Args()), outside
	if *inside {
		do = route
	}
	log.Fatal(do(all))
}

// outside loads the radios and starts the router.
func outside(all []network) error {
	modules := device.Modules{Root: "/", Parameters: map[string]string{hwsim.Module: fmt.Sprint("radios=", 1+len(all))}}
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
	if err := give(router.Process.Pid, all); err != nil {
		return err
	}
	ready.Close()
	return errors.Join(router.Wait(), errors.New("the router has ended"))
}

// give moves the links to a process' namespace.
func give(pid int, all []network) error {
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
	for _, n := range all {
		request := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
		request.AddData(&nl.Genlmsg{Command: setNamespace})
		request.AddData(nl.NewRtAttr(attrWiphy, nl.Uint32Attr(uint32(n.radio))))
		request.AddData(nl.NewRtAttr(attrPID, nl.Uint32Attr(uint32(pid))))
		if _, err := request.Execute(unix.NETLINK_GENERIC, 0); err != nil {
			return fmt.Errorf("move radio %d: %w", n.radio, err)
		}
	}
	return nil
}

// route is the router.
func route(all []network) error {
	io.Copy(io.Discard, os.Stdin)
	ended := make(chan error)
	// The camera joins the first as soon as it hears it, and does not look around again for
	// minutes: it is to have heard the others by then.
	for _, n := range slices.Backward(all) {
		enabled := make(chan struct{})
		go func() { ended <- n.make(sync.OnceFunc(func() { close(enabled) })) }()
		select {
		case <-enabled:
		case err := <-ended:
			return err
		}
	}
	return <-ended
}

// make is the access point. It calls enabled when that is there.
func (n network) make(enabled func()) error {
	conf := filepath.Join(os.TempDir(), n.link+".conf")
	text := fmt.Sprintf("freq_list=%d\nnetwork={\nssid=%s\nmode=2\nfrequency=%d\nkey_mgmt=WPA-PSK\nproto=RSN\npairwise=CCMP\npsk=\"%s\"\n}\n", n.frequency, hex.EncodeToString([]byte(n.ssid)), n.frequency, n.password)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return err
	}
	runtime.LockOSThread()
	ap := exec.Command(wpa.Path, "-i", n.link, "-D", "nl80211", "-c", conf)
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
		switch {
		case strings.Contains(lines.Text(), "AP-ENABLED"):
			enabled()
			go func() { log.Fatal(n.serve()) }()
		case strings.Contains(lines.Text(), "AP-STA-CONNECTED"):
			if err := n.toCamera(); err != nil {
				return err
			}
		}
	}
	return errors.Join(ap.Wait(), fmt.Errorf("the access point of %s has ended", n.ssid))
}

// serve routes between the links, and gives the camera its address.
func (n network) serve() error {
	if err := errors.Join(address(wire, onWire), address(n.link, netip.PrefixFrom(here.Addr(), 32))); err != nil {
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
	conn, err := dhcp.Listen(ctx, n.link)
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

// toCamera has the way to the camera lead through this network.
func (n network) toCamera() error {
	link, err := netlink.LinkByName(n.link)
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: ipNet(camera)})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}
