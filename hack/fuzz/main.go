// Command fuzz runs all fuzz targets, and divides the time among them:
//
//	go run ./hack/fuzz -for 1h
//	go run ./hack/fuzz -for 10m ./camera ./gokrazy/setup
//
// What fails is written to the testdata/fuzz of its package, where go test finds it.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	length := flag.Duration("for", time.Minute, "how `long` in all, without the time to build")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *length, flag.Args(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// A target is a fuzz test.
type target struct{ pkg, name string }

var declared = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// targets finds those below root, in the order of their packages.
func targets(root string) (found []target, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name := filepath.Base(path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, m := range declared.FindAllSubmatch(text, -1) {
			found = append(found, target{"./" + filepath.ToSlash(folder), string(m[1])})
		}
		return nil
	})
	return found, err
}

// share is the time of each of n targets: go test counts whole seconds well only.
func share(length time.Duration, n int) time.Duration {
	return max(length/time.Duration(n), time.Second).Round(100 * time.Millisecond)
}

func run(ctx context.Context, length time.Duration, packages []string, out io.Writer) error {
	all, err := targets(".")
	if err != nil {
		return err
	}
	if len(packages) > 0 {
		all = slices.DeleteFunc(all, func(t target) bool { return !slices.Contains(packages, t.pkg) })
	}
	if len(all) == 0 {
		return errors.New("there is no fuzz target; start it in the root of the repository, with packages as ./camera")
	}
	each, failed := share(length, len(all)), 0
	for _, t := range all {
		said, err := t.run(ctx, each)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed++
			fmt.Fprintf(out, "FAILED %s %s: %v\n%s", t.pkg, t.name, err, said)
			continue
		}
		fmt.Fprintf(out, "%s %s: %s\n", t.pkg, t.name, progress(said))
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d targets failed", failed, len(all))
	}
	return nil
}

// run runs a target for some time. Making what is found smaller may take no more than
// that: by default it takes a minute for each input.
func (t target) run(ctx context.Context, length time.Duration) (said []byte, err error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-vet=off", "-run=^$", "-fuzz=^"+t.name+"$", "-fuzztime="+length.String(), "-fuzzminimizetime=1s", t.pkg)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	return cmd.CombinedOutput()
}

// progress is the last line that tells of executions.
func progress(said []byte) string {
	for _, line := range slices.Backward(bytes.Split(said, []byte("\n"))) {
		if _, text, ok := strings.Cut(string(line), "execs: "); ok {
			return text + " executions"
		}
	}
	return "too short to say"
}
