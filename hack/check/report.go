package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

type status int

const (
	skipped status = iota // a test that also ran in another step counts by that
	passed
	failed
)

// A result is how one test, or one step that is no test, ended.
type result struct {
	step, test string
	status     status
	why        string // of a skip
}

// A report is the results of all steps, the worst that ran for each test: one
// that is skipped in one step and passes in another has passed.
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

// event is a line of go test -json; see go doc test2json.
type event struct {
	Action, Package, Test, ImportPath, Output string
	Elapsed                                   float64
}

// read takes the events of one go test run, shows the output of what fails and
// a line for each package, and returns how many tests ran or were skipped.
func (r *report) read(step string, events io.Reader, out io.Writer) (ran int, err error) {
	output := make(map[string][]string) // by package and test
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(out, lines.Text()) // not every tool beside go test knows -json
			continue
		}
		key := strings.TrimPrefix(e.Package, "github.com/pushcam/pushcam/")
		if e.Test != "" {
			key += "." + e.Test
		}
		switch e.Action {
		case "output":
			output[key] = append(output[key], e.Output)
			continue
		case "build-output":
			fmt.Fprint(out, e.Output)
			continue
		case "pass", "fail", "skip":
		default:
			continue
		}
		text := output[key]
		delete(output, key)
		if e.Test == "" {
			if e.Action == "fail" {
				// A test that hung or crashed has no end of its own.
				for _, test := range slices.Sorted(maps.Keys(output)) {
					if strings.HasPrefix(test, key+".") {
						fmt.Fprint(out, strings.Join(output[test], ""))
					}
				}
				fmt.Fprint(out, strings.Join(text, ""))
				r.set(result{step: step, test: key, status: failed})
			}
			if e.Action != "skip" { // a package without tests
				fmt.Fprintf(out, "%s\t%s\t%.1fs\n", e.Action, key, e.Elapsed)
			}
			continue
		}
		ran++
		res := result{step: step, test: key}
		switch e.Action {
		case "pass":
			res.status = passed
		case "fail":
			res.status = failed
			fmt.Fprint(out, strings.Join(text, ""))
		case "skip":
			res.why = reason(text)
		}
		r.set(res)
	}
	return ran, lines.Err()
}

// reason is what a skipped test said last.
func reason(output []string) string {
	for _, line := range slices.Backward(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "---") || strings.HasPrefix(line, "===") {
			continue
		}
		if _, text, ok := strings.Cut(line, ".go:"); ok { // file.go:12: text
			_, text, _ = strings.Cut(text, ": ")
			return text
		}
		return line
	}
	return "it does not say why"
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
