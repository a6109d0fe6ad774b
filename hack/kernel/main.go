//go:build linux

// Command kernel builds the image's kernel from Debian's source and compares it,
// byte for byte, with what is committed in gokrazy/kernel, hack/vcsim and hack/hwsim.
//
//	go run ./hack/kernel            # the committed version; fails if a byte differs
//	go run ./hack/kernel -newest    # the newest that Debian has, and what it would change
//	go run ./hack/kernel -write     # commit what was built: put it into the checkout
//	go run ./hack/kernel -hwsim     # only the modules of hack/hwsim, in a few minutes
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
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/pushcam/pushcam/hack/rebuild"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	newest := flag.Bool("newest", false, "build the newest version that Debian has")
	write := flag.Bool("write", false, "put what was built into the checkout")
	hwsim := flag.Bool("hwsim", false, "build only the modules of hack/hwsim, for the committed kernel")
	dir := flag.String("dir", "", "the `folder` to build in; .cache beside this program if empty")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "kernel: %q is not understood; -h shows what is\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := run(ctx, *dir, *newest, *write, *hwsim); err != nil {
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

func run(ctx context.Context, dir string, newest, write, hwsim bool) error {
	checkout, err := rebuild.Checkout(ctx)
	if err != nil {
		return err
	}
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
	if err := rebuild.Install(ctx, tools); err != nil {
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
	files := generated
	switch {
	case !hwsim:
		err = b.build(ctx, source)
	case source.Version != recorded.Version:
		err = errors.New("the modules must be of the same source as the committed kernel")
	default:
		files, err = hwsimFiles, b.packHwsim(b.maker(ctx, source))
	}
	if err != nil {
		return err
	}
	changes, err := compare(files, b.result(), checkout)
	if err != nil {
		return err
	}
	fmt.Print(changes)
	switch {
	case write:
		return files.Apply(b.result(), checkout)
	case len(changes.Differ) > 0 && source.Version == recorded.Version:
		return errors.New("what was built is not what is committed")
	}
	return nil
}
