//go:build linux

// Network is a program of the appliance's image: it gives every network link its
// addresses, has the radio join its owner's networks, sets the clock, and tells others over a unix socket how that goes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/commandline"
	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/network/clock"
	"github.com/pushcam/pushcam/gokrazy/network/gadget"
	"github.com/pushcam/pushcam/gokrazy/network/link"
	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/network/wifi"
	"github.com/pushcam/pushcam/gokrazy/network/wpa"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	var usage usageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "network: %v; network -h lists the flags\n", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "network:", err)
		os.Exit(1)
	}
}

// usageError is what is wrong with the command line.
type usageError struct{ error }

// run is the whole program. It returns when ctx is done.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("network", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are printed once, by main
	socket := flags.String("socket", status.Socket, "where the status is served, a unix `socket`")
	resolvConf := flags.String("resolv-conf", "/tmp/resolv.conf", "the `file` that the name servers go to")
	root := flags.String("root", "/", "the `folder` below which the settings and the system's files are")
	supplicant := flags.String("supplicant", wpa.Path, "the `program` wpa_supplicant")
	setClock := flags.Bool("clock", true, "set the computer's clock by time servers")
	commandline.Explain(flags)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stdout, "network gives every network link of the appliance its addresses, and sets the clock.")
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return nil
	}
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("this program takes flags only, not %q", flags.Arg(0))
	}
	if err != nil {
		return usageError{err}
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	server := new(status.Server)
	radio := &wifi.Manager{Root: device.Root(*root), Supplicant: *supplicant, Status: server, Log: log}
	server.Reload = radio.Reload
	radio.Portal = (&setUp{root: device.Root(*root), reload: radio.Reload, rename: unix.Sethostname, log: log}).serve
	links := &link.Manager{Hostname: hostname, ResolvConf: *resolvConf, Status: server, Serves: radio.Serves, Log: log}
	cable := &gadget.Link{Product: hostname(), Log: log}
	timekeeper := &clock.Clock{NotBefore: made(), Log: log}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Run(ctx, *socket) })
	if *setClock {
		group.Go(func() error { timekeeper.Run(ctx, server); return nil })
	}
	group.Go(func() error { return links.Run(ctx) })
	group.Go(func() error {
		if _, err := device.LockText(); err != nil {
			log.Warn("this program stops when the card does", "err", err)
		}
		return nil
	})
	group.Go(func() error { cable.Run(ctx); return nil })
	group.Go(func() error { radio.Run(ctx); return nil })
	return group.Wait()
}

// made is the time of the image's commit, which its files have. It is zero if it is not
// known.
func made() time.Time {
	path, err := os.Executable()
	if err != nil {
		return time.Time{}
	}
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
