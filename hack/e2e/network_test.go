//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// elsewhere are QEMU's options for a second router on the machine's switch, with a
// network of its own. Its first addresses lead to the same port as the first one's.
func elsewhere() []string {
	return []string{"-netdev", "user,id=router2,net=10.0.3.0/24,hostfwd=tcp:127.0.0.1:0-10.0.3.15:80,hostfwd=tcp:127.0.0.1:0-10.0.3.16:80",
		"-netdev", "hubport,id=lan4,hubid=1,netdev=router2"}
}

// link switches a port of the machine's switch, or its network card, on or off.
func (m *machine) link(t *testing.T, name string, up bool) {
	t.Helper()
	if err := m.control.do("set_link", map[string]any{"name": name, "up": up}, nil); err != nil {
		t.Fatal(err)
	}
}

// TestNetwork moves the appliance's cable to another router, gives it an adapter and
// takes it out and in, and leaves it alone at the end of a cable.
func TestNetwork(t *testing.T) {
	t.Attr("fault", "network | the appliance's cable to another router, an adapter out and in, no router at all | it is found by its name each time | within seconds")
	t.Parallel()
	p := built(t)
	cam := newWebcam()
	m := boot(t, p.card(t), append(p.direct(), elsewhere()...))
	m.link(t, "router2", false)
	cam.plug(t, m)
	t.Cleanup(func() { cam.unplug(t) })
	m.picture(t)
	m.named(t, "10.0.2.15", m.url)

	t.Run("the cable to another router", func(t *testing.T) {
		m.link(t, "lan1", false)
		m.link(t, "router", false)
		m.link(t, "router2", true)
		began := time.Now()
		m.link(t, "lan1", true)
		m.named(t, "10.0.3.15", "")
		t.Logf("the picture is there by its name %.1f s after the cable", time.Since(began).Seconds())
	})
	t.Run("an adapter out and in", func(t *testing.T) {
		adapter := func(command string, arguments map[string]any) {
			t.Helper()
			if err := m.control.do(command, arguments, nil); err != nil {
				t.Fatal(err)
			}
		}
		adapter("netdev_add", map[string]any{"type": "hubport", "id": "lan5", "hubid": 1})
		plug := map[string]any{"driver": "usb-net", "id": "adapter", "netdev": "lan5", "bus": "usb.0", "mac": "52:54:00:00:00:16"}
		for range 2 {
			adapter("device_add", plug)
			m.link(t, "lan1", false)
			m.named(t, "10.0.3.16", "")
			m.link(t, "lan1", true)
			adapter("device_del", map[string]any{"id": "adapter"})
			m.named(t, "10.0.3.15", "")
			m.await(t, "the adapter is out", func() error {
				var there []struct{ Name string }
				if err := m.control.do("qom-list", map[string]any{"path": "/machine/peripheral"}, &there); err != nil {
					return err
				}
				for _, d := range there {
					if d.Name == "adapter" {
						return errors.New("it is still in")
					}
				}
				return nil
			})
		}
	})
	t.Run("no router at all", func(t *testing.T) {
		m.link(t, "lan1", false)
		m.link(t, "router2", false)
		home := newHome(t, m.station)
		tool, err := pushcamctl()
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		m.link(t, "lan1", true)
		var said []byte
		m.await(t, "pushcamctl find finds it", func() (err error) {
			// It gives up after five seconds, and a busy machine gives itself an address later.
			if said, err = home.try(t, tool, "find"); err != nil {
				return err
			}
			if !strings.Contains(string(said), "http://169.254.") || !strings.Contains(string(said), "pushcam.local") {
				return fmt.Errorf("it says %q", said)
			}
			return nil
		})
		t.Logf("found %.1f s after the cable: %s", time.Since(began).Seconds(), said)
	})
}

// named awaits that the machine's name leads to an address, and a picture from
// there: url is where the router leads to it, empty for what its table says.
func (m *machine) named(t *testing.T, address, url string) {
	t.Helper()
	want := netip.MustParseAddr(address)
	host := "pushcam.local."
	var asked time.Time
	m.await(t, host+" is "+address, func() error {
		r := m.station.last(host, dnsmessage.TypeA)
		if a, ok := body(r).(*dnsmessage.AResource); ok && netip.AddrFrom4(a.A) == want {
			return nil
		}
		if time.Since(asked) > time.Second {
			asked = time.Now()
			m.station.forget()
			m.station.ask(t, host, dnsmessage.TypeA)
		}
		return fmt.Errorf("it is %v", body(r))
	})
	if url == "" {
		var err error
		if url, err = forwarded(m.control, address, 80); err != nil {
			t.Fatal(err)
		}
	}
	m.url = url
	m.picture(t)
}

func body(r *dnsmessage.Resource) dnsmessage.ResourceBody {
	if r == nil {
		return nil
	}
	return r.Body
}

// A home is a computer with a kernel of its own for the network, at the station's
// place on the machine's network. It has no address but one that is link-local.
type home struct{ work chan func() }

func newHome(t *testing.T, s *station) *home {
	t.Helper()
	h := &home{make(chan func())}
	var tap *os.File
	entered := make(chan error)
	var living sync.WaitGroup
	living.Go(func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			tap, err = openTap("lan")
		}
		entered <- err
		for do := range h.work {
			do()
		}
	})
	if err := <-entered; err != nil {
		close(h.work)
		if os.Getenv("CI") != "" {
			t.Fatalf("no network namespace: %v", err)
		}
		t.Skipf("no network namespace, which only root may make: %v", err)
	}
	forward := func(frame []byte) []byte {
		tap.Write(frame) // networks lose frames
		return nil
	}
	s.answer.Store(&forward)
	var pumping sync.WaitGroup
	pumping.Go(func() {
		for frame := make([]byte, 64<<10); ; {
			n, err := tap.Read(frame)
			if err != nil {
				return
			}
			s.conn.Write(slices.Clone(frame[:n]))
		}
	})
	t.Cleanup(func() {
		s.answer.Store(nil)
		tap.Close()
		pumping.Wait()
		close(h.work)
		living.Wait()
	})
	for _, args := range []string{"link set lo up", "link set lan up", "addr add 169.254.200.200/16 dev lan"} {
		h.run(t, "ip", strings.Fields(args)...)
	}
	return h
}

// openTap makes a network card whose cable is the file.
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "tap"), nil
}

// run runs a program on this computer and returns what it says, or fails.
func (h *home) run(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	said, err := h.try(t, program, args...)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// try runs a program on this computer and returns what it says. The error of one
// that ends badly holds that too.
func (h *home) try(t *testing.T, program string, args ...string) (said []byte, err error) {
	done := make(chan struct{})
	h.work <- func() {
		defer close(done)
		said, err = exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	}
	<-done
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, said)
	}
	return said, err
}
