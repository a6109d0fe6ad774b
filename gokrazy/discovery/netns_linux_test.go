package discovery

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// These tests send real packets between network namespaces of their own.

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

// A namespace is a computer of its own on the network.
type namespace struct {
	t  *testing.T
	fd int
}

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n := &namespace{t, -1}
	errs := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		if err == nil {
			// Addresses are good at once: nobody else is there to have them.
			err = os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0)
		}
		errs <- err
	}()
	if err := <-errs; err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no network namespace: %v", err)
		}
		t.Skipf("no network namespace, which only root may make: %v", err)
	}
	t.Cleanup(func() { unix.Close(n.fd) })
	return n
}

// start runs f on this computer and gives what waits for its end.
func (n *namespace) start(f func()) (wait func()) {
	var running sync.WaitGroup
	running.Go(func() {
		runtime.LockOSThread() // for ever
		if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
			n.t.Errorf("cannot enter the network namespace: %v", err)
			return
		}
		f()
	})
	return running.Wait
}

func (n *namespace) ip(args string) {
	n.t.Helper()
	n.start(func() {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			n.t.Errorf("ip %s: %v: %s", args, err, out)
		}
	})()
	if n.t.Failed() {
		n.t.FailNow()
	}
}

// newCable makes two computers with a cable between them, whose ends are down.
func newCable(t *testing.T) (a, b *namespace) {
	a, b = newNamespace(t), newNamespace(t)
	a.ip(fmt.Sprintf("link add eth0 type veth peer name eth0 netns /proc/%d/fd/%d", os.Getpid(), b.fd))
	return a, b
}

func (n *namespace) up(prefix string) {
	n.t.Helper()
	n.ip("addr add " + prefix + " dev eth0")
	n.ip("link set eth0 up")
}

// announce runs an Announcer until stop is called.
func (n *namespace) announce(a *Announcer) (_ *Announcer, stop func()) {
	ctx, cancel := context.WithCancel(n.t.Context())
	wait := n.start(func() {
		if err := a.Run(ctx); err != nil {
			n.t.Errorf("Run: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wait() })
	n.t.Cleanup(stop)
	return a, stop
}

// until waits for a state.
func until(t *testing.T, a *Announcer, what string, is func(State) bool) State {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if s := a.State(); is(s) {
			return s
		} else if time.Now().After(deadline) {
			t.Fatalf("no state with %s came, but %+v", what, s)
		}
	}
}

func hosted(host, address string) (string, func(State) bool) {
	return host + " at " + address, func(s State) bool {
		return s.Host == host && strings.Contains(fmt.Sprint(s.Addresses), address)
	}
}

// browse looks for pushcams until it has found what is wanted, as a busy machine
// answers late, and returns what it found at last.
func (n *namespace) browse(wanted func([]Found) bool) (found []Found) {
	n.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		var err error
		n.start(func() {
			ctx, cancel := context.WithTimeout(n.t.Context(), 2500*time.Millisecond)
			defer cancel()
			found, err = new(Browser).Browse(ctx)
		})()
		late := time.Now().After(deadline)
		switch {
		case errors.Is(err, errNoNetwork) && !late: // the kernel tells of a carrier when it comes to that
			time.Sleep(10 * time.Millisecond)
		case err != nil:
			n.t.Errorf("Browse: %v", err)
			return found
		case wanted(found) || late:
			return found
		}
	}
}

func number(n int) func([]Found) bool { return func(found []Found) bool { return len(found) == n } }

// A peer is another program on a computer.
type peer struct {
	t     *testing.T
	lines chan string
}

func (n *namespace) peer(args string) *peer {
	p := &peer{n.t, make(chan string, 1000)}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), peerEnv+"="+args)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	n.start(func() { err = cmd.Start() })()
	if err != nil {
		n.t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	})
	n.t.Cleanup(func() {
		cmd.Process.Kill()
		reading.Wait()
		cmd.Wait()
	})
	return p
}

