// Command faults makes the table of hack/faults/README.md from the tests, and runs those
// that it names.
//
//	go run ./hack/faults               # writes the table
//	go run ./hack/faults -all          # runs all tests of the table, which takes hours
//	go run ./hack/faults -all unit rig # or those of some kinds
//
// A test says with t.Attr("fault", …) what it shows; see parseFault.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/pushcam/pushcam/hack/gotest"
)

// page is below the root of the repository, which is the current folder.
const page = "hack/faults/README.md"

func main() {
	all := flag.Bool("all", false, "run the tests of the table, or of the kinds that are named")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *all, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, all bool, kinds []string) error {
	faults, err := collect(".")
	if err != nil {
		return err
	}
	if all {
		return runAll(ctx, faults, kinds, os.Stdout)
	}
	if len(kinds) > 0 {
		return fmt.Errorf("%q is only for -all", kinds)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	if text, err = gotest.ReplaceTable(text, table(faults)); err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(filepath.FromSlash(page), text, 0o644)
}
