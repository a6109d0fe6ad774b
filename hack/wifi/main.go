//go:build linux

// Command wifi builds the image's wpa_supplicant from Debian's source, and takes the
// regulatory database from Debian, and compares both, byte for byte, with what is
// committed in gokrazy/network/wpa.
//
//	go run ./hack/wifi            # the committed versions; fails if a byte differs
//	go run ./hack/wifi -newest    # the newest that Debian has, and what they would change
//	go run ./hack/wifi -write     # commit what was built: put it into the checkout
//
// It takes a minute, and has an apt-get with lists of its own. What Debian serves no
// longer cannot be compared; then it builds the newest, and says so.
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

	"github.com/pushcam/pushcam/gokrazy/network/wpa"
	"github.com/pushcam/pushcam/hack/rebuild"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	newest := flag.Bool("newest", false, "build the newest versions that Debian has")
	write := flag.Bool("write", false, "put what was built into the checkout")
	dir := flag.String("dir", "", "the `folder` to build in; .cache beside this program if empty")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "wifi: %q is not understood; -h shows what is\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := run(ctx, *dir, *newest, *write); err != nil {
		fmt.Fprintln(os.Stderr, "wifi:", err)
		os.Exit(1)
	}
}

const (
	configFile = wpa.Dir + "/build/wpa.config"
	sourceFile = wpa.Dir + "/build/source.json"
)

// generated are the files in a checkout that a build makes.
var generated = rebuild.Files{wpa.Dir + "/wpa_supplicant", wpa.Dir + "/regulatory.db*", sourceFile}

func run(ctx context.Context, dir string, newest, write bool) error {
	checkout, err := rebuild.Checkout(ctx)
	if err != nil {
		return err
	}
	if dir == "" {
		dir = filepath.Join(checkout, "hack/wifi/.cache")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	recorded, err := readSource(filepath.Join(checkout, sourceFile))
	if err != nil {
		return err
	}
	if err := rebuild.Install(ctx, tools); err != nil {
		return err
	}
	b := &builder{config: filepath.Join(checkout, configFile), dir: dir}
	built, err := b.build(ctx, recorded, newest)
	if err != nil {
		return err
	}
	changes, err := generated.Compare(b.result(), checkout)
	if err != nil {
		return err
	}
	differ := built.differ(recorded)
	for _, d := range differ {
		fmt.Println(d)
	}
	fmt.Print(changes)
	switch {
	case write:
		return generated.Apply(b.result(), checkout)
	case len(changes.Differ) > 0 && len(differ) == 0:
		return errors.New("what was built is not what is committed")
	case len(changes.Differ) > 0 && !newest:
		return errors.New("what was built cannot be compared with what is committed: it was made of the versions above")
	}
	return nil
}
