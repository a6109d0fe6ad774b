//go:build linux

package rebuild

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// Options are what such a program is told.
type Options struct {
	Checkout string // the folder of the checkout
	Dir      string // the folder to build in
	Newest   bool   // build the newest version that Debian has
	Write    bool   // put what was built into the checkout
}

// Main is the main of the program hack/name, which may have defined flags of its own
// before. It installs the packages of Debian that are missing before it calls run.
func Main(name string, packages []string, run func(context.Context, Options) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o Options
	flag.BoolVar(&o.Newest, "newest", false, "build the newest version that Debian has")
	flag.BoolVar(&o.Write, "write", false, "put what was built into the checkout")
	flag.StringVar(&o.Dir, "dir", "", "the `folder` to build in; .cache beside this program if empty")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "%s: %q is not understood; -h shows what is\n", name, flag.Arg(0))
		os.Exit(2)
	}
	err := o.locate(ctx, name)
	if err == nil {
		err = Install(ctx, packages)
	}
	if err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func (o *Options) locate(ctx context.Context, name string) (err error) {
	if o.Checkout, err = Checkout(ctx); err != nil {
		return err
	}
	if o.Dir == "" {
		o.Dir = filepath.Join(o.Checkout, "hack", name, ".cache")
	}
	o.Dir, err = filepath.Abs(o.Dir)
	return err
}

// ReadRecord reads what a build was made from, as WriteRecord wrote it.
func ReadRecord[T any](path string) (record T, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return record, err
	}
	if err := json.Unmarshal(text, &record); err != nil {
		return record, fmt.Errorf("%s: %w", path, err)
	}
	return record, nil
}

// WriteRecord writes a record as JSON for people.
func WriteRecord(path string, record any) error {
	text, err := json.MarshalIndent(record, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
