//go:build linux

// Command kernel builds the image's kernel from Debian's source and compares it,
// byte for byte, with what is committed in gokrazy/kernel and hack/vcsim.
//
//	go run ./hack/kernel            # the committed version; fails if a byte differs
//	go run ./hack/kernel -newest    # the newest that Debian has, and what it would change
//	go run ./hack/kernel -write     # commit what was built: put it into the checkout
//
// It takes 12 minutes on two processors and 4 GB of disk. A version that Debian
// serves no longer cannot be built; then it builds the newest, and says so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	newest := flag.Bool("newest", false, "build the newest version that Debian has")
	write := flag.Bool("write", false, "put what was built into the checkout")
	dir := flag.String("dir", "", "the `folder` to build in; .cache beside this program if empty")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "kernel: %q is not understood; -h shows what is\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := run(ctx, *dir, *newest, *write); err != nil {
		fmt.Fprintln(os.Stderr, "kernel:", err)
		os.Exit(1)
	}
}

// Where the parts are in a checkout.
const (
	kernelDir = "gokrazy/kernel"
	recipeDir = "gokrazy/kernel/build"
	vcsimDir  = "hack/vcsim"
)

func run(ctx context.Context, dir string, newest, write bool) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("look for the checkout: %w", err)
	}
	checkout := string(out[:len(out)-1])
	if dir == "" {
		dir = filepath.Join(checkout, "hack/kernel/.cache")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	recorded, err := readSource(filepath.Join(checkout, recipeDir, "source.json"))
	if err != nil {
		return err
	}
	if err := install(ctx); err != nil {
		return err
	}
	source, err := choose(ctx, recorded, newest)
	if err != nil {
		return err
	}
	b := &builder{checkout: checkout, dir: dir}
	if err := b.fetch(ctx, &source); err != nil {
		return err
	}
	if err := b.build(ctx, source); err != nil {
		return err
	}
	changes, err := compare(b.result(), checkout)
	if err != nil {
		return err
	}
	fmt.Print(changes)
	switch {
	case write:
		return apply(b.result(), checkout)
	case len(changes.files) > 0 && source.Version == recorded.Version:
		return errors.New("what was built is not what is committed")
	}
	return nil
}
