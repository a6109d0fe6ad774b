package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A namespace is a computer of its own on the network. Nothing is left of it when its last
// process and its file are gone.
type namespace struct {
	t    *testing.T
	file *os.File
}

// A place is where programs run: on this computer, or on one of a test's own.
type place interface {
	do(f func() error) error
	start(cmd *exec.Cmd) error
}

// here is this computer.
type here struct{}

func (here) do(f func() error) error   { return f() }
func (here) start(cmd *exec.Cmd) error { return cmd.Start() }

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n := &namespace{t: t}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.file, err = os.Open("/proc/thread-self/ns/net")
		}
		made <- err
	}()
	if err := <-made; err != nil {
		missing(t, fmt.Sprintf("a network namespace (%v), which only root may make,", err))
	}
	t.Cleanup(func() { n.file.Close() })
	return n
}

// path is where other processes find it.
func (n *namespace) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

// do runs f there. Processes that f starts, and sockets that it opens, stay there.
func (n *namespace) do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever
		err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

func (n *namespace) start(cmd *exec.Cmd) error { return n.do(cmd.Start) }

func (n *namespace) ip(args string) {
	n.t.Helper()
	err := n.do(func() error {
		said, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return err
	})
	if err != nil {
		n.t.Fatalf("ip %s: %v", args, err)
	}
}

// program is the path of one that starts another there, with the same arguments.
func (n *namespace) program(name string) (path string) {
	n.t.Helper()
	path = filepath.Join(n.t.TempDir(), name)
	script := fmt.Sprintf("#!/bin/sh\nexec nsenter --net=%s %s \"$@\"\n", n.path(), name)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		n.t.Fatal(err)
	}
	return path
}
