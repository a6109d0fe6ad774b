package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/fat"
	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// loadSetup gives what the owner has set, which process 1 has taken from the card.
func loadSetup(root device.Root) setup.Setup {
	s, err := setup.Load(root)
	if err != nil {
		s.Problems = append(s.Problems, setup.Problem{Text: fmt.Sprintf("What is set on the card is not known: %v.", err)})
	}
	return s
}

// reporter says on the card how it went, for who puts the card back into a PC because
// the camera cannot be reached. It writes from a goroutine for which nothing waits.
type reporter struct {
	problems []setup.Problem
	network  func() *status.Status // nil: not known yet
	camera   func() camera.State
	links    func() []string // URLs at which the camera is found
	model    string
	code     string                          // the password of the set-up network
	kernel   string                          // its release; "" for the card, which has it
	key      func() string                   // fingerprint of the one for TLS; "" if there is none
	edit     func(func(*fat.FS) error) error // of the card's boot partition
	log      *slog.Logger
}

const (
	// reportAfter is when the first report is written, whatever is known.
	reportAfter = time.Minute
	// reportInterval is how often is looked whether there is something new.
	reportInterval = 5 * time.Second
	// maxReports bounds how often the card is written in one boot.
	maxReports = 4
)

// run writes reports until ctx is done. A card that does not answer then is left to
// the end of the program.
func (r *reporter) run(ctx context.Context) {
	for _, p := range r.problems {
		r.log.Warn("something is wrong with what is set on the card", "what", p.String())
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.writeAll(ctx)
	}()
	<-ctx.Done()
	select {
	case <-ended:
	case <-time.After(keepTime):
		r.log.Warn("the card does not answer: the last report is not written")
	}
}

func (r *reporter) writeAll(ctx context.Context) {
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	began := time.Now()
	var said string
	for n := 0; n < maxReports; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		outcome, complete := r.outcome()
		if outcome == said || said == "" && !complete && time.Since(began) < reportAfter {
			continue
		}
		said = outcome
		n++
		report := setup.Report{Lines: r.lines(), Problems: r.problems}
		if err := r.edit(func(disk *fat.FS) error { return report.Write(disk, time.Now()) }); err != nil {
			r.log.Warn("the card has no report of how it went", "file", setup.ReportFile, "err", err)
		}
	}
}

// outcome is what a new report is written for, and whether all is well.
func (r *reporter) outcome() (text string, complete bool) {
	cam := r.camera()
	failure := ""
	reached := len(r.links()) > 0
	if s := r.network(); s != nil && s.WiFi != nil {
		failure = string(s.WiFi.Failure)
	}
	found := cam.Device.Name != ""
	return fmt.Sprint(reached, failure, found), reached && found && failure == ""
}

// lines are how it went.
func (r *reporter) lines() []string {
	all := []string{fmt.Sprintf("pushcam %s on %s.", programInfo().Version, cmp.Or(r.model, "an unknown board"))}
	if r.kernel != "" {
		all = append(all, "The kernel is "+r.kernel+".")
	}
	s := r.network()
	if s != nil && s.Clock.Set {
		all = append(all, "Written on "+time.Now().UTC().Format("2 January 2006 at 15:04 UTC."))
	}
	if links := r.links(); len(links) > 0 {
		all = append(all, "The camera is found at "+strings.Join(links, " or ")+" .")
	} else {
		all = append(all, "The camera is in no network.")
	}
	if key := r.key(); key != "" {
		all = append(all, "The camera's key, by which pushcamctl knows it: "+key)
	}
	if s != nil {
		for _, l := range s.Links {
			all = append(all, linkLine(l))
		}
		if s.WiFi != nil {
			all = append(all, wifiLines(s.WiFi, r.code)...)
		}
	}
	cam := r.camera()
	switch {
	case cam.Reason != "":
		all = append(all, "The camera's picture: "+cam.Reason)
	case cam.Device.Name != "":
		all = append(all, fmt.Sprintf("The camera's picture comes from %s.", cam.Device.Name))
	default:
		all = append(all, "No camera was found yet.")
	}
	return all
}

func linkLine(l status.Link) string {
	var addresses []string
	for _, a := range l.Addresses {
		addresses = append(addresses, a.Prefix.Addr().String())
	}
	text := l.Name + ": "
	switch {
	case len(addresses) > 0:
		text += "address " + strings.Join(addresses, ", ")
	case l.Carrier:
		text += "connected, no address"
	default:
		text += "not connected"
	}
	if l.Why != "" {
		text += " (" + l.Why + ")"
	}
	return text + "."
}

func wifiLines(w *status.Radio, code string) (all []string) {
	if n := w.Network; n != nil {
		text := fmt.Sprintf("Wi-Fi: in the network %q", n.SSID)
		if n.Signal != 0 {
			text += fmt.Sprintf(", signal %d dBm (-50 is good, -75 is weak)", n.Signal)
		}
		all = append(all, text+".")
	}
	if w.SetUp != nil {
		all = append(all, fmt.Sprintf("Wi-Fi: it opens the network %q for your phone, whose password is %q.", w.SetUp.SSID, code))
	}
	if w.Why != "" {
		all = append(all, "Wi-Fi: "+w.Why)
	}
	if w.Network == nil && len(w.Seen) > 0 {
		var names []string
		for _, n := range w.Seen {
			names = append(names, fmt.Sprintf("%q (%d dBm, %s)", n.SSID, n.Signal, n.Security))
		}
		all = append(all, "Wi-Fi networks here: "+strings.Join(names, ", ")+".")
	}
	return all
}

// setupState is the part of /state on what the owner has set on the card.
type setupState struct {
	Problems []setup.Problem `json:"problems"`
	// Trouble is the first of them in a sentence, for the page.
	Trouble string `json:"trouble,omitempty"`
}

func newSetupState(problems []setup.Problem) setupState {
	s := setupState{Problems: problems}
	switch len(problems) {
	case 0:
		s.Problems = []setup.Problem{} // never null in JSON
	case 1:
		s.Trouble = problems[0].String()
	default:
		s.Trouble = fmt.Sprintf("%s (and %d more: see %s on the card)", problems[0], len(problems)-1, setup.ReportFile)
	}
	return s
}
