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
	"path/filepath"

	"github.com/pushcam/pushcam/hack/rebuild"
)

func main() {
	hwsim := flag.Bool("hwsim", false, "build only the modules of hack/hwsim, for the committed kernel")
	rebuild.Main("kernel", tools, func(ctx context.Context, o rebuild.Options) error { return run(ctx, o, *hwsim) })
}

// Where the parts are in a checkout.
const (
	kernelDir = "gokrazy/kernel"
	recipeDir = "gokrazy/kernel/build"
	vcsimDir  = "hack/vcsim"
)

func run(ctx context.Context, o rebuild.Options, hwsim bool) error {
	recorded, err := rebuild.ReadRecord[source](filepath.Join(o.Checkout, recipeDir, "source.json"))
	if err != nil {
		return err
	}
	source, err := choose(ctx, recorded, o.Newest)
	if err != nil {
		return err
	}
	b := &builder{checkout: o.Checkout, dir: o.Dir}
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
	changes, err := compare(files, b.result(), o.Checkout)
	if err != nil {
		return err
	}
	fmt.Print(changes)
	switch {
	case o.Write:
		return files.Apply(b.result(), o.Checkout)
	case len(changes.Differ) > 0 && source.Version == recorded.Version:
		return errors.New("what was built is not what is committed")
	}
	return nil
}
