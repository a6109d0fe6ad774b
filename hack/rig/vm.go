//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// bootAllowance is how much longer than the job the machine may take. On a processor
	// of its own it boots in 5 s.
	bootAllowance = 10 * time.Minute
	// defaultDeadline is for programs that have no -test.timeout.
	defaultDeadline = 10 * time.Minute
	// statusGrace is how long after its own -test.timeout a test binary may take to end,
	// before it is made to.
	statusGrace = 2 * time.Minute
	// consoleKept bounds what is kept of the kernel's console, in bytes.
	consoleKept = 64 << 10
)

// runVM boots the machine for one program and relays what the program writes.
// The result is the program's exit status, or 2 and the reason why there is none.
func runVM(ctx context.Context, k kernel, argv []string) (int, error) {
	j, err := newJob(argv)
	if err != nil {
		return 2, err
	}
	initrd, err := initramfs(k, j)
	if err != nil {
		return 2, err
	}
	defer initrd.Close()

	ctx, cancel := context.WithTimeoutCause(ctx, j.Deadline+bootAllowance,
		fmt.Errorf("no end after %v", j.Deadline+bootAllowance))
	defer cancel()

	// QEMU gets initrd as descriptor 3 and the far ends of the ports as 4, 5 and 6.
	var near, far []*os.File
	defer func() { closeAll(near); closeAll(far) }()
	for range 3 {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return 2, fmt.Errorf("socketpair: %w", err)
		}
		near = append(near, os.NewFile(uintptr(fds[0]), "qemu"))
		far = append(far, os.NewFile(uintptr(fds[1]), "qemu"))
	}
	console := &tail{max: consoleKept}
	verbose := os.Getenv("PUSHCAM_RIG_VERBOSE") != ""
	if verbose {
		console.also = os.Stderr
	}
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64", qemuArgs(k, j, verbose)...)
	qemu.ExtraFiles = append([]*os.File{initrd}, far...)
	qemu.Stdout, qemu.Stderr = console, console
	qemu.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := qemu.Start(); err != nil {
		return 2, err
	}
	closeAll(far)
	far = nil

	var relays sync.WaitGroup
	relays.Go(func() { io.Copy(os.Stdout, near[1]) })
	relays.Go(func() { io.Copy(os.Stderr, near[2]) })
	var st status
	statusErr := json.NewDecoder(near[0]).Decode(&st)
	// Nothing is lost by a kill: what the program wrote is in the sockets before its
	// status is, and the guest's file systems are the host's own.
	qemu.Process.Kill()
	qemu.Wait()
	relays.Wait()

	switch {
	case ctx.Err() != nil:
		return 2, fmt.Errorf("the virtual machine was stopped: %w", context.Cause(ctx))
	case statusErr != nil:
		return 2, fmt.Errorf("the virtual machine died (%v); its last words:\n%s", statusErr, console)
	case st.Error != "":
		return 2, fmt.Errorf("in the virtual machine: %s\n%s", st.Error, console)
	case st.Kernel != "":
		return max(st.Code, 1), fmt.Errorf("the kernel warned or oopsed during the test:\n%s", st.Kernel)
	}
	return st.Code, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// newJob says how to run argv in the guest as it would be run here.
func newJob(argv []string) (job, error) {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return job{}, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return job{}, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return job{}, err
	}
	stdout, err := os.Stdout.Stat()
	if err != nil {
		return job{}, err
	}
	stderr, err := os.Stderr.Stat()
	if err != nil {
		return job{}, err
	}
	var writable []string
	if strings.HasSuffix(path, ".test") {
		writable = []string{filepath.Dir(path)} // coverage and testlog.txt go there
	}
	return job{
		Argv: append([]string{path}, argv[1:]...),
		// Of two values for one name, os/exec takes the last.
		Env:      append(os.Environ(), "PUSHCAM_RIG=1", "TMPDIR="+guestTmp, "HOME="+guestTmp),
		Dir:      dir,
		Writable: writable,
		// go test gives one pipe for both, and needs their output in order.
		Merged:   os.SameFile(stdout, stderr),
		Deadline: deadline(argv) + statusGrace,
	}, nil
}

// deadline is the -test.timeout among the arguments of a test binary.
func deadline(argv []string) time.Duration {
	for _, arg := range argv {
		if v, ok := strings.CutPrefix(arg, "-test.timeout="); ok {
			if d, err := time.ParseDuration(v); err == nil && d > 0 {
				return d
			}
		}
	}
	return defaultDeadline
}

// initramfs has the kernel's modules, this program and its job. It is in memory, so that
// no file is left behind.
func initramfs(k kernel, j job) (*os.File, error) {
	modules, err := os.ReadFile(k.Modules)
	if err != nil {
		return nil, err
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	desc, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("initramfs", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd: %w", err)
	}
	f := os.NewFile(uintptr(fd), "initramfs")
	c := cpio{w: f}
	c.Add(guestInit[1:], modeExec, self)
	c.Add(guestJob[1:], modeFile, desc)
	err = c.Close()
	if err == nil {
		_, err = f.Write(modules)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("initramfs: %w", err)
	}
	return f, nil
}

func qemuArgs(k kernel, j job, verbose bool) []string {
	// nokaslr and mitigations=off save time; random.trust_cpu keeps the guest
	// from waiting for entropy.
	cmdline := "console=ttyS0 panic=-1 mitigations=off nokaslr random.trust_cpu=on tsc=reliable"
	if verbose {
		cmdline += " ignore_loglevel"
	} else {
		cmdline += " quiet"
	}
	args := []string{
		"-machine", "q35,usb=off,vmport=off,hpet=off", "-accel", "tcg,thread=multi,tb-size=256",
		"-cpu", "max", "-smp", "2", "-m", "1024",
		"-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-kernel", k.Image, "-initrd", "/proc/self/fd/3", "-append", cmdline,
		"-device", "virtio-serial-pci",
	}
	for i := range 3 {
		n := strconv.Itoa(i + 1)
		args = append(args, "-chardev", "socket,id=port"+n+",fd="+strconv.Itoa(i+4),
			"-device", "virtserialport,chardev=port"+n+",nr="+n)
	}
	share := func(tag, path, opts string) {
		path = strings.ReplaceAll(path, ",", ",,") // QEMU's way to write a comma
		args = append(args, "-fsdev", "local,id="+tag+",path="+path+",security_model=none,multidevs=remap"+opts,
			"-device", "virtio-9p-pci,fsdev="+tag+",mount_tag="+tag)
	}
	share(tagRoot, "/", ",readonly=on")
	for i, dir := range j.Writable {
		share(tagWritable+strconv.Itoa(i), dir, "")
	}
	return args
}

// A tail keeps the last bytes that were written to it.
type tail struct {
	max  int
	also io.Writer // gets everything at once, when not nil
	buf  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	if t.also != nil {
		if _, err := t.also.Write(p); err != nil {
			return 0, errors.Join(errors.New("console"), err)
		}
	}
	t.buf = append(t.buf, p...)
	if cut := len(t.buf) - t.max; cut > 0 {
		t.buf = append(t.buf[:0], t.buf[cut:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(bytes.ReplaceAll(t.buf, []byte("\r\n"), []byte("\n"))) }