// says waits for a line.
func (p *peer) says(want string) {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line := <-p.lines:
			if line == want {
				return
			}
			p.t.Logf("dnssd says %q", line)
		case <-deadline:
			p.t.Fatalf("dnssd does not say %q", want)
		}
	}
}

func TestRealNetwork(t *testing.T) {
	t.Parallel()
	a, b := newCable(t)
	b.up("10.99.0.2/24")
	announcer, stop := a.announce(&Announcer{Hostname: "pushcam", Port: 8080, Version: "v1", Model: "Test"})
	until(t, announcer, "no network", func(s State) bool { return s.Host == "" && s.Reason == "there is no network" })
	a.up("10.99.0.1/24") // the network comes up after the program

	what, is := hosted("pushcam.local", "10.99.0.1")
	state := until(t, announcer, what, is)
	browser := b.peer("browse")
	browser.says("found pushcam 8080")

	found := b.browse(func(found []Found) bool { return len(found) == 1 && len(found[0].Addresses) == len(state.Addresses) })
	var addresses []netip.Addr
	for _, addr := range state.Addresses {
		if addr.IsLinkLocalUnicast() {
			addr = addr.WithZone("eth0")
		}
		addresses = append(addresses, addr)
	}
	if len(addresses) < 2 {
		t.Errorf("announced %v, want IPv4 and IPv6", addresses)
	}
	want := []Found{{Name: "pushcam", Host: "pushcam.local", Port: 8080, Path: "/", Version: "v1", Model: "Test", Addresses: addresses}}
	if diff := cmp.Diff(want, found, compareAddr); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	a.ip("addr add 10.99.0.77/24 dev eth0")
	a.ip("addr del 10.99.0.1/24 dev eth0")
	a.ip("addr replace 10.99.0.77/24 dev eth0") // it goes with the first of its network
	what, is = hosted("pushcam.local", "10.99.0.77")
	until(t, announcer, what, is)
	moved := func(found []Found) bool {
		return len(found) == 1 && len(found[0].Addresses) > 0 && found[0].Addresses[0] == netip.MustParseAddr("10.99.0.77")
	}
	if found := b.browse(moved); !moved(found) {
		t.Errorf("after the address changed: %+v", found)
	}

	stop()
	browser.says("lost pushcam")
	if found := b.browse(number(0)); len(found) != 0 {
		t.Errorf("after the goodbye: %+v", found)
	}
}

