//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A machine is a virtual computer with the product's card in it.
type machine struct {
	*board
	url     string // of its port 80, without a slash behind
	tls     string // where the router leads to its port 443, a host and a port
	knobs   string // of its port 8090, where the test image has vcsim's feeder
	control *qmp
	station *station     // another computer on its network
	console io.Writer    // its serial port's input
	webcam  string       // the socket into which a webcam is plugged
	cam     *webcam      // the one that is plugged in
	slow    atomic.Int64 // how long /state may take, in nanoseconds, if that is more than stateTimeout
	serial  string       // the file of what its serial port says

	resets   atomic.Int32 // times that the machine began anew
	watching sync.Mutex
	streams  []net.Conn   // those of this boot
	shutdown atomic.Value // the reason why it ended, a string
	qemu     *os.Process
	exited   chan struct{}
	exit     error // of QEMU, once exited is closed
}

// boot starts a machine that loads the card's system as the QEMU options loader
// say. It ends with the test.
func boot(t *testing.T, card string, loader []string) *machine {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, "")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{webcam: filepath.Join(dir, "webcam"), exited: make(chan struct{})}
	control, controlFar := socketpair(t, unix.SOCK_STREAM)
	wires, wiresFar := socketpair(t, unix.SOCK_STREAM)
	lan, lanFar := socketpair(t, unix.SOCK_DGRAM)
	m.start(t, append([]string{"-nodefaults", "-display", "none",
		"-M", "virt,acpi=off", "-accel", "tcg,thread=multi", "-cpu", "cortex-a53", "-smp", "2", "-m", "1024",
		"-drive", "if=none,id=card,format=raw,file=" + strings.ReplaceAll(card, ",", ",,"), "-device", "virtio-blk-pci,drive=card",
		// A switch for the machine, QEMU's router and the station.
		"-netdev", "hubport,id=lan1,hubid=1", "-device", "virtio-net-pci,netdev=lan1,romfile=",
		"-netdev", "user,id=router,hostfwd=tcp:127.0.0.1:0-:80,hostfwd=tcp:127.0.0.1:0-:443,hostfwd=tcp:127.0.0.1:0-:8090", "-netdev", "hubport,id=lan2,hubid=1,netdev=router",
		"-netdev", "socket,id=station,fd=5", "-netdev", "hubport,id=lan3,hubid=1,netdev=station",
		"-device", "i6300esb", // a watchdog, as a Pi has one
		"-device", "qemu-xhci,id=usb",
		"-chardev", "socket,id=webcam,server=on,wait=off,path=" + m.webcam, "-device", "usb-redir,chardev=webcam,bus=usb.0",
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-chardev", "socket,id=control,fd=3", "-mon", "chardev=control,mode=control",
		"-chardev", "socket,id=board,fd=4", "-object", "qtest,id=qtest,chardev=board,log=none",
	}, loader...), controlFar, wiresFar, lanFar)
	m.station = newStation(lan)
	t.Cleanup(m.station.close)
	m.board = &board{conn: wires, answers: bufio.NewReader(wires)}
	if m.control, err = newQMP(control, m.event); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.control.close)
	if m.chip, err = findPL061(m.control); err != nil {
		t.Fatal(err)
	}
	m.release(t)
	if m.url, err = forwarded(m.control, firstAddress, 80); err != nil {
		t.Fatal(err)
	}
	secure, err := forwarded(m.control, firstAddress, 443)
	if err != nil {
		t.Fatal(err)
	}
	m.tls = strings.TrimPrefix(secure, "http://")
	if m.knobs, err = forwarded(m.control, firstAddress, 8090); err != nil {
		t.Fatal(err)
	}
	return m
}

