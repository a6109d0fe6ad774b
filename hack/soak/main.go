//go:build linux

// Command soak runs the program for a long time under viewers that come, go, stall and
// abort, with a camera that fails and a clock that jumps now and then, and looks whether
// anything grows:
//
//	sudo go run ./hack/soak -for 1h -plot soak.svg
//
// Another viewer watches all the while, and takes nothing that is damaged. The program
// is that of this checkout, on this computer. For root it is as on an appliance, and its
// owner changes settings all the while.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	s := soak{clocks: true}
	flag.DurationVar(&s.length, "for", 10*time.Minute, "how `long`")
	flag.IntVar(&s.visitors, "visitors", 40, "how many come and go at a time")
	flag.DurationVar(&s.every, "every", 5*time.Second, "time between two samples")
	flag.Uint64Var(&s.seed, "seed", uint64(time.Now().UnixNano()), "begin of the random numbers")
	svg := flag.String("plot", "", "a `file` for the plot, as SVG")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &s, *svg, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s *soak, svg string, out io.Writer) error {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s.dir, s.out = dir, out
	fmt.Fprintf(out, "%v, %d visitors, -seed %d\n", s.length, s.visitors, s.seed)
	r, err := s.run(ctx)
	if err != nil {
		return err
	}
	r.print(out)
	if svg != "" {
		if err := os.WriteFile(svg, []byte(r.plot().SVG()), 0o644); err != nil {
			return err
		}
	}
	return r.judge()
}
