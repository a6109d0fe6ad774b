//go:build linux

// Bench measures pushcam beside Debian's ustreamer and a bare writev loop, on
// one machine in one run, and says which of the product's numbers are reached:
//
//	go run ./hack/bench                    # everything, about 15 minutes
//	go run ./hack/bench -quick             # a look, about 4 minutes
//	go run ./hack/bench -only cost,links   # some of cost, links, readers, stall, matrix
//	go run ./hack/bench -glass             # slow readers, browsers, crowds, about 20 minutes
//	go run ./hack/bench -write             # and keep the figures in README.md
//	go run ./hack/bench -write -only pages # or those of one part of -glass
//
// It needs root, gcc, iproute2 and ustreamer, and with -glass also chromium, firefox-esr,
// webkit2gtk-driver, xvfb, matchbox-window-manager and qemu-user. Everything runs in network
// namespaces that end with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is the whole program. It is also each of the processes that this starts of
// itself.
func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch rest := args[1:]; args[0] {
		case "watch":
			var w watching
			if err := w.flags().Parse(rest); err != nil {
				return err
			}
			return w.watch(ctx, os.Stdin, os.Stdout)
		case "cell":
			return serveCell(ctx, os.Stdin, os.Stdout, os.Stderr)
		case "serve-writev":
			l, picture, err := listenAndRead(ctx, rest[0], rest[1])
			if err != nil {
				return err
			}
			return serveWritev(ctx, l, picture)
		case "serve-camera":
			l, picture, err := listenAndRead(ctx, rest[0], rest[1])
			if err != nil {
				return err
			}
			return serveCamera(ctx, l, picture, os.Stdin, os.Stdout)
		}
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	return o.measure(ctx, os.Stdout)
}

// sections are the parts that -only chooses from, beside glassSections.
var sections = []string{"cost", "links", "readers", "stall", "matrix"}

type options struct {
	quick   bool
	only    []string
	glass   bool
	write   bool
	repeats int
	wait    time.Duration
	match   *regexp.Regexp
	verbose bool
}

func parse(args []string) (*options, error) {
	o := new(options)
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.BoolVar(&o.quick, "quick", false, "one short look at everything; the figures are rough")
	all := slices.Concat(sections, glassSections)
	fs.BoolVar(&o.glass, "glass", false, "measure "+strings.Join(glassSections, ", ")+" instead")
	fs.Func("only", "measure only these `sections` of "+strings.Join(all, ","), func(s string) error {
		o.only = strings.Split(s, ",")
		for _, name := range o.only {
			if !slices.Contains(all, name) {
				return fmt.Errorf("there is no section %q", name)
			}
		}
		return nil
	})
	fs.BoolVar(&o.write, "write", false, "write the tables and plots into hack/bench")
	fs.IntVar(&o.repeats, "repeats", 3, "how `often` costs, links, browsers and pages are measured")
	fs.DurationVar(&o.wait, "wait", 2*time.Minute, "wait so `long` at most for an idle machine before each section")
	fs.Func("matrix", "of the matrix and the browsers, measure only what has a name that matches the regular `expression`", func(s string) (err error) {
		o.match, err = regexp.Compile(s)
		return err
	})
	fs.BoolVar(&o.verbose, "v", false, "show what servers log")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case fs.NArg() > 0:
		return nil, fmt.Errorf("bench takes flags only, not %q", fs.Arg(0))
	case o.repeats < 1:
		return nil, fmt.Errorf("-repeats is at least 1, not %d", o.repeats)
	}
	if o.only == nil {
		if o.only = sections; o.glass {
			o.only = glassSections
		}
	}
	if r := (results{only: o.only}); o.write && (o.match != nil || slices.Contains(r.parts(), "bench") && !r.isWhole()) {
		return nil, fmt.Errorf("-write keeps all of %s together; leave -matrix out, and -only or name only some of %s", strings.Join(sections, ","), strings.Join(glassSections, ","))
	}
	return o, nil
}

// A bench is one run.
type bench struct {
	module     string // folder of the checkout
	tools      *tools
	home       *thread
	proc       proc
	out        io.Writer
	wait       time.Duration
	repeats    int
	costTime   time.Duration // of each measurement of cost
	linkTime   time.Duration // of each link
	conditions []condition
	glassCases []glassCase
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.out, format+"\n", args...) }