func TestRealConflict(t *testing.T) {
	t.Parallel()
	a, b := newCable(t)
	a.up("10.99.0.1/24")
	b.up("10.99.0.2/24")
	announcer, _ := a.announce(&Announcer{Hostname: "pushcam", Port: 80})
	what, is := hosted("pushcam.local", "10.99.0.1")
	until(t, announcer, what, is)
	announcer, _ = b.announce(&Announcer{Hostname: "pushcam", Port: 80})
	what, is = hosted("pushcam-2.local", "10.99.0.2")
	if s := until(t, announcer, what, is); s.Reason != "another device had the name pushcam.local first" {
		t.Errorf("reason: %q", s.Reason)
	}
	// A third program on a computer that has one already.
	announcer, _ = b.announce(&Announcer{Hostname: "pushcam", Port: 81})
	what, is = hosted("pushcam-3.local", "10.99.0.2")
	until(t, announcer, what, is)
	if diff := cmp.Diff([]string{"pushcam.local", "pushcam-2.local", "pushcam-3.local"}, names(a.browse(number(3)))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The name belongs to a program of another make.
func TestRealConflictWithAnotherProgram(t *testing.T) {
	t.Parallel()
	a, b := newCable(t)
	a.up("10.99.0.1/24")
	b.up("10.99.0.2/24")
	// dnssd uses only networks that are there when it starts.
	announcer, _ := a.announce(&Announcer{Hostname: "witness", Port: 80})
	what, is := hosted("witness.local", "10.99.0.1")
	until(t, announcer, what, is)
	b.peer("respond pushcam 8080")
	if len(a.browse(number(2))) != 2 {
		t.Fatal("dnssd does not answer")
	}
	announcer, _ = a.announce(&Announcer{Hostname: "pushcam", Port: 80})
	what, is = hosted("pushcam-2.local", "10.99.0.1")
	until(t, announcer, what, is)
	if diff := cmp.Diff([]string{"pushcam.local", "pushcam-2.local", "witness.local"}, names(a.browse(number(3)))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A resolver that knows no multicast DNS asks from a port of its own.
func TestRealPlainResolver(t *testing.T) {
	t.Parallel()
	a, b := newCable(t)
	a.up("10.99.0.1/24")
	b.up("10.99.0.2/24")
	announcer, _ := a.announce(&Announcer{Hostname: "pushcam", Port: 80})
	what, is := hosted("pushcam.local", "10.99.0.1")
	until(t, announcer, what, is)
	b.start(func() {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(10, 99, 0, 2)})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		data, err := question("pushcam.local.", dns.TypeA, dns.ClassINET).Pack()
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := c.WriteToUDPAddrPort(data, netip.AddrPortFrom(group4, port)); err != nil {
			t.Error(err)
			return
		}
		buf := make([]byte, maxPacket)
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			t.Error(err)
			return
		}
		m := new(dns.Msg)
		if err := m.Unpack(buf[:n]); err != nil || m.Id != 77 || len(m.Answer) != 1 {
			t.Errorf("from %v came %v, %v", from, m, err)
			return
		}
		if got, _ := addressOf(m.Answer[0]); got != netip.MustParseAddr("10.99.0.1") {
			t.Errorf("pushcam.local is %v", got)
		}
	})()
}

// The loopback device, one without a cable, and the port of a bridge are left out.
func TestRealNetworks(t *testing.T) {
	t.Parallel()
	a, b := newCable(t)
	root := t.TempDir()
	names := func() (names []string) {
		a.start(func() {
			networks, err := systemNetworks(root)
			if err != nil {
				t.Error(err)
			}
			for _, n := range networks {
				names = append(names, n.name)
			}
		})()
		return names
	}
	a.ip("link set lo up")
	a.up("10.99.0.1/24")
	if got := names(); got != nil {
		t.Errorf("without a cable: %v", got)
	}
	b.up("10.99.0.2/24")
	announcer, _ := a.announce(&Announcer{Port: 80})
	what, is := hosted("pushcam.local", "10.99.0.1")
	until(t, announcer, what, is)
	if diff := cmp.Diff([]string{"eth0"}, names()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := os.MkdirAll(root+"/sys/class/net/eth0/master", 0o755); err != nil {
		t.Fatal(err)
	}
	if got := names(); got != nil {
		t.Errorf("the port of a bridge: %v", got)
	}
}

// Leases end, cables move and adapters are replaced while the program runs: its name
// goes along.
func TestRealChanges(t *testing.T) {
	t.Attr("fault", "network | addresses change while the program runs | its name leads to the new one | at once")
	t.Parallel()
	a, b := newCable(t)
	a.up("10.99.0.1/24")
	b.up("10.99.0.2/24")
	announcer, _ := a.announce(&Announcer{Hostname: "pushcam", Port: 80})
	at := func(address string) {
		t.Helper()
		what, is := hosted("pushcam.local", address)
		until(t, announcer, what, is)
		found := b.browse(number(1))
		if len(found) != 1 || len(found[0].Addresses) == 0 || found[0].Addresses[0].String() != address {
			t.Fatalf("found %+v, want a pushcam at %s", found, address)
		}
	}
	at("10.99.0.1")
	a.ip("addr del 10.99.0.1/24 dev eth0")
	a.ip("addr add 10.99.0.7/24 dev eth0")
	at("10.99.0.7")
	a.ip("link del eth0")
	until(t, announcer, "no network", func(s State) bool { return s.Reason == errNoNetwork.Error() })
	a.ip(fmt.Sprintf("link add usb0 type veth peer name eth0 netns /proc/%d/fd/%d", os.Getpid(), b.fd))
	a.ip("addr add 10.98.0.1/24 dev usb0")
	a.ip("link set usb0 up")
	b.up("10.98.0.2/24")
	at("10.98.0.1")
}
