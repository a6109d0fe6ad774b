package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/pusher/api"
)

// diagnosis is the answer to /api/report: what an owner sends to who helps. There is no
// password in it.
type diagnosis struct {
	lines    func() []string
	problems []setup.Problem
	book     *logbook
}

// maxDiagnosed bounds what is told of the log, in bytes.
const maxDiagnosed = 32 << 10

func (d *diagnosis) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !api.Allows(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	var text strings.Builder
	for _, line := range d.lines() {
		fmt.Fprintln(&text, line)
	}
	for _, p := range d.problems {
		fmt.Fprintln(&text, "To mend:", p)
	}
	fmt.Fprintln(&text, "\nThe end of the log:")
	text.Write(d.book.last(maxDiagnosed))
	io.WriteString(w, text.String()) // a client that is gone has nobody to tell
}
