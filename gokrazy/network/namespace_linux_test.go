package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/network/status"
)

// These tests run the program in network namespaces of their own, with real cables
// (veth), switches (bridges), and dnsmasq as the router's server.

// patience is how long a test waits for what has to come, on a busy machine too.
const patience = 4 * time.Minute

// programEnv has the test's binary be the program.
const programEnv = "PUSHCAM_NETWORK_PROGRAM"

func TestMain(m *testing.M) {
	if link := os.Getenv(portalEnv); link != "" {
		if err := servePortal(link, device.Root(os.Args[1])); err != nil {
			fmt.Fprintln(os.Stderr, "portal:", err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv(programEnv) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// A namespace is a computer with a network of its own.
type namespace struct {
	t    *testing.T
	fd   int
	work chan func() // is done on a thread that lives there
}

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n := &namespace{t: t, work: make(chan func())}
	entered := make(chan error)
	var living sync.WaitGroup
	living.Go(func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		entered <- err
		for do := range n.work {
			do()
		}
	})
	if err := <-entered; err != nil {
		close(n.work)
		if os.Getenv("CI") != "" {
			t.Fatalf("no network namespace: %v", err)
		}
		t.Skipf("no network namespace, which only root may make: %v", err)
	}
	t.Cleanup(func() {
		close(n.work)
		living.Wait()
		unix.Close(n.fd)
	})
	n.ip("link set lo up")
	return n
}

// do calls f on a thread of this computer.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

func (n *namespace) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.fd) }

// ip runs ip(8) here and returns what it says.
func (n *namespace) ip(args string) (said string) {
	n.t.Helper()
	n.do(func() {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			n.t.Errorf("ip %s: %v: %s", args, err, out)
		}
		said = string(out)
	})
	if n.t.Failed() {
		n.t.FailNow()
	}
	return said
}

// A process runs until stop or the end of the test. What it says is kept.
type process struct {
	cmd  *exec.Cmd
	stop func()
	mu   sync.Mutex
	said strings.Builder
}

func (n *namespace) start(cmd *exec.Cmd) *process {
	n.t.Helper()
	p := &process{cmd: cmd}
	read, write, err := os.Pipe()
	if err != nil {
		n.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = write, write
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // with the computer's thread
	n.do(func() { err = cmd.Start() })
	write.Close()
	if err != nil {
		n.t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(read); lines.Scan(); {
			p.mu.Lock()
			fmt.Fprintln(&p.said, lines.Text())
			p.mu.Unlock()
		}
		io.Copy(io.Discard, read)
		read.Close()
	})
	p.stop = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
		reading.Wait()
	})
	n.t.Cleanup(func() {
		p.stop()
		if n.t.Failed() {
			n.t.Logf("%s:\n%s", filepath.Base(cmd.Path), p.says())
		}
	})
	return p
}

