//go:build linux

package gadget

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// In the rig, the kernel's dummy_hcd is a port that can be a device and the host
// that it is plugged into. The host's interface goes to a network of its own, so
// that what goes between the two goes over the cable.

const (
	rigPatience = 2 * time.Minute
	rigSerial   = "10000000abcdef01"
	rigPort     = "dummy_udc.0"
)

// A peer is the computer at the other end of the cable.
type peer struct {
	t    *testing.T
	name string // of its network namespace
	mac  string // of its adapter, which the board chose

	// pluggedAgain counts how often dummy_hcd has lost the notification of a link (USB
	// CDC 1.2, 6.3.1), without which the laptop's kernel sends nothing: one in some 30
	// machines.
	pluggedAgain int
}

// newLaptop makes a computer that has no network yet.
func newLaptop(t *testing.T, mac string) *peer {
	t.Helper()
	l := &peer{t: t, name: "laptop", mac: mac}
	run(t, "ip", "netns", "add", l.name)
	t.Cleanup(func() { run(t, "ip", "netns", "delete", l.name) })
	return l
}

func run(t *testing.T, command ...string) {
	t.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(command, " "), err, out)
	}
}

// until asks ok until it is, and fails the test if it never is.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(rigPatience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// adapter is the interface that the kernel made for the laptop, or "".
func (l *peer) adapter() string {
	addresses, err := filepath.Glob("/sys/class/net/*/address")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, path := range addresses {
		if mac, err := readLine(path); err == nil && mac == l.mac {
			return filepath.Base(filepath.Dir(path))
		}
	}
	return ""
}

// plugged waits until the laptop has the adapter, and gives its name.
func (l *peer) plugged() string {
	l.t.Helper()
	until(l.t, "the laptop's adapter", func() bool { return l.adapter() != "" })
	name := l.adapter()
	run(l.t, "ip", "link", "set", name, "netns", l.name)
	run(l.t, "ip", "-n", l.name, "link", "set", name, "up")
	return name
}

// unplugged waits until the laptop has that adapter no more.
func (l *peer) unplugged(adapter string) {
	l.t.Helper()
	until(l.t, "the laptop without its adapter", func() bool {
		return exec.Command("ip", "-n", l.name, "link", "show", adapter).Run() != nil
	})
}

// do calls f on the laptop.
func (l *peer) do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		done <- func() error {
			ns, err := os.Open("/run/netns/" + l.name)
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return f()
		}()
	}()
	return <-done
}

// address asks for an address, as a computer does that sees a new network, and
// takes it. It returns false if the adapter goes away meanwhile.
func (l *peer) address(adapter string) (got netip.Prefix, ok bool) {
	l.t.Helper()
	var err error
	begun := time.Now()
	for deadline := begun.Add(rigPatience); time.Now().Before(deadline); {
		link, gone := exec.Command("ip", "-n", l.name, "link", "show", adapter).Output()
		if gone != nil {
			return got, false
		}
		if bytes.Contains(link, []byte("NO-CARRIER")) && time.Since(begun) > rigPatience/4 && l.pluggedAgain < 3 {
			l.pluggedAgain++
			l.t.Logf("the board's word that there is a link has not reached %s: it is plugged in again, as a person would", adapter)
			cable(l.t, false)
			l.unplugged(adapter)
			cable(l.t, true)
			return got, false
		}
		if err = l.do(func() (err error) { got, err = l.ask(adapter); return err }); err == nil {
			run(l.t, "ip", "-n", l.name, "addr", "add", got.String(), "dev", adapter)
			return got, true
		}
	}
	for _, args := range [][]string{{"-s", "addr"}, {"-n", l.name, "-s", "addr"}} {
		out, _ := exec.Command("ip", args...).CombinedOutput()
		l.t.Logf("ip %q:\n%s", args, out)
	}
	l.t.Fatal(err)
	return got, false
}

// ask asks for an address for some seconds.
func (l *peer) ask(adapter string) (got netip.Prefix, err error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), 10*time.Second)
	defer cancel()
	c, err := nclient4.New(adapter, nclient4.WithTimeout(2*time.Second), nclient4.WithRetry(20))
	if err != nil {
		return got, err
	}
	defer c.Close()
	lease, err := c.Request(ctx)
	if err != nil {
		return got, err
	}
	if len(lease.ACK.Router()) > 0 || len(lease.ACK.DNS()) > 0 {
		l.t.Errorf("the laptop is offered a way to the Internet: %s", lease.ACK.Summary())
	}
	a, _ := netip.AddrFromSlice(lease.ACK.YourIPAddr.To4())
	bits, _ := lease.ACK.SubnetMask().Size()
	return netip.PrefixFrom(a, bits), nil
}

