// Command check runs everything that must hold before a change lands, and says
// at the end what ran and what was skipped and why. hack/test starts it.
//
//	go run ./hack/check            # all steps but the rare ones
//	go run ./hack/check -list      # what the steps are
//	go run ./hack/check unit rig   # some of them
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A step is one command. Its kind says how its output is judged.
type step struct {
	name string
	what string
	args []string
	env  []string
	kind kind
	rare bool // runs only when it is named
}

type kind int

const (
	quiet   kind = iota // passes when it exits with 0
	silent              // and prints nothing
	goTests             // go test -json
)

// patience ends tests that hang. It is long because a busy machine takes ten times as
// long for them.
const patience = "-timeout=3h"

// unwatched has the race detector leave alone what only computes: with it, hashing a
// password takes ten times as long. A package in which anything of sync or sync/atomic is
// called must not stand here, because the detector would miss what it orders.
var unwatched = []string{
	"-gcflags=golang.org/x/crypto/blowfish=-race=false",
	"-gcflags=image/color=-race=false",
	"-gcflags=image/draw=-race=false",
	"-gcflags=image/jpeg=-race=false",
}

var steps = []step{
	{name: "format", what: "gofmt changes nothing", args: []string{"gofmt", "-l", "camera", "cmd", "gpio", "gokrazy", "hack", "pusher"}, kind: silent},
	{name: "vet", what: "go vet", args: []string{"go", "vet", "./..."}},
	{name: "vet-init", what: "go vet of the image's init, which is a module of its own", args: []string{"go", "-C", "gokrazy/pushcam/builddir", "vet", "./init"}},
	{name: "staticcheck", what: "staticcheck", args: []string{"go", "tool", "staticcheck", "./..."}},
	{name: "no-cgo", what: "the programs compile without cgo", args: []string{"go", "vet", "./cmd/..."}, env: []string{"CGO_ENABLED=0"}},
	{name: "darwin", what: "compiles for macOS", args: []string{"go", "vet", "./cmd/..."}, env: []string{"GOOS=darwin", "GOARCH=arm64"}},
	{name: "windows", what: "compiles for Windows", args: []string{"go", "vet", "./cmd/..."}, env: []string{"GOOS=windows"}},
	{name: "unit", what: "unit tests, with the race detector", args: slices.Concat([]string{"go", "test", "-json", "-race", patience}, unwatched, []string{"./camera/...", "./cmd/...", "./gpio/...", "./gokrazy/...", "./pusher/...", "./hack/bench/...", "./hack/bottleneck/...", "./hack/check/...", "./hack/faults", "./hack/fuzz", "./hack/gotest", "./hack/e2e/pictures", "./hack/hwsim", "./hack/kernel", "./hack/plot", "./hack/release", "./hack/soak", "./hack/wifi"}), kind: goTests},
	{name: "conformance", what: "real browsers and players", args: []string{"go", "test", "-json", "-count=1", patience, "./hack/conformance/..."}, kind: goTests},
	{name: "fresh", what: "the age of frames behind an emulated bottleneck", args: []string{"go", "test", "-json", "-count=1", patience, "-parallel=6", "-run=TestFreshness|TestSlowReaders", "./pusher"}, env: []string{"PUSHCAM_FRESHNESS=1"}, kind: goTests},
	// The machine mostly waits for cameras, so two packages have one each at a time.
	{name: "rig", what: "real kernel devices in a virtual machine", args: []string{"go", "run", "./hack/rig", "test", "-json", "-p=2", "-count=1", patience, "./camera/...", "./cmd/pushcam", "./gpio/...", "./gokrazy/network/..."}, kind: goTests},
	{name: "machine", what: "the virtual machine itself", args: []string{"go", "test", "-json", "-count=1", patience, "./hack/rig/..."}, kind: goTests},
	{name: "e2e", what: "the card image in a virtual machine", args: []string{"go", "test", "-json", "-count=1", patience, "-parallel=3", "./hack/e2e/..."}, kind: goTests},
	{name: "fuzz", what: "75 s of fuzzing some targets, other ones for each commit", args: []string{"go", "run", "./hack/fuzz", "-within=75s"}},
	{name: "kernel", what: "the kernel, built anew, is the committed one to the byte; takes 12 minutes", args: []string{"go", "run", "./hack/kernel"}, rare: true},
	{name: "wifi", what: "wpa_supplicant, built anew, is the committed one to the byte; takes a minute", args: []string{"go", "run", "./hack/wifi"}, rare: true},
}

func main() {
	list := flag.Bool("list", false, "list the steps and run none")
	flag.Parse()
	if *list {
		for _, s := range steps {
			what := s.what
			if s.rare {
				what += "; only by its name"
			}
			fmt.Printf("%-12s %s: %s\n", s.name, what, strings.Join(slices.Concat(s.env, s.args), " "))
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	chosen, err := choose(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(2)
	}
	if !run(ctx, chosen, os.Stdout) {
		os.Exit(1)
	}
}

// choose picks steps by name; no names mean all but the rare ones.
func choose(names []string) ([]step, error) {
	if len(names) == 0 {
		return slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return s.rare }), nil
	}
	var chosen []step
	for _, name := range names {
		i := slices.IndexFunc(steps, func(s step) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no step %q; -list shows them", name)
		}
		chosen = append(chosen, steps[i])
	}
	return chosen, nil
}

// run runs the steps in order, all of them even if one fails, and reports.
func run(ctx context.Context, steps []step, out io.Writer) (ok bool) {
	var total report
	for _, s := range steps {
		start := time.Now()
		fmt.Fprintf(out, "== %s: %s\n", s.name, s.what)
		before := total.failed()
		if err := s.run(ctx, &total, out); err != nil {
			fmt.Fprintf(out, "%s: %v\n", s.name, err)
			total.set(result{step: s.name, status: failed})
		} else if s.kind != goTests {
			total.set(result{step: s.name, status: passed})
		}
		verdict := "ok"
		if total.failed() > before {
			verdict = "FAILED"
		}
		fmt.Fprintf(out, "== %s: %s in %v\n", s.name, verdict, time.Since(start).Round(100*time.Millisecond))
		if ctx.Err() != nil {
			break
		}
	}
	total.print(out)
	return total.failed() == 0 && ctx.Err() == nil
}

// run runs one step; its error is about the step as a whole.
func (s step) run(ctx context.Context, total *report, out io.Writer) error {
	cmd := exec.CommandContext(ctx, s.args[0], s.args[1:]...)
	cmd.Env = append(os.Environ(), s.env...)
	if s.name == "unit" { // its files are small and many
		cmd.Env = append(cmd.Env, inMemory("/dev/shm")...)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	if s.kind != goTests {
		printed, err := cmd.CombinedOutput()
		out.Write(printed)
		if err == nil && s.kind == silent && len(printed) > 0 {
			err = fmt.Errorf("%s has something to say about these", s.args[0])
		}
		return err
	}
	var aside bytes.Buffer // what the go command writes beside the tests
	cmd.Stderr = &aside
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	before := total.failed()
	ran, readErr := total.read(s.name, events, out)
	err = cmd.Wait()
	out.Write(aside.Bytes())
	switch {
	case readErr != nil:
		return readErr
	case err != nil && total.failed() == before:
		return err // it failed before or beside its tests
	case ran == 0:
		return fmt.Errorf("no test ran")
	}
	return nil
}
