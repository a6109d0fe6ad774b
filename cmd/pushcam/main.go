// Pushcam captures JPEG frames from a camera and pushes them to browsers and
// players over HTTP. On a Raspberry Pi it is the appliance's one program; on
// any other computer it serves a webcam, or a test pattern.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

func main() {
	// A log that nobody reads any more is no reason to end: without this a write to a
	// closed pipe would (os/signal, SIGPIPE).
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(exitCode(run(ctx, "/", os.Args[1:], os.Getenv, os.Stdout, os.Stderr)))
}

// run is the whole program, on the system whose files are below root. It prints
// where to look on stdout and logs on stderr, and returns when ctx is done and
// everything is given back.
func run(ctx context.Context, root device.Root, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	var card setup.Setup
	if root.Gokrazy() {
		card = loadSetup(root)
	}
	c, err := parse(root, args, getenv, card, stdout, stderr)
	if err != nil {
		return err
	}
	if c.version {
		_, err := fmt.Fprintln(stdout, programInfo())
		return err
	}
	return serve(ctx, c, stdout, stderr)
}
