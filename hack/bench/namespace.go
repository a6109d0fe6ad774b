//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A place is where processes and sockets live: a network namespace of ours, or
// an end of an emulated link.
type place interface {
	// Do runs f on a thread inside: sockets that f opens and processes that it
	// starts stay there. One f runs at a time.
	Do(f func() error) error
}

// A thread is a place that is one thread of the operating system. Processes that it
// starts can be made to end with it (Pdeathsig).
type thread struct {
	work chan func()
	done chan struct{}
}

func newThread() *thread {
	t := &thread{work: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(t.done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for f := range t.work {
			f()
		}
	}()
	return t
}

func (t *thread) Do(f func() error) error {
	result := make(chan error)
	t.work <- func() { result <- f() }
	return <-result
}

// close ends the thread, after its processes.
func (t *thread) close() {
	close(t.work)
	<-t.done
}

// A namespace is a thread in a network of its own, which has a loopback device. The
// kernel removes the network with the last process and socket in it, so nothing is left
// behind even by a crash.
type namespace struct{ *thread }

// loopbackMTU is the kernel's own MTU of a loopback device. With 1500 instead it
// carries packets as a LAN does.
const loopbackMTU = 65536

// newNamespace makes a namespace whose loopback device has the mtu.
func newNamespace(ctx context.Context, mtu int) (*namespace, error) {
	n := &namespace{newThread()}
	err := n.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace (needs root): %w", err)
		}
		return nil
	})
	if err == nil {
		err = command(ctx, n, "ip", "link", "set", "lo", "up", "mtu", strconv.Itoa(mtu))
	}
	if err == nil {
		err = plainTCP(ctx, n, loopbackRoutes...)
	}
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// Routes of a loopback device, and of an end of an emulated link, as the kernel
// makes them.
var (
	loopbackRoutes = []string{
		"table local local 127.0.0.0/8 dev lo proto kernel scope host src 127.0.0.1",
		"table local local 127.0.0.1 dev lo proto kernel scope host src 127.0.0.1",
	}
	linkRoute = "10.77.0.0/24 dev link proto kernel scope link src "
)

// plainTCP makes TCP in a place as it is on Linux and gokrazy by default, whatever this
// machine's setting: with cubic, and without what was learnt from earlier connections.
// The congestion control is set by route, because a namespace's own setting takes only
// those that the machine allows to everybody.
func plainTCP(ctx context.Context, where place, routes ...string) error {
	err := where.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/tcp_no_metrics_save", []byte("1"), 0)
	})
	for _, route := range routes {
		args := append([]string{"route", "replace"}, strings.Fields(route+" congctl cubic")...)
		err = errors.Join(err, command(ctx, where, "ip", args...))
	}
	return err
}

// command runs a command in a place.
func command(ctx context.Context, where place, name string, args ...string) error {
	return where.Do(func() error {
		out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
		}
		return nil
	})
}

// newCable makes two namespaces with a cable between them, their device "link".
func newCable(ctx context.Context) (server, client *namespace, err error) {
	if server, err = newNamespace(ctx, loopbackMTU); err != nil {
		return nil, nil, err
	}
	if client, err = newNamespace(ctx, loopbackMTU); err != nil {
		server.close()
		return nil, nil, err
	}
	var path string
	err = client.Do(func() error {
		path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		return nil
	})
	steps := []struct {
		where *namespace
		args  string
	}{
		{server, "link add name link mtu 1500 type veth peer name link mtu 1500 netns " + path},
		{server, "addr add " + cableServer + "/24 dev link"},
		{client, "addr add " + cableClient + "/24 dev link"},
		{server, "link set dev link up"},
		{client, "link set dev link up"},
	}
	for _, s := range steps {
		if err == nil {
			err = command(ctx, s.where, "ip", strings.Fields(s.args)...)
		}
	}
	if err == nil {
		err = errors.Join(plainTCP(ctx, server, cableRoute+cableServer), plainTCP(ctx, client, cableRoute+cableClient))
	}
	if err != nil {
		server.close()
		client.close()
		return nil, nil, err
	}
	return server, client, nil
}

const (
	cableServer = "10.78.0.1"
	cableClient = "10.78.0.2"
	cableRoute  = "10.78.0.0/24 dev link proto kernel scope link src "
)

// limit makes a cable's device send at rate Mbit/s and queue at most 150 kB. verb is
// tc's: add the first time, then change.
func (n *namespace) limit(ctx context.Context, verb string, rate float64) error {
	return command(ctx, n, "tc", "qdisc", verb, "dev", "link", "root", "tbf",
		"rate", fmt.Sprintf("%gmbit", rate), "burst", "16k", "limit", "150k")
}

// grace is how long a process has to end itself when it is asked to.
const grace = 5 * time.Second

// start starts cmd in a place. When its context is done, cmd is asked to end. If this
// program ends before, the kernel kills cmd.
func start(where place, cmd *exec.Cmd) error {
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	// Pdeathsig is about the thread that started cmd, and Do's lives as long as the
	// place.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := where.Do(cmd.Start); err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return nil
}
