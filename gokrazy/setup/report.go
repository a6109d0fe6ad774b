package setup

import (
	"strings"
)

// ReportFile is written beside TextFile: who puts the card back into a PC reads there
// how it went.
const ReportFile = "pushcam-report.txt"

// A Report is what ReportFile says.
type Report struct {
	Lines    []string // how it went, one sentence each; none before it is known
	Problems []Problem
}

// Text is the file's text, which Notepad of any Windows shows: with a byte order mark
// and carriage returns.
func (r Report) Text() string {
	var b strings.Builder
	line := func(text string) { b.WriteString(strings.TrimSpace(text) + "\r\n") }
	b.WriteString("\uFEFF")
	line("How pushcam went when it was last switched on. What you write here does not count.")
	line("")
	for _, text := range r.Lines {
		line(text)
	}
	if len(r.Lines) == 0 {
		line("It has started, and nothing more is known yet: leave it on for two minutes.")
	}
	line("")
	if len(r.Problems) == 0 {
		line("Nothing is wrong with the files on this card.")
		return b.String()
	}
	line("What to mend:")
	for _, p := range r.Problems {
		line("- " + p.String())
	}
	return b.String()
}
