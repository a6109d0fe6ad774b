//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A cgroup bounds and counts the processor time of processes.
type cgroup struct {
	limit string // folder of the controller that bounds
	count string // folder of the one that counts
	v2    bool
}

// newCgroup makes one of either version. The caller removes it after its processes.
func newCgroup(name string) (*cgroup, error) {
	const root = "/sys/fs/cgroup"
	g := &cgroup{limit: filepath.Join(root, "cpu", name), count: filepath.Join(root, "cpuacct", name)}
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		g.limit, g.v2 = filepath.Join(root, name), true
		g.count = g.limit
		if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+cpu"), 0); err != nil {
			return nil, fmt.Errorf("have cgroups bound processor time: %w", err)
		}
	}
	if err := errors.Join(os.MkdirAll(g.limit, 0o755), os.MkdirAll(g.count, 0o755)); err != nil {
		return nil, fmt.Errorf("make a cgroup: %w", err)
	}
	// Without a group each of a browser's processes would weigh as much as another program's.
	weight, value := filepath.Join(g.limit, "cpu.shares"), "4096"
	if g.v2 {
		weight, value = filepath.Join(g.limit, "cpu.weight"), "400"
	}
	if err := os.WriteFile(weight, []byte(value), 0); err != nil {
		return nil, fmt.Errorf("give a cgroup the weight of its processes: %w", err)
	}
	return g, nil
}

// shell is a command line that runs its arguments in the cgroup.
func (g *cgroup) shell() []string {
	return []string{"sh", "-c", fmt.Sprintf(`echo $$ >%s/cgroup.procs && echo $$ >%s/cgroup.procs && exec "$@"`, g.limit, g.count), "sh"}
}

// set bounds the processor time to a number of cores; 0 is no bound.
func (g *cgroup) set(cores float64) error {
	const period = 100_000 // µs
	file, quota, none := "cpu.cfs_quota_us", "", "-1"
	if g.v2 {
		file, none = "cpu.max", "max"
	}
	if quota = none; cores > 0 {
		quota = strconv.Itoa(int(cores * period))
	}
	if g.v2 {
		quota += " " + strconv.Itoa(period)
	}
	return os.WriteFile(filepath.Join(g.limit, file), []byte(quota), 0)
}

// used is the processor time that its processes have used.
func (g *cgroup) used() (time.Duration, error) {
	if !g.v2 {
		b, err := os.ReadFile(filepath.Join(g.count, "cpuacct.usage"))
		if err != nil {
			return 0, err
		}
		ns, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		return time.Duration(ns), err
	}
	b, err := os.ReadFile(filepath.Join(g.count, "cpu.stat"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "usage_usec "); ok {
			us, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return time.Duration(us) * time.Microsecond, err
		}
	}
	return 0, errors.New("cpu.stat has no usage_usec")
}

// remove ends the cgroup, and what still runs in it: browsers have processes that leave
// their parent's group.
func (g *cgroup) remove() {
	for range 50 {
		err := errors.Join(os.Remove(g.limit), os.Remove(g.count))
		if err == nil || errors.Is(err, os.ErrNotExist) {
			return
		}
		members, _ := os.ReadFile(filepath.Join(g.limit, "cgroup.procs")) // none is fine
		for _, member := range strings.Fields(string(members)) {
			if pid, err := strconv.Atoi(member); err == nil && pid > 0 {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}
