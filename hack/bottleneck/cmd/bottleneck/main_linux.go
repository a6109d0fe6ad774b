// Command bottleneck runs a server and a client at the two ends of an emulated
// link, and says what the link did. It needs root. To look at 3 s of pushcam
// over 4 Mbit/s that become 1 Mbit/s:
//
//	bottleneck -rate 4 -rtt 20ms -buffer 1s -then 2s -then-rate 1 \
//		-server 'pushcam -source pattern -listen 10.77.0.1:80' \
//		curl --retry-connrefused --retry 5 --max-time 3 -so stream.mjpeg http://10.77.0.1/stream
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/pushcam/pushcam/hack/bottleneck"
)

// grace is how long the server has to end itself.
const grace = 5 * time.Second

type config struct {
	path   bottleneck.Path
	then   bottleneck.Path
	after  time.Duration // when then holds; 0 for never
	server string
	client []string
}

func main() {
	c, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bottleneck:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := c.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func parse(args []string) (config, error) {
	var c config
	flags := flag.NewFlagSet("bottleneck", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "usage: bottleneck [flags] client command\n\nThe server is at %s, the client at %s.\n\n",
			bottleneck.ServerAddr, bottleneck.ClientAddr)
		flags.PrintDefaults()
	}
	rate := flags.Float64("rate", 0, "`Mbit/s` from server to client, 0 for no limit")
	rtt := flags.Duration("rtt", 0, "round trip of the empty link")
	buffer := flags.Duration("buffer", 200*time.Millisecond, "how long a full buffer takes to empty at -rate")
	loss := flags.Float64("loss", 0, "`percent` of data packets lost at random")
	flags.DurationVar(&c.after, "then", 0, "when the link changes, 0 for never")
	thenRate := flags.Float64("then-rate", -1, "`Mbit/s` from then on, if not negative")
	thenRTT := flags.Duration("then-rtt", -1, "round trip from then on, if not negative")
	flags.StringVar(&c.server, "server", "", "shell `command` that runs at the server's end")
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	switch {
	case *rate < 0 || *rtt < 0 || *buffer < 0 || c.after < 0:
		return config{}, errors.New("-rate, -rtt, -buffer and -then must not be negative")
	case *loss < 0 || *loss > 100:
		return config{}, fmt.Errorf("-loss %v is not between 0 and 100 percent", *loss)
	case flags.NArg() == 0:
		return config{}, errors.New("no client command; -h shows how to give one")
	}
	c.client = flags.Args()
	c.path = bottleneck.Path{
		Rate: *rate * 1e6, Buffer: bottleneck.BufferFor(*rate*1e6, *buffer), RTT: *rtt, Loss: *loss / 100,
	}
	c.then = c.path
	if *thenRate >= 0 {
		c.then.Rate = *thenRate * 1e6
	}
	if *thenRTT >= 0 {
		c.then.RTT = *thenRTT
	}
	return c, nil
}

// run runs the client until it ends or ctx is done, and the server as long.
func (c config) run(ctx context.Context) (err error) {
	bottleneck.RealTime()
	link, err := bottleneck.New(c.path)
	if err != nil {
		return err
	}
	defer func() {
		s := link.Stats()
		fmt.Fprintf(os.Stderr, "bottleneck: %d packets to the client, %d dropped, at worst %v late\n", s.Packets, s.Dropped, s.Late)
		err = errors.Join(err, link.Close())
	}()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if c.server != "" {
		server := command(ctx, "sh", "-c", "exec "+c.server)
		if err := link.Server.Do(server.Start); err != nil {
			return fmt.Errorf("start server: %w", err)
		}
		defer func() {
			stop()
			server.Wait() // ends as we asked it to
		}()
	}
	if c.after > 0 {
		defer time.AfterFunc(c.after, func() { link.Set(c.then) }).Stop()
	}
	client := command(ctx, c.client[0], c.client[1:]...)
	if err := link.Client.Do(client.Start); err != nil {
		return fmt.Errorf("start client: %w", err)
	}
	if err := client.Wait(); err != nil {
		return fmt.Errorf("client %s: %w", c.client[0], err)
	}
	return nil
}

// command is asked to end when ctx is done, and is ended after the grace.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	return cmd
}
