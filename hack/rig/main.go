//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

const usage = `usage:
  rig test [go test flags] [packages]   run tests in the virtual machine (default ./camera/... ./cmd/pushcam ./gpio/... ./gokrazy/network/...)
  rig exec BINARY [arguments]           run one program in it, for go test -exec
  rig setup                             make the machine, or renew it when Debian has a newer kernel`

// defaultPackages are tested if none are named: they have tests that need devices.
var defaultPackages = []string{"./camera/...", "./cmd/pushcam", "./gpio/...", "./gokrazy/network/..."}

func main() {
	// The kernel of the virtual machine starts this same program as its init.
	if os.Args[0] == guestInit {
		guestMain()
	}
	// QEMU is killed when the thread that started it ends (Pdeathsig), so that must be
	// the main thread.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	code, err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
	}
	os.Exit(code)
}

// run is main with its result: an exit status, and what to say about it.
func run(ctx context.Context, args []string) (int, error) {
	if len(args) == 0 {
		return 2, errors.New(usage)
	}
	if runtime.GOARCH != "amd64" {
		return 2, fmt.Errorf("the virtual machine is amd64 and runs this machine's binaries, which are %s: use an amd64 machine", runtime.GOARCH)
	}
	cache, err := cacheDir()
	if err != nil {
		return 2, err
	}
	set := setup{Dir: cache, Log: os.Stderr}
	switch cmd, rest := args[0], args[1:]; {
	case cmd == "setup" && len(rest) == 0:
		if err := set.Renew(ctx); err != nil {
			return 2, err
		}
		return 0, nil
	case cmd == "test":
		if err := set.Ensure(ctx); err != nil {
			return 2, err
		}
		return goTest(ctx, rest)
	case cmd == "exec" && len(rest) > 0:
		if runsNoTest(ctx, rest) {
			return finish(exec.CommandContext(ctx, rest[0], rest[1:]...)) // which says so
		}
		if err := set.Ensure(ctx); err != nil {
			return 2, err
		}
		return runVM(ctx, set.Kernel(), rest)
	}
	return 2, errors.New(usage)
}

// goTest runs go test with this program as its -exec.
func goTest(ctx context.Context, args []string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 2, err
	}
	// One package at a time, so that each has the machine's two processors for itself;
	// and only tests that need the machine, because emulation is slow.
	argv := append([]string{"test", "-p=1", "-count=1", "-run=^TestRig", "-exec='" + self + "' exec"}, args...)
	if !slices.ContainsFunc(args, isPackage) {
		argv = append(argv, defaultPackages...)
	}
	return finish(exec.CommandContext(ctx, "go", argv...))
}

// finish runs a command to its end, with this program's output, and returns its status.
func finish(cmd *exec.Cmd) (int, error) {
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return exit.ExitCode(), nil
	} else if err != nil {
		return 2, fmt.Errorf("%s: %w", filepath.Base(cmd.Path), err)
	}
	return 0, nil
}

// runsNoTest tells whether argv is a package's tests of which none is meant by -test.run, so
// that no machine has to boot for them.
func runsNoTest(ctx context.Context, argv []string) bool {
	for _, arg := range argv[1:] {
		if pattern, ok := strings.CutPrefix(arg, "-test.run="); ok {
			pattern, _, _ = strings.Cut(pattern, "/") // subtests are not listed
			names, err := exec.CommandContext(ctx, argv[0], "-test.list="+pattern).Output()
			return err == nil && len(names) == 0
		}
	}
	return false
}

// isPackage tells a package from a flag of go test or a flag's value.
func isPackage(arg string) bool {
	return arg == "." || strings.HasPrefix(arg, "./") || strings.HasPrefix(arg, "../") ||
		strings.HasPrefix(arg, "github.com/pushcam/pushcam")
}

// cacheDir is hack/rig/.cache of the checkout that has the working directory in it:
// go test -exec starts this program in the folder of the tested package.
func cacheDir() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		rig := filepath.Join(dir, "hack", "rig")
		if _, err := os.Stat(filepath.Join(rig, "doc.go")); err == nil {
			return filepath.Join(rig, ".cache"), nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not inside a checkout of pushcam: change into one", wd)
		}
	}
}
