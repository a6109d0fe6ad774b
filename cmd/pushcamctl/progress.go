package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/image"
)

// progress shows how far a card or an upload is: as one line that changes on a
// terminal, else as a line for each tenth.
type progress struct {
	out      io.Writer
	terminal bool
	verb     string // "" is writing

	checking bool // what the last line was about
	tenth    int64
	open     bool // a line is not ended yet
}

const barWidth = 24 // characters

func (b *progress) show(p image.Progress) {
	if p.Checking != b.checking {
		b.end()
		b.checking, b.tenth = p.Checking, 0
	}
	if b.terminal {
		fmt.Fprintf(b.out, "\r%s\x1b[K", b.line(p))
		b.open = true
		return
	}
	if tenth := p.Done * 10 / max(p.Total, 1); tenth > b.tenth {
		b.tenth = tenth
		fmt.Fprintln(b.out, b.line(p))
	}
}

// end ends the line that changes, so that what follows has its own.
func (b *progress) end() {
	if b.open {
		fmt.Fprintln(b.out)
		b.open = false
	}
}

// line is for instance:
//
//	writing  [######                  ]  25 %  512 of 2048 MB, 20.5 MB/s, 1m15s left
func (b *progress) line(p image.Progress) string {
	verb := cmp.Or(b.verb, "writing ")
	if p.Checking {
		verb = "checking"
	}
	total := max(p.Total, 1)
	full := int(p.Done * barWidth / total)
	text := fmt.Sprintf("%s [%s%s] %3d %%  %d of %d MB", verb, strings.Repeat("#", full), strings.Repeat(" ", barWidth-full),
		p.Done*100/total, p.Done/1e6, p.Total/1e6)
	if p.Elapsed <= 0 || p.Done <= 0 {
		return text
	}
	rate := float64(p.Done) / p.Elapsed.Seconds() // bytes per second
	left := time.Duration(float64(p.Total-p.Done) / rate * float64(time.Second))
	return fmt.Sprintf("%s, %.1f MB/s, %v left", text, rate/1e6, left.Round(time.Second))
}

// isTerminal tells whether w is a terminal, on which a line can change.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
