// Command fuzz runs all fuzz targets, and divides the time among them:
//
//	go run ./hack/fuzz -for 1h
//	go run ./hack/fuzz -for 10m ./camera ./gokrazy/setup
//
//	go run ./hack/fuzz -within 75s     # some of them, other ones for each commit
//
// What fails is written to the testdata/fuzz of its package, where go test finds it.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
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
	within := flag.Duration("within", 0, "take so `long` with the time to build, for as many targets as that is enough for; each commit begins with another one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	all, err := chosen(flag.Args())
	if err == nil && *within > 0 {
		err = fuzzSome(ctx, all, *within, os.Stdout)
	} else if err == nil {
		_, err = fuzz(ctx, all, share(*length, len(all)), os.Stdout)
	}
	if err != nil {
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

// chosen are the targets of the packages that are named, or all.
func chosen(packages []string) ([]target, error) {
	all, err := targets(".")
	if err != nil {
		return nil, err
	}
	if len(packages) > 0 {
		all = slices.DeleteFunc(all, func(t target) bool { return !slices.Contains(packages, t.pkg) })
	}
	if len(all) == 0 {
		return nil, errors.New("there is no fuzz target; start it in the root of the repository, with packages as ./camera")
	}
	return all, nil
}

// fuzz runs targets for some time each, and returns how many it has begun.
func fuzz(ctx context.Context, all []target, each time.Duration, out io.Writer) (begun int, err error) {
	failed := 0
	for _, t := range all {
		if ctx.Err() != nil {
			break
		}
		begun++
		said, err := t.run(ctx, each)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			failed++
			fmt.Fprintf(out, "FAILED %s %s: %v\n%s", t.pkg, t.name, err, said)
		default:
			fmt.Fprintf(out, "%s %s: %s\n", t.pkg, t.name, progress(said))
		}
	}
	if failed > 0 {
		return begun, fmt.Errorf("%d of %d targets failed", failed, begun)
	}
	return begun, ctx.Err()
}

// someTime is for each target of fuzzSome. To build the first one of a package may take ten
// times as long.
const someTime = 3 * time.Second

// fuzzSome runs as many targets as there is time for, from the one on whose turn it is.
func fuzzSome(ctx context.Context, all []target, within time.Duration, out io.Writer) error {
	commit, err := exec.CommandContext(ctx, "git", "rev-parse", "HEAD").Output()
	if err != nil { // it is not under git: each day has its targets
		commit = []byte(time.Now().Format(time.DateOnly))
	}
	some, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	begun, err := fuzz(some, turn(all, commit), someTime, out)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	fmt.Fprintf(out, "%d of %d targets had their turn\n", begun, len(all))
	return err
}

// turn begins with another target for each commit.
func turn(all []target, commit []byte) []target {
	h := fnv.New32a()
	h.Write(commit)
	first := int(h.Sum32() % uint32(len(all)))
	return slices.Concat(all[first:], all[:first])
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