func (p *process) says() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// await waits until is has nothing to say against it.
func await(t *testing.T, what string, is func() error) {
	t.Helper()
	began := time.Now()
	for {
		err := is()
		if err == nil {
			t.Logf("%s, after %v", what, time.Since(began).Round(100*time.Millisecond))
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("waited in vain for %s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A router is a computer with a switch, called lan, and a DHCP server on it.
type router struct {
	*namespace
	prefix  netip.Prefix
	dnsmasq *process
}

func newRouter(t *testing.T, prefix string, options ...string) *router {
	t.Helper()
	r := &router{namespace: newNamespace(t)}
	r.ip("link add lan type bridge")
	r.ip("link set lan up")
	r.be(prefix, options...)
	return r
}

// be gives the router an address and starts its server anew.
func (r *router) be(prefix string, options ...string) {
	r.t.Helper()
	r.shut()
	r.prefix = netip.MustParsePrefix(prefix)
	r.ip("-4 addr flush dev lan")
	r.ip("addr add " + prefix + " dev lan")
	r.serve(options...)
}

// serve starts the server, with leases of two minutes, the least that it can give.
func (r *router) serve(options ...string) {
	r.t.Helper()
	program := need(r.t, "dnsmasq", "dnsmasq-base")
	net := r.prefix.Addr().As4()
	cmd := exec.Command(program, append([]string{"--keep-in-foreground", "--log-facility=-", "--log-dhcp", "--conf-file=/dev/null", "--pid-file=", "--user=root",
		"--port=0", "--interface=lan", "--bind-interfaces", "--dhcp-leasefile=" + filepath.Join(r.t.TempDir(), "leases"), "--leasefile-ro",
		fmt.Sprintf("--dhcp-range=%d.%d.%d.100,%d.%d.%d.120,2m", net[0], net[1], net[2], net[0], net[1], net[2])}, options...)...)
	r.dnsmasq = r.start(cmd)
	await(r.t, "the server", func() error {
		if !strings.Contains(r.dnsmasq.says(), ": DHCP, ") {
			return fmt.Errorf("it says %q", r.dnsmasq.says())
		}
		return nil
	})
}

// shut ends the server.
func (r *router) shut() {
	if r.dnsmasq != nil {
		r.dnsmasq.stop()
	}
}

func need(t *testing.T, program, pkg string) string {
	t.Helper()
	for _, path := range []string{program, "/usr/sbin/" + program} { // Debian keeps that from the PATH of users
		if path, err := exec.LookPath(path); err == nil {
			return path
		}
	}
	say := program + " is not installed: sudo apt-get install " + pkg
	if os.Getenv("CI") != "" {
		t.Fatal(say)
	}
	t.Skip(say)
	return ""
}

// A camera is a computer that runs the program.
type camera struct {
	*namespace
	dir     string
	program *process
}

func newCamera(t *testing.T) *camera {
	t.Helper()
	dir, err := os.MkdirTemp("", "net") // a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := &camera{namespace: newNamespace(t), dir: dir}
	c.boot()
	return c
}

// boot starts the program.
func (c *camera) boot() {
	c.t.Helper()
	cmd := exec.Command(os.Args[0], "-clock=false", "-socket", c.socket(), "-resolv-conf", filepath.Join(c.dir, "resolv.conf"))
	cmd.Env = append(os.Environ(), programEnv+"=1")
	c.program = c.start(cmd)
}

func (c *camera) socket() string { return filepath.Join(c.dir, "network.sock") }

// plug puts a new adapter into the camera, and its cable into a switch.
func (c *camera) plug(name string, into *router) {
	c.t.Helper()
	c.ip(fmt.Sprintf("link add %s type veth peer name p-%s netns %s", name, name, into.path()))
	into.ip("link set p-" + name + " master lan up")
}

// move puts the cable of an adapter into another switch.
func (c *camera) move(name string, from, to *router) {
	c.t.Helper()
	from.ip("link set p-" + name + " netns " + to.path())
	to.ip("link set p-" + name + " master lan up")
}

// statusOf is what the program that serves at socket says now.
func statusOf(ctx context.Context, socket string) (s status.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	err = errors.New("the network program says nothing")
	status.Follow(ctx, socket, func(now status.Status, trouble error) {
		s, err = now, trouble
		cancel()
	})
	return s, err
}

// await waits for a state, and returns it.
func (c *camera) await(what string, is func(status.Status) bool) (s status.Status) {
	c.t.Helper()
	await(c.t, what, func() error {
		var err error
		if s, err = statusOf(c.t.Context(), c.socket()); err != nil {
			return err
		}
		if !is(s) {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
	return s
}

// find is a link of a state, empty if there is none.
func find(s status.Status, name string) status.Link {
	for _, l := range s.Links {
		if l.Name == name {
			return l
		}
	}
	return status.Link{}
}

// given is the address that a server has given to a link; not valid if none has.
func given(l status.Link) netip.Prefix {
	for _, a := range l.Addresses {
		if a.From == status.DHCP {
			return a.Prefix
		}
	}
	return netip.Prefix{}
}

// own is the address that a link has given itself.
func own(l status.Link) netip.Prefix {
	for _, a := range l.Addresses {
		if a.From == status.LinkLocal {
			return a.Prefix
		}
	}
	return netip.Prefix{}
}

// awaitAddress waits until a link has one of a router.
func (c *camera) awaitAddress(name string, of *router) netip.Addr {
	c.t.Helper()
	s := c.await(name+" has an address of "+of.prefix.String(), func(s status.Status) bool {
		return of.prefix.Masked() == given(find(s, name)).Masked()
	})
	return given(find(s, name)).Addr()
}

// wantAddresses compares with the IPv4 addresses that the kernel has, as
// "eth0 192.168.77.100/24".
func (c *camera) wantAddresses(want ...string) {
	c.t.Helper()
	await(c.t, strings.Join(want, ", ")+", and no other address", func() error {
		var got []string
		for line := range strings.Lines(c.ip("-4 -o addr show")) {
			if f := strings.Fields(line); len(f) > 3 && f[1] != "lo" {
				got = append(got, f[1]+" "+f[3])
			}
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			return fmt.Errorf("there are %q", got)
		}
		return nil
	})
}

// wantRoute compares with how the kernel would reach an address: by which link.
func (c *camera) wantRoute(to, by string) {
	c.t.Helper()
	await(c.t, to+" by "+by, func() error {
		var said string
		c.do(func() {
			out, err := exec.Command("ip", "route", "get", to).CombinedOutput()
			said = string(out)
			if err != nil {
				said = "unreachable"
			}
		})
		if by == "unreachable" && said == by || strings.Contains(said, " dev "+by+" ") {
			return nil
		}
		return fmt.Errorf("it is %q", said)
	})
}
