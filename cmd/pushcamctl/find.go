package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/pushcam/pushcam/gokrazy/discovery"
)

const (
	// maxAsked is how many pushcams are asked for their state at the same time.
	maxAsked = 32
	// stateTimeout is how long all of them together have to answer.
	stateTimeout = 5 * time.Second
)

// found is one line of find's list.
type found struct {
	discovery.Found
	State *discovery.Status `json:"state,omitempty"`
	Error string            `json:"error,omitempty"` // why there is no state
}

func (p *program) find(fs *flag.FlagSet) func(context.Context, []string) error {
	var (
		timeout = fs.Duration("timeout", 2500*time.Millisecond, "how `long` to wait for answers")
		asJSON  = fs.Bool("json", false, "print JSON")
	)
	return func(ctx context.Context, _ []string) error {
		if *timeout < 100*time.Millisecond || *timeout > time.Hour {
			return p.misused(fmt.Errorf("-timeout is from 100ms to 1h, not %v", *timeout), "pushcamctl find -h")
		}
		browsing, cancel := context.WithTimeout(ctx, *timeout)
		defer cancel()
		there, err := p.browse(browsing)
		if err != nil {
			return fmt.Errorf("cannot look for pushcams: %w", err)
		}
		if ctx.Err() != nil {
			return errors.New("stopped")
		}
		all := states(ctx, there)
		if *asJSON {
			out := json.NewEncoder(p.stdout)
			out.SetIndent("", "  ")
			err = out.Encode(all)
		} else if len(all) > 0 {
			err = p.table(all)
		}
		if err == nil && len(all) == 0 {
			err = errNobody
		}
		return err
	}
}

// states asks each pushcam for its state.
func states(ctx context.Context, there []discovery.Found) []found {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	all := make([]found, len(there))
	places := make(chan struct{}, maxAsked)
	var asking sync.WaitGroup
	for i, f := range there {
		asking.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			all[i].Found = f
			if s, err := all[i].Status(ctx); err != nil {
				all[i].Error = err.Error()
			} else {
				all[i].State = &s
			}
		})
	}
	asking.Wait()
	return all
}

// errNobody is also for scripts, which see the exit status.
var errNobody = errors.New("no pushcam has answered. Is it switched on, and in this network? Guest networks and some\n" +
	"routers keep devices from seeing each other; -timeout 10s waits longer")

func (p *program) table(all []found) error {
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tADDRESS\tVERSION\tMODEL\tSTATE")
	for _, f := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", f.Host, cmp.Or(f.Link(), "-"), cmp.Or(f.version(), "-"), cmp.Or(f.Model, "-"), f.state())
	}
	return t.Flush()
}

// version is that of the running program, or the announced one if the program does
// not tell.
func (f *found) version() string {
	if f.State != nil && f.State.Version != "" {
		return f.State.Version
	}
	return f.Version
}

func (f *found) state() string {
	if f.State == nil {
		return "not known: " + f.Error
	}
	text := f.State.Phase
	if f.State.Reason != "" {
		text += ": " + strings.TrimSpace(f.State.Reason)
	}
	if f.State.Update != "" {
		text += "; " + f.State.Update
	}
	if f.State.WiFi != "" {
		text += "; Wi-Fi " + f.State.WiFi
	}
	if f.State.Signal != 0 {
		text += fmt.Sprintf(" (%d dBm)", f.State.Signal)
	}
	if f.State.Unowned {
		text += "; it has no owner yet: open its page and choose a password"
	}
	return text
}
