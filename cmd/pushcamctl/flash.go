package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/image"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

func (p *program) flash(fs *flag.FlagSet) func(context.Context, []string) error {
	var (
		path  = fs.String("image", "pushcam.img", "the image's `file`")
		large = fs.Bool("large", false, "write to a disk even if it is larger than 256 GB")
		yes   = fs.Bool("yes", false, "do not ask")

		ssid    = fs.String("wifi-ssid", "", "the `name` of the wireless network, for pushcam.txt on the card, instead of what the\nimage has there; its password is asked for, or a line of the standard input")
		country = fs.String("wifi-country", "", "the `country`, as DE or US, by whose rules the radio sends, for pushcam.txt too")
	)
	return func(ctx context.Context, operands []string) error {
		if len(operands) == 0 {
			return p.misused(fmt.Errorf("which disk is the card? %s", p.candidates()), "pushcamctl flash -h")
		}
		bar := &progress{out: p.stdout, terminal: isTerminal(p.stdout)}
		f := &image.Flasher{System: &p.system, Large: *large, Progress: bar.show}
		disk, err := f.Target(*path, operands[0])
		if errors.Is(err, image.ErrNotRoot) {
			return fmt.Errorf("%w: %s", err, p.asRoot("flash", "-image", *path, operands[0]))
		} else if err != nil {
			return err
		}
		if *ssid != "" || *country != "" {
			set, err := p.wifi(ctx, *ssid, *country)
			if err != nil {
				return err
			}
			f.Text = setup.Text(set)
		}
		if !*yes {
			if err := p.confirm(disk); err != nil {
				return err
			}
		}
		err = f.Flash(ctx, *path, operands[0])
		bar.end()
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("stopped: %s is not complete", disk)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "%s is written and checked: take it out, put it into the Raspberry Pi and switch that on.\n", disk)
		return nil
	}
}

// command is what a shell takes to run this program again.
func (p *program) command(args ...string) string {
	if p.byGoRun() {
		return "go run ./cmd/pushcamctl " + image.Quote(args...)
	}
	return image.Quote(append([]string{p.self}, args...)...)
}

// asRoot is the same for root, who seldom has Go.
func (p *program) asRoot(args ...string) string {
	if p.byGoRun() {
		return "go build ./cmd/pushcamctl && sudo ./pushcamctl " + image.Quote(args...)
	}
	return "sudo " + p.command(args...)
}

// byGoRun tells whether go run has compiled this program, which is gone afterwards.
func (p *program) byGoRun() bool { return strings.Contains(p.self, "go-build") }

// candidates names the disks that DEVICE may be.
func (p *program) candidates() string {
	all := p.system.Candidates()
	if len(all) == 0 {
		return "name it, for instance /dev/sdb; no card is in a reader now"
	}
	var names []string
	for _, d := range all {
		names = append(names, d.String())
	}
	return "this computer has " + strings.Join(names, " and ")
}

// confirm asks before the disk is overwritten.
func (p *program) confirm(disk *image.Disk) error {
	fmt.Fprintf(p.stdout, "All that is on %s will be lost. Write to it? [y/N] ", disk)
	return p.askYes(fmt.Sprintf("%s was left as it is; -yes writes without asking", disk))
}

// askYes reads the answer to a question. If that is not yes, it returns an error
// with the text no.
func (p *program) askYes(no string) error {
	answer, err := readLine(p.stdin)
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	if err != nil {
		fmt.Fprintln(p.stdout) // no Enter has ended the question's line
	}
	return errors.New(no)
}
