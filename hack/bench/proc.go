//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// proc reads a proc file system.
type proc struct {
	root string // "" is /proc
}

func (p proc) read(path ...string) ([]byte, error) {
	root := p.root
	if root == "" {
		root = "/proc"
	}
	return os.ReadFile(filepath.Join(append([]string{root}, path...)...))
}

// cpuTime is the processor time that a process has used, in user and system mode. It
// is the scheduler's, in nanoseconds; /proc/PID/stat counts in steps of 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	const sched = 2 // CPUCLOCK_SCHED, of MAKE_PROCESS_CPUCLOCK in <linux/posix-timers.h>
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|sched), &ts); err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// rss is a process's resident memory in bytes.
func (p proc) rss(pid int) (int, error) {
	b, err := p.read(strconv.Itoa(pid), "status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS: it has ended", pid)
}

// A tcpQueue is one socket of a namespace, as /proc/PID/net/tcp has it.
type tcpQueue struct {
	local, remote int // ports
	sending       int // bytes that the peer has not acknowledged
	receiving     int // bytes that nobody has read
}

// queues lists the sockets of the namespace that pid lives in.
func (p proc) queues(pid int) ([]tcpQueue, error) {
	b, err := p.read(strconv.Itoa(pid), "net", "tcp")
	if err != nil {
		return nil, err
	}
	var all []tcpQueue
	for i, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		f := strings.Fields(line)
		if i == 0 || len(f) < 5 {
			continue // the titles
		}
		sending, receiving, _ := strings.Cut(f[4], ":")
		var q tcpQueue
		var errs [4]error
		q.local, errs[0] = port(f[1])
		q.remote, errs[1] = port(f[2])
		q.sending, errs[2] = hexInt(sending)
		q.receiving, errs[3] = hexInt(receiving)
		if err := errors.Join(errs[:]...); err != nil {
			return nil, fmt.Errorf("net/tcp line %d: %w", i, err)
		}
		all = append(all, q)
	}
	return all, nil
}

func port(address string) (int, error) {
	_, p, _ := strings.Cut(address, ":")
	return hexInt(p)
}

func hexInt(s string) (int, error) {
	v, err := strconv.ParseUint(s, 16, 32)
	return int(v), err
}

// idle returns how long all processors together have been idle, and how long they have
// been there, in ticks.
func (p proc) idle() (idle, all int, err error) {
	b, err := p.read("stat")
	if err != nil {
		return 0, 0, err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	// guest times, after the eighth, are contained in user's
	for i, f := range fields[1:9] {
		v, err := strconv.Atoi(f)
		if err != nil {
			return 0, 0, fmt.Errorf("/proc/stat: %w", err)
		}
		all += v
		if i == 3 || i == 4 { // idle, iowait
			idle += v
		}
	}
	return idle, all, nil
}

// meter begins to measure. What it returns ends that, and tells how many cores a cgroup
// used, and how many all others did but it and the processes.
func (p proc) meter(group *cgroup, pids ...int) func() (cores, others float64, err error) {
	type reading struct {
		group, ours time.Duration
		idle, all   int
		at          time.Time
	}
	read := func() (r reading, err error) {
		r.at = time.Now()
		errs := make([]error, len(pids), len(pids)+2)
		for i, pid := range pids {
			var used time.Duration
			used, errs[i] = cpuTime(pid)
			r.ours += used
		}
		var err1, err2 error
		r.group, err1 = group.used()
		r.idle, r.all, err2 = p.idle()
		return r, errors.Join(append(errs, err1, err2)...)
	}
	from, err1 := read()
	return func() (cores, others float64, err error) {
		to, err2 := read()
		took := to.at.Sub(from.at).Seconds()
		cores = (to.group - from.group).Seconds() / took
		busy := 1 - float64(to.idle-from.idle)/float64(max(to.all-from.all, 1))
		others = busy*float64(runtime.NumCPU()) - cores - (to.ours-from.ours).Seconds()/took
		return cores, max(others, 0), errors.Join(err1, err2)
	}
}

// A machine is what the figures were measured on.
type machine struct {
	CPU, Kernel string
}

func (p proc) machine() machine {
	var m machine
	if b, err := p.read("cpuinfo"); err == nil {
		m.CPU = value(b, "model name")
	}
	if b, err := p.read("sys", "kernel", "osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	return m
}

// value finds a line "name : value".
func value(b []byte, name string) string {
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
