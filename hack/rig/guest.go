//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Paths in the initramfs.
const (
	guestInit    = "/init"
	guestJob     = "/job.json"
	guestModules = "/modules"                   // *.ko
	guestOrder   = "/modules.list"              // their names, in the order to load them in
	guestLater   = guestModules + "/later.list" // the names of those that a test loads
	guestShown   = "/run/modules"               // in guestRoot: guestModules, for a test
	guestRoot    = "/root"
	guestTmp     = "/run/tmp" // in guestRoot; the host's /tmp may hold the checkout
)

// Tags of the 9p shares; a writable one has its number appended.
const (
	tagRoot     = "root"
	tagWritable = "rw"
)

// Virtio ports, raw byte pipes in the order in which QEMU is given them. They
// are used rather than the serial line because they carry every byte as it is,
// and a write to one returns when the host has it.
const (
	portStatus = "/dev/vport0p1"
	portStdout = "/dev/vport0p2"
	portStderr = "/dev/vport0p3"
)

// A job is what the guest is to do.
type job struct {
	Argv, Env []string
	Dir       string
	Writable  []string // folders that are shared for writing
	Merged    bool     // standard output and error are the same file
	Deadline  time.Duration
}

// A status is how a job has ended. The guest writes it once, as JSON.
type status struct {
	Code  int    // of the program
	Error string // why there is no code
	// Kernel has the kernel's last messages if it warned or oopsed.
	Kernel string
}

// guestMain is PID 1 of the virtual machine. It never returns: the host stops
// the machine when it has the status.
func guestMain() {
	var st status
	code, err := guestRun()
	if err != nil {
		st.Error = err.Error()
	}
	st.Code = code
	if died, warned := tainted(); died || warned {
		if log := kernelLog(); died || unannounced(log) {
			st.Kernel = log[max(0, len(log)-32<<10):]
		}
	}
	report(st)
	for { // not select{}, which Go takes for a deadlock when no other goroutine is left
		unix.Pause()
	}
}

func report(st status) {
	line, err := json.Marshal(st)
	if err == nil {
		var port *os.File
		if port, err = openPort(portStatus); err == nil {
			_, err = port.Write(append(line, '\n'))
		}
	}
	if err != nil { // the host shows the console when the machine ends without a status
		fmt.Println("rig guest:", string(line), err)
		unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	}
}

func guestRun() (code int, err error) {
	var j job
	data, err := os.ReadFile(guestJob)
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(data, &j); err != nil {
		return 0, err
	}
	if err := mountAll([]mountPoint{
		{"dev", "/dev", "devtmpfs", 0, ""},
		{"proc", "/proc", "proc", 0, ""},
		{"sys", "/sys", "sysfs", 0, ""},
	}); err != nil {
		return 0, err
	}
	if err := loadModules(); err != nil {
		return 0, err
	}
	if err := mountHost(j.Writable); err != nil {
		return 0, err
	}
	if err := loopbackUp(); err != nil {
		return 0, err
	}
	stdout, err := openPort(portStdout)
	if err != nil {
		return 0, err
	}
	stderr := stdout
	if !j.Merged {
		if stderr, err = openPort(portStderr); err != nil {
			return 0, err
		}
	}
	if err := unix.Chroot(guestRoot); err != nil {
		return 0, fmt.Errorf("chroot: %w", err)
	}
	cmd := exec.Command(j.Argv[0], j.Argv[1:]...)
	cmd.Env, cmd.Dir = j.Env, j.Dir
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	// A Go program that is asked to quit says where each goroutine stands.
	quit := time.AfterFunc(j.Deadline, func() { cmd.Process.Signal(unix.SIGQUIT) })
	kill := time.AfterFunc(j.Deadline+5*time.Second, func() { cmd.Process.Kill() })
	defer quit.Stop()
	defer kill.Stop()
	err = cmd.Wait()
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case ok && exit.Exited():
		return exit.ExitCode(), nil
	case err != nil:
		return 0, fmt.Errorf("%s: %w", filepath.Base(j.Argv[0]), err)
	}
	return 0, nil
}

type mountPoint struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

func mountAll(points []mountPoint) error {
	for _, p := range points {
		if err := os.MkdirAll(p.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(p.source, p.target, p.kind, p.flags, p.data); err != nil {
			return fmt.Errorf("mount %s on %s: %w", p.source, p.target, err)
		}
	}
	return nil
}

// mountHost makes guestRoot: the host's files with the guest's own devices.
func mountHost(writable []string) error {
	const opts = "trans=virtio,version=9p2000.L,msize=512000"
	points := []mountPoint{
		{tagRoot, guestRoot, "9p", unix.MS_RDONLY, opts + ",cache=loose"},
		{"/dev", guestRoot + "/dev", "", unix.MS_BIND, ""},
		{"/proc", guestRoot + "/proc", "", unix.MS_BIND, ""},
		{"/sys", guestRoot + "/sys", "", unix.MS_BIND, ""},
		{"devpts", guestRoot + "/dev/pts", "devpts", 0, ""},
		{"shm", guestRoot + "/dev/shm", "tmpfs", 0, ""},
		{"configfs", guestRoot + "/sys/kernel/config", "configfs", 0, ""},
		{"run", guestRoot + "/run", "tmpfs", 0, ""},
		{"tmp", guestRoot + guestTmp, "tmpfs", 0, "mode=1777"},
		{guestModules, guestRoot + guestShown, "", unix.MS_BIND, ""},
	}
	for i, dir := range writable {
		// Without a cache, because the host reads the files as soon as the job is done.
		points = append(points, mountPoint{tagWritable + strconv.Itoa(i), guestRoot + dir, "9p", 0, opts + ",cache=none"})
	}
	return mountAll(points)
}

func loadModules() error {
	list, err := os.ReadFile(guestOrder)
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(list)) {
		f, err := os.Open(filepath.Join(guestModules, name))
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil {
			return fmt.Errorf("load %s: %w", name, err)
		}
	}
	return nil
}

// openPort opens a virtio port, which appears some time after its driver.
func openPort(path string) (*os.File, error) {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil || !errors.Is(err, fs.ErrNotExist) || time.Now().After(deadline) {
			return f, err
		}
	}
}

// loopbackUp gives the guest 127.0.0.1.
func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	defer unix.Close(s)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return nil
}

// tainted tells whether the kernel has oopsed and whether it has warned
// (Documentation/admin-guide/tainted-kernels.rst).
func tainted() (died, warned bool) {
	data, err := os.ReadFile("/proc/sys/kernel/tainted")
	flags, perr := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	if err != nil || perr != nil {
		return false, false
	}
	return flags&(1<<7) != 0, flags&(1<<9) != 0
}

// kernelLog is the kernel's message buffer, which holds 128 KiB in Debian.
func kernelLog() string {
	const actionReadAll = 3 // SYSLOG_ACTION_READ_ALL
	buf := make([]byte, 256<<10)
	n, err := unix.Klogctl(actionReadAll, buf)
	if err != nil {
		return "kernel messages: " + err.Error()
	}
	return string(buf[:n])
}