// start runs QEMU until the end of the test, with files as its descriptors from 3 on.
// The output of the machine's serial port is an artifact of the test.
func (m *machine) start(t *testing.T, options []string, files ...*os.File) {
	t.Helper()
	serial, err := os.Create(filepath.Join(t.ArtifactDir(), "serial.log"))
	if err != nil {
		t.Fatal(err)
	}
	input, console, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	m.console, m.serial = console, serial.Name()
	var complaints bytes.Buffer
	qemu := exec.Command("qemu-system-aarch64", options...)
	qemu.Stdin, qemu.Stdout, qemu.Stderr = input, serial, &complaints
	qemu.ExtraFiles = files
	qemu.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	started := make(chan error)
	go func() {
		// Pdeathsig is about the thread that starts the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := qemu.Start()
		started <- err
		if err == nil {
			m.exit = qemu.Wait()
			close(m.exited)
		}
	}()
	err = <-started
	for _, f := range append(files, input) {
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	m.qemu = qemu.Process
	t.Cleanup(func() {
		if t.Failed() {
			_, _, said, err := m.get("/state", stateTimeout)
			t.Logf("The state in the end: %s%v", said, err)
		}
		m.cut()
		console.Close()
		serial.Close()
		if t.Failed() {
			t.Logf("QEMU: %v, and the machine began anew %d times\n%sThe serial line's last words:\n%s\nOf crashes it said:\n%s",
				m.exit, m.resets.Load(), complaints.Bytes(), lastLines(m.serial, 100), m.crashes(t))
		}
	})
}

// cut cuts the machine's power.
func (m *machine) cut() {
	m.qemu.Kill()
	<-m.exited
}

// socketpair is a pair of sockets. The far one is for a child, the near one is closed
// at the end of the test.
func socketpair(t *testing.T, kind int) (near net.Conn, far *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[0]), "near")
	defer f.Close()
	if near, err = net.FileConn(f); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	return near, os.NewFile(uintptr(fds[1]), "far")
}

// event hears what QEMU says.
func (m *machine) event(e qmpEvent) {
	switch e.Name {
	case "RESET":
		// QEMU forgets the level that the pull-up resistor gives the line. If this
		// fails, the button's next use shows it.
		m.button(false)
		m.resets.Add(1)
		m.loseStreams()
	case "SHUTDOWN":
		m.shutdown.Store(e.Data.Reason)
	}
}

// watch notes a stream of the machine.
func (m *machine) watch(conn net.Conn) {
	m.watching.Lock()
	defer m.watching.Unlock()
	m.streams = append(m.streams, conn)
}

// loseStreams ends the streams of a machine that begins anew: what sent them is no
// more, and never says so.
func (m *machine) loseStreams() {
	m.watching.Lock()
	defer m.watching.Unlock()
	for _, conn := range m.streams {
		conn.Close()
	}
	m.streams = nil
}

// crashes are the serial line's lines in which the kernel says that it has crashed,
// each with those around it.
func (m *machine) crashes(t *testing.T) string {
	const before, after = 5, 50
	log, err := os.ReadFile(m.serial)
	if err != nil {
		t.Error(err)
	}
	var said []string
	lines := strings.Split(strings.ReplaceAll(string(log), "\r", ""), "\n")
	for i := 0; i < len(lines); i++ {
		if crash.MatchString(lines[i]) {
			end := min(i+after, len(lines))
			said = append(said, lines[max(0, i-before):end]...)
			i = end
		}
	}
	return strings.Join(said, "\n")
}

var crash = regexp.MustCompile(`Unable to handle|Internal error|Kernel panic|BUG:`)

func lastLines(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(text), "\r", "")), "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}

// sysrq sends a break and a key over the serial line, which asks the kernel for what
// Documentation/admin-guide/sysrq.rst says of the key.
func (m *machine) sysrq(t *testing.T, key string) {
	t.Helper()
	if err := m.control.do("chardev-send-break", map[string]any{"id": "console"}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(m.console, key); err != nil {
		t.Fatal(err)
	}
}

// patience is how long a busy machine may take. A boot takes 10 s on an idle one, and
// minutes where ten programs share each processor.
const patience = 10 * time.Minute

// await calls ok until it returns nil.
func (m *machine) await(t *testing.T, what string, ok func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; {
		err := ok()
		if err == nil {
			t.Logf("%s, after %v", what, time.Since(began).Round(100*time.Millisecond))
			return
		}
		select {
		case <-m.exited:
			t.Fatalf("the machine has ended while %s was awaited: %v", what, m.exit)
		case <-ctx.Done():
			t.Fatalf("waited in vain for: %s: %v", what, err)
		case <-tick.C:
		}
	}
}
