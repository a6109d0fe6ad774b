// Pushcamctl is the owner's tool on a PC: it makes the card image of a pushcam,
// writes it to a card, finds the pushcams on the network, updates them, shows by whose
// keys they take updates, makes their tokens, and shows what they log.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/pushcam/pushcam/gokrazy/commandline"
	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/image"
)

func main() {
	// A camera that was unplugged closes no connection: this ends it after 25 s.
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}
	lookup := func(ctx context.Context, host string) ([]netip.Addr, error) {
		all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		for i := range all {
			all[i] = all[i].Unmap()
		}
		return all, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	p := &program{
		self:  os.Args[0],
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		configDir:   os.UserConfigDir,
		askPassword: terminalPassword(os.Stdin, os.Stderr),
		browse:      new(discovery.Browser).Browse,
		lookup:      lookup,
		dial:        dialer.DialContext,
	}
	os.Exit(p.exitCode(p.run(ctx, os.Args[1:])))
}

// program is pushcamctl and what it talks to.
type program struct {
	self           string // how it was called
	stdin          io.Reader
	stdout, stderr io.Writer
	configDir      func() (string, error) // where the user's settings are
	system         image.System
	askPassword    func(ctx context.Context, prompt string) (string, error) // nil: there is no terminal
	browse         func(context.Context) ([]discovery.Found, error)         // as long as its context lasts
	lookup         func(ctx context.Context, host string) ([]netip.Addr, error)
	dial           func(ctx context.Context, network, address string) (net.Conn, error)
}

// A command is the first argument. prepare defines its flags, and returns what is run
// when they are parsed.
type command struct {
	name     string
	operands string // what follows the flags, for -h
	what     string
	prepare  func(*program, *flag.FlagSet) (run func(ctx context.Context, operands []string) error)
}

var commands = []command{
	{"image", "", "makes a card image", (*program).image},
	{"flash", "DEVICE", "writes a card image to a card and checks it", (*program).flash},
	{"find", "", "lists the pushcams on the network", (*program).find},
	{"update", "HOST", "updates a pushcam over the network", (*program).update},
	{"keys", "HOST", "lists the keys by which a pushcam takes updates, and takes one away", (*program).keys},
	{"token", "HOST", "lists, makes and revokes a pushcam's tokens, with which programs may look", (*program).token},
	{"logs", "HOST", "shows what a pushcam logs, and goes on as it does", (*program).logs},
}

// errUsage is returned for a bad command line, after the reason was printed.
var errUsage = errors.New("usage")

// run is the whole program.
func (p *program) run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		p.usage(p.stderr)
		return errUsage
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		p.usage(p.stdout)
		return nil
	}
	for _, c := range commands {
		if c.name == args[0] {
			return p.runCommand(ctx, c, args[1:])
		}
	}
	return p.misused(fmt.Errorf("there is no command %q", args[0]), "pushcamctl -h")
}

func (p *program) runCommand(ctx context.Context, c command, args []string) error {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are printed once, here
	run := c.prepare(p, fs)
	commandline.Explain(fs)
	operands, err := parse(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		p.help(c, fs)
		return nil
	}
	if err == nil && len(operands) > 0 && c.operands == "" {
		err = fmt.Errorf("pushcamctl %s takes flags only, not %q", c.name, operands[0])
	}
	if err == nil && len(operands) > 1 {
		err = fmt.Errorf("pushcamctl %s takes one %s, not also %q", c.name, c.operands, operands[1])
	}
	if err != nil {
		return p.misused(err, "pushcamctl "+c.name+" -h")
	}
	return run(ctx, operands)
}

func (p *program) misused(err error, help string) error {
	fmt.Fprintf(p.stderr, "pushcamctl: %v; %s helps\n", err, help)
	return errUsage
}

// parse parses flags, which may also come after operands.
func parse(fs *flag.FlagSet, args []string) (operands []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		ended := len(args) > fs.NArg() && args[len(args)-fs.NArg()-1] == "--"
		if args = fs.Args(); len(args) == 0 || ended {
			return append(operands, args...), nil
		}
		operands, args = append(operands, args[0]), args[1:]
	}
}

func (p *program) usage(out io.Writer) {
	fmt.Fprint(out, "pushcamctl makes pushcams and finds them.\n\nUsage: pushcamctl COMMAND [flags]\n\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(out, "  %-7s %s\n", c.name, c.what)
	}
	fmt.Fprint(out, "\npushcamctl COMMAND -h lists a command's flags.\n")
}

func (p *program) help(c command, fs *flag.FlagSet) {
	usage := strings.TrimSpace("pushcamctl " + c.name + " [flags] " + c.operands)
	fmt.Fprintf(p.stdout, "pushcamctl %s %s.\n\nUsage: %s\n\n", c.name, c.what, usage)
	fs.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		fmt.Fprintf(p.stdout, "  -%s\n      %s", strings.TrimSpace(f.Name+" "+value), strings.ReplaceAll(text, "\n", "\n      "))
		if f.DefValue != "" && f.DefValue != "false" {
			fmt.Fprintf(p.stdout, " (default %s)", f.DefValue)
		}
		fmt.Fprintln(p.stdout)
	})
}

// exitCode is 2 for a wrong command line, 1 for anything else that failed.
func (p *program) exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 2
	case errors.Is(err, context.Canceled):
		err = errors.New("stopped")
	}
	fmt.Fprintf(p.stderr, "pushcamctl: %v\n", err)
	return 1
}
