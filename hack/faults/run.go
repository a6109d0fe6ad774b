package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/pushcam/pushcam/hack/gotest"
)

const module = "github.com/pushcam/pushcam/"

// commands run tests of a kind. What to run, and in which packages, is put behind them.
var commands = map[string][]string{
	"unit":        {"go", "test", "-json", "-race", "-count=1", "-timeout=3h"},
	"rig":         {"go", "run", "./hack/rig", "test", "-json", "-count=1", "-timeout=3h"},
	"conformance": {"go", "test", "-json", "-count=1", "-timeout=3h"},
	"e2e":         {"go", "test", "-json", "-count=1", "-timeout=3h", "-parallel=3"},
}

// long are put behind the packages: they ask for the tests that take too long for
// ./hack/test.
var long = map[string][]string{"e2e": {"-ota-all", "-ladder", "-setup-cuts=8", "-wifi"}}

// command runs the tests of some faults of one kind.
func command(kind string, faults []fault) []string {
	var tests, packages []string
	for _, f := range faults {
		if f.kind() == kind {
			tests, packages = append(tests, f.test), append(packages, "./"+f.pkg)
		}
	}
	if len(tests) == 0 {
		return nil
	}
	slices.Sort(tests)
	slices.Sort(packages)
	run := "-run=^(" + strings.Join(slices.Compact(tests), "|") + ")$"
	return slices.Concat(commands[kind], []string{run}, slices.Compact(packages), long[kind])
}

// runAll runs the tests of all faults, or of those kinds that are named, and says how
// each has ended.
func runAll(ctx context.Context, faults []fault, wanted []string, out io.Writer) error {
	for _, kind := range wanted {
		if !slices.Contains(kinds, kind) {
			return fmt.Errorf("%q is none of the kinds %s", kind, strings.Join(kinds, ", "))
		}
	}
	bad := 0
	for _, kind := range kinds {
		args := command(kind, faults)
		if args == nil || len(wanted) > 0 && !slices.Contains(wanted, kind) {
			continue
		}
		fmt.Fprintln(out, "\n"+strings.Join(args, " "))
		results := make(map[string]string)
		err := runOne(ctx, args, out, results)
		for _, f := range faults {
			if f.kind() != kind {
				continue
			}
			result, ok := results[f.pkg+"."+f.test]
			if !ok {
				result = "DID NOT RUN"
			}
			if result != "pass" {
				bad++
			}
			fmt.Fprintf(out, "%s: %s (%s, %s)\n", result, f.what, f.pkg, f.test)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d faults are not shown to be mended", bad, len(faults))
	}
	return nil
}

// runOne runs one command, and adds how its tests ended to results, by package and name.
func runOne(ctx context.Context, args []string, out io.Writer, results map[string]string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := gotest.Read(events, out, func(r *gotest.Result) {
		name := strings.TrimPrefix(r.Package, module) + "." + r.Test
		switch r.Action {
		case "pass":
			results[name] = "pass"
		case "skip":
			results[name] = "skipped: " + strings.TrimPrefix(r.Reason(), "skipped: ")
		default:
			results[name] = "FAIL"
			fmt.Fprint(out, r.Output)
		}
	})
	err = cmd.Wait()
	if failed := new(exec.ExitError); errors.As(err, &failed) && ctx.Err() == nil {
		err = nil // its tests say what failed, and those that are missing did not run
	}
	return errors.Join(readErr, err)
}
