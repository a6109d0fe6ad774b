package main

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/discovery"
)

// screen shows where the appliance is found and what it does: a page of text on a
// screen at the HDMI output, if there is one, and a line on the serial console when
// that changes. It writes from a goroutine of its own, for which nothing waits.
type screen struct {
	root  device.Root
	port  int // of the web server
	name  func() discovery.State
	means func() string // what the LEDs say, in words
	log   *slog.Logger
}

const (
	// lookAgain is how often it looks whether there is something new to show.
	lookAgain = time.Second
	// columns and rows are what a screen of 640 x 480 has in the kernel's font.
	columns, rows = 40, 15
	// maxLinks is how many addresses are shown.
	maxLinks = 3
	// toFront has the screen show device.ScreenTerminal, which is the second one, empty
	// and without a cursor (console_codes(4)).
	toFront = "\x1b[12;2]\x1b[0m\x1b[?25l\x1b[2J\x1b[H"
)

// run shows until ctx is done. What it showed last stays.
func (s *screen) run(ctx context.Context) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	var page, line string
	for {
		network := s.name()
		links := s.links(network)
		s.write(device.ScreenTerminal, &page, s.page(links, network.Reason))
		if len(links) > 0 {
			s.write(device.SerialTerminal, &line, "pushcam is at "+strings.Join(links, " ")+"\r\n")
		}
		select {
		case <-ctx.Done():
			// The LEDs say by now how it ends.
			s.write(device.ScreenTerminal, &page, s.page(links, network.Reason))
			return
		case <-tick.C:
		}
	}
}

// write writes text to a terminal, if that is not what it has shown last.
func (s *screen) write(terminal string, shown *string, text string) {
	if text == *shown {
		return
	}
	*shown = text // not again, if it fails: it is there for who looks, and nothing depends on it
	if err := s.root.WriteTerminal(terminal, text); err != nil {
		s.log.Debug("nothing is shown", "terminal", terminal, "err", err)
	}
}

// links are the URLs of the page, the name's first. IPv6 addresses, which nobody likes
// to type, are there only without IPv4, and link-local ones never: browsers do not take
// them.
func (s *screen) links(n discovery.State) (links []string) {
	if n.Host != "" {
		links = append(links, link(n.Host, s.port))
	}
	v4 := slices.ContainsFunc(n.Addresses, netip.Addr.Is4)
	addresses := slices.DeleteFunc(slices.Clone(n.Addresses), func(a netip.Addr) bool { return a.Is6() && (v4 || a.IsLinkLocalUnicast()) })
	for _, a := range addresses[:min(len(addresses), maxLinks)] {
		links = append(links, link(a.String(), s.port))
	}
	return links
}

// page is the whole text, with what clears the terminal in front of it.
func (s *screen) page(links []string, reason string) string {
	program := programInfo()
	paragraphs := [][]string{{"pushcam"}, links, {s.means()}, {s.root.Model(), program.Version}}
	if len(links) == 0 {
		paragraphs[1] = []string{reason}
	}
	var lines []string
	for _, p := range paragraphs {
		for _, text := range p {
			lines = append(lines, wrap(plain(text), columns-2)...)
		}
		lines = append(lines, "")
	}
	// The text stands one character from the edges.
	return toFront + "\r\n " + strings.Join(lines[:min(len(lines), rows-2)], "\r\n ")
}

// plain is text without what would move a terminal's cursor, or is not in its font.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}

// wrap breaks text into lines of at most width characters, between words where it
// can.
func wrap(text string, width int) (lines []string) {
	for len(text) > width {
		at := strings.LastIndexByte(text[:width+1], ' ')
		if at <= 0 {
			at = width
		}
		lines = append(lines, text[:at])
		text = strings.TrimPrefix(text[at:], " ")
	}
	if text != "" {
		lines = append(lines, text)
	}
	return lines
}
