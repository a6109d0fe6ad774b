package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/pushcam/pushcam/hack/gotest"
)

type status int

const (
	skipped status = iota // unless the test ran in another step
	passed
	failed
)

// A result is how one test, or one step that is no test, ended.
type result struct {
	step, test string
	status     status
	why        string // of a skip
}

// A report is the results of all steps. A test that ran in several steps has the worst
// of its results. Steps that skip it do not count then.
type report struct {
	results map[string]result
}

func (r *report) set(new result) {
	key := new.test
	if key == "" {
		key = new.step
	}
	if r.results == nil {
		r.results = make(map[string]result)
	}
	if old, ok := r.results[key]; !ok || new.status > old.status {
		r.results[key] = new
	}
}

func (r *report) count(s status) (n int) {
	for _, res := range r.results {
		if res.status == s {
			n++
		}
	}
	return n
}

func (r *report) failed() int { return r.count(failed) }

// read takes the events of one go test run, shows the output of what fails and
// a line for each package, and returns how many tests ran or were skipped.
func (r *report) read(step string, events io.Reader, out io.Writer) (ran int, err error) {
	err = gotest.Read(events, out, func(t *gotest.Result) {
		res := result{step: step, test: strings.TrimPrefix(t.Package, "github.com/pushcam/pushcam/"), status: failed}
		if t.Test != "" {
			ran++
			res.test += "." + t.Test
		}
		switch t.Action {
		case "pass":
			res.status = passed
		case "skip":
			res.status, res.why = skipped, t.Reason()
		default: // it failed, or it hung or crashed and so has no result
			fmt.Fprint(out, t.Output)
		}
		if t.Test == "" {
			if t.Action != "skip" { // a package without tests
				fmt.Fprintf(out, "%s\t%s\t%.1fs\n", cmp.Or(t.Action, "fail"), res.test, t.Elapsed)
			}
			if res.status != failed {
				return
			}
		}
		r.set(res)
	})
	return ran, err
}

// print says what failed, and what was skipped and why, then the counts.
func (r *report) print(out io.Writer) {
	all := slices.SortedFunc(maps.Values(r.results), func(a, b result) int {
		return cmp.Or(cmp.Compare(a.step, b.step), cmp.Compare(a.test, b.test))
	})
	fmt.Fprintln(out)
	ran := make(map[string]int)
	for _, res := range all {
		switch res.status {
		case failed:
			fmt.Fprintf(out, "FAILED   %s %s\n", res.step, res.test)
			ran[res.step]++
		case skipped:
			fmt.Fprintf(out, "skipped  %s %s: %s\n", res.step, res.test, res.why)
		case passed:
			ran[res.step]++
		}
	}
	for _, step := range slices.Sorted(maps.Keys(ran)) {
		fmt.Fprintf(out, "ran      %s: %d\n", step, ran[step])
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", r.count(passed), r.count(failed), r.count(skipped))
}