// get is what a browser on the laptop gets.
func (l *peer) get(host netip.Addr) string {
	l.t.Helper()
	var body string
	err := l.do(func() error {
		conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(host, 80).String(), rigPatience)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(rigPatience))
		fmt.Fprintf(conn, "GET / HTTP/1.0\r\nHost: pushcam.local\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		body = string(text)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return body
}

// cable plugs the cable in or out: the host's port gives power, or none. That the
// device disconnects by itself (soft_connect) is not for this: in Linux 6.1, dummy_hcd
// does not come back from it.
func cable(t *testing.T, in bool) {
	t.Helper()
	ports, err := filepath.Glob("/sys/devices/platform/dummy_hcd.0/usb*/*-0:1.0/usb*-port1/disable")
	if err != nil || len(ports) != 1 {
		t.Fatalf("the host's ports are %q, %v", ports, err)
	}
	disable := "1"
	if in {
		disable = "0"
	}
	if err := os.WriteFile(ports[0], []byte(disable), 0); err != nil {
		t.Fatal(err)
	}
}

// runLink runs the board's end until the end of the test or until stop is called.
func runLink(t *testing.T, root device.Root) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		(&Link{Root: root, Product: "pushcam", Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}).Run(ctx)
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

// awaitBoard waits for the interface that has the board's address.
func awaitBoard(t *testing.T, address netip.Prefix) net.Interface {
	t.Helper()
	for deadline := time.Now().Add(rigPatience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		all, err := net.Interfaces()
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range all {
			addresses, _ := i.Addrs() // it may go meanwhile
			for _, a := range addresses {
				if a.String() == address.String() {
					return i
				}
			}
		}
	}
	t.Fatalf("no network on the USB port: nothing has %v", address)
	return net.Interface{}
}

// TestRigLaptop plugs the board into a laptop: it gets an adapter, an address and
// an answer over HTTP; the cable goes out and in; the program starts anew; the port
// is taken away from it.
func TestRigLaptop(t *testing.T) {
	if os.Getenv("PUSHCAM_RIG") == "" {
		t.Skip(`needs dummy_hcd: run it with "go run ./hack/rig test"`)
	}
	// This machine, with a board's serial number.
	dir := t.TempDir()
	write(t, dir, map[string]string{"proc/device-tree/serial-number": rigSerial + "\x00"})
	if err := os.Symlink("/sys", filepath.Join(dir, "sys")); err != nil {
		t.Fatal(err)
	}
	root := device.Root(dir)
	id := identify(rigSerial)
	p := newPort(root, rigPort, noMount)
	t.Cleanup(func() {
		if err := p.remove(); err != nil {
			t.Error(err)
		}
	})

	stop := runLink(t, root)
	if board := awaitBoard(t, id.here); board.HardwareAddr.String() != id.mac.String() {
		t.Errorf("the board's end is %+v, want %v", board, id.mac)
	}
	web, err := net.Listen("tcp", netip.AddrPortFrom(id.here.Addr(), 80).String())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "the camera, to "+r.RemoteAddr)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(web) })
	defer serving.Wait()
	defer server.Close()

	laptop := newLaptop(t, id.peer.String())
	see := func(when string) (adapter string) {
		t.Helper()
		var got netip.Prefix
		for ok := false; !ok; { // the kernel's port is mute now and then; then the program sets it up anew
			adapter = laptop.plugged()
			got, ok = laptop.address(adapter)
		}
		if want := netip.PrefixFrom(id.there, 30); got != want {
			t.Errorf("%s: the laptop has %v, want %v", when, got, want)
		}
		if page, want := laptop.get(id.here.Addr()), "the camera, to "+id.there.String()+":"; !strings.HasPrefix(page, want) {
			t.Errorf("%s: the laptop sees %q, want %q", when, page, want)
		}
		t.Logf("%s: %s of the laptop has %v and sees the camera", when, adapter, got)
		return adapter
	}
	adapter := see("plugged in")
	products, err := filepath.Glob("/sys/bus/usb/devices/*/product")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range products {
		if name, err := readLine(path); err == nil {
			names = append(names, name)
		}
	}
	if !strings.Contains(strings.Join(names, ","), "pushcam") {
		t.Errorf("the laptop's USB devices are %q", names)
	}

	cable(t, false)
	laptop.unplugged(adapter)
	cable(t, true)
	adapter = see("out and in")

	run(t, "tc", "qdisc", "replace", "dev", awaitBoard(t, id.here).Name, "root", "blackhole")
	if got, ok := laptop.address(adapter); ok {
		t.Fatalf("the laptop has %v through a port that swallows everything", got)
	}
	adapter = see("set up anew, because it was mute")

	stop()
	if page := laptop.get(id.here.Addr()); !strings.HasPrefix(page, "the camera") {
		t.Errorf("without the program, the laptop sees %q", page)
	}
	runLink(t, root)
	if page := laptop.get(id.here.Addr()); !strings.HasPrefix(page, "the camera") {
		t.Errorf("with the program started anew, the laptop sees %q", page)
	}

	// The program looks at the port when it starts: if that is now, it sets it up while it
	// is taken away.
	until(t, "the port taken away", func() bool { return p.remove() == nil })
	laptop.unplugged(adapter)
	awaitBoard(t, id.here)
	see("set up again")
}