// measure measures the chosen sections, and reports.
func (o *options) measure(ctx context.Context, out io.Writer) error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root; run it as root")
	}
	needs := []struct{ program, pkg string }{
		{"ustreamer", "ustreamer"}, {"gcc", "gcc"}, {"ip", "iproute2"}, {"tc", "iproute2"}, {"go", "golang"},
	}
	if slices.Contains(o.only, "browsers") {
		needs = append(needs, []struct{ program, pkg string }{
			{"Xvfb", "xvfb"}, {"matchbox-window-manager", "matchbox-window-manager"},
			{"chromium", "chromium"}, {"firefox-esr", "firefox-esr"}, {"WebKitWebDriver", "webkit2gtk-driver"},
		}...)
	}
	for _, need := range needs {
		if _, err := exec.LookPath(need.program); err != nil {
			return fmt.Errorf("%s is missing; apt-get install %s", need.program, need.pkg)
		}
	}
	module, err := moduleDir(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	log := io.Discard
	if o.verbose {
		log = os.Stderr
	}
	fmt.Fprintln(out, "building …")
	t, err := newTools(ctx, dir, module, log)
	if err != nil {
		return err
	}
	b := &bench{tools: t, home: newThread(), out: out, wait: o.wait, repeats: o.repeats,
		costTime: 5 * time.Second, linkTime: 15 * time.Second, conditions: conditions(), glassCases: glassCases()}
	defer b.home.close()
	if o.quick {
		b.repeats, b.costTime, b.linkTime, b.conditions = 1, 3*time.Second, 10*time.Second, quickConditions()
	}
	if o.match != nil {
		b.conditions = slices.DeleteFunc(b.conditions, func(c condition) bool { return !o.match.MatchString(c.String()) })
		b.glassCases = slices.DeleteFunc(b.glassCases, func(c glassCase) bool { return !o.match.MatchString(c.String()) })
		if !(slices.Contains(o.only, "matrix") && len(b.conditions) > 0 || slices.Contains(o.only, "browsers") && len(b.glassCases) > 0) {
			return fmt.Errorf("nothing of the matrix or the browsers is called like %q", o.match)
		}
	}
	b.module = module
	r, err := b.sections(ctx, o.only)
	if err != nil {
		return err
	}
	r.only, r.about = o.only, about(ctx, o, b, module)
	for _, name := range r.parts() {
		fmt.Fprintf(out, "\n%s", r.part(name))
	}
	if o.write {
		return r.write(filepath.Join(module, "hack", "bench"))
	}
	return nil
}

// sections measures one section after the other. Before each it waits for the machine
// to be idle.
func (b *bench) sections(ctx context.Context, names []string) (r results, err error) {
	r.busy = make(map[string]float64)
	for _, name := range names {
		if r.busy[name], err = b.awaitIdle(ctx); err != nil {
			return r, err
		}
		b.say("\n%s (the machine was %.0f %% busy)", name, 100*r.busy[name])
		switch name {
		case "cost":
			r.costs, err = b.measureCosts(ctx)
		case "links":
			r.links, err = b.measureLinks(ctx)
		case "readers":
			r.readers, err = b.measureReaders(ctx)
		case "stall":
			r.stalls, err = b.measureStalls(ctx)
		case "matrix":
			r.cells, err = b.measureMatrix(ctx)
		case "slow":
			r.slow, err = b.measureSlow(ctx)
		case "browsers":
			r.glass, r.faults, err = b.measureBrowsers(ctx)
		case "pages":
			r.pages, err = b.measurePages(ctx)
		case "many":
			var run crowdRun
			run, err = b.measureCrowd(ctx, crowdMany, false, crowdPicture)
			r.many = append(r.many, run)
		case "instructions":
			r.instructions, err = b.measureInstructions(ctx, b.module)
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// idleShare is the share of its time that an idle machine is busy.
const idleShare = 0.05

// awaitIdle waits until other programs leave the machine alone, for some time at most.
// It returns the share of the machine that they took last.
func (b *bench) awaitIdle(ctx context.Context) (busy float64, err error) {
	for begin := time.Now(); ; {
		idle, all, err := b.proc.idle()
		if err != nil {
			return 0, err
		}
		if err := sleep(ctx, 2*time.Second); err != nil {
			return 0, err
		}
		idleThen, allThen, err := b.proc.idle()
		if err != nil {
			return 0, err
		}
		busy = 1 - float64(idleThen-idle)/float64(max(allThen-all, 1))
		if busy < idleShare || time.Since(begin) > b.wait {
			return busy, nil
		}
	}
}

// moduleDir is the root of the checkout.
func moduleDir(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/pushcam/pushcam").Output()
	if err != nil {
		return "", fmt.Errorf("find the checkout (run bench inside it): %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
