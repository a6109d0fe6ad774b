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
	"fmt"
	"path/filepath"

	"github.com/pushcam/pushcam/gokrazy/network/wpa"
	"github.com/pushcam/pushcam/hack/rebuild"
)

func main() { rebuild.Main("wifi", tools, run) }

const (
	configFile = wpa.Dir + "/build/wpa.config"
	sourceFile = wpa.Dir + "/build/source.json"
)

// generated are the files in a checkout that a build makes.
var generated = rebuild.Files{wpa.Dir + "/wpa_supplicant", wpa.Dir + "/regulatory.db*", sourceFile}

func run(ctx context.Context, o rebuild.Options) error {
	recorded, err := rebuild.ReadRecord[source](filepath.Join(o.Checkout, sourceFile))
	if err != nil {
		return err
	}
	b := &builder{config: filepath.Join(o.Checkout, configFile), dir: o.Dir}
	built, err := b.build(ctx, recorded, o.Newest)
	if err != nil {
		return err
	}
	changes, err := generated.Compare(b.result(), o.Checkout)
	if err != nil {
		return err
	}
	differ := built.differ(recorded)
	for _, d := range differ {
		fmt.Println(d)
	}
	fmt.Print(changes)
	switch {
	case o.Write:
		return generated.Apply(b.result(), o.Checkout)
	case len(changes.Differ) > 0 && len(differ) == 0:
		return errors.New("what was built is not what is committed")
	case len(changes.Differ) > 0 && !o.Newest:
		return errors.New("what was built cannot be compared with what is committed: it was made of the versions above")
	}
	return nil
}
