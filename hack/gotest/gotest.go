// Package gotest reads what "go test -json" prints; see go doc test2json.
package gotest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Result is how a test, or a package as a whole, has ended.
type Result struct {
	Package string
	Test    string // empty for the package
	Action  string // pass, fail, skip, or empty for a test that hung or crashed
	Output  string
	Elapsed float64           // seconds
	Attr    map[string]string // what testing.T.Attr said
}

// Reason is why a test was skipped, or what it said last.
func (r *Result) Reason() string {
	for _, line := range slices.Backward(strings.Split(r.Output, "\n")) {
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

// maxLine bounds a line of output, in bytes.
const maxLine = 16 << 20

// Read calls ended with each result, in the order in which they come. When a package
// ends, its tests without a result come first, in the order in which they began. The
// compiler's output goes to out, and so do lines that are no JSON, because not all tools
// that go test runs know -json.
func Read(events io.Reader, out io.Writer, ended func(*Result)) error {
	type key struct{ pkg, test string }
	type running struct {
		Result
		output strings.Builder
	}
	open := make(map[key]*running)
	var order []key // in which they began
	end := func(at key) {
		if r := open[at]; r != nil {
			delete(open, at)
			r.Output = r.output.String()
			ended(&r.Result)
		}
	}
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e struct {
			Action, Package, Test, Output, Key, Value string
			Elapsed                                   float64
		}
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(out, lines.Text())
			continue
		}
		if e.Action == "build-output" {
			fmt.Fprint(out, e.Output)
			continue
		}
		at := key{e.Package, e.Test}
		r := open[at]
		if r == nil {
			r = &running{Result: Result{Package: e.Package, Test: e.Test, Attr: make(map[string]string)}}
			open[at] = r
			order = append(order, at)
		}
		switch e.Action {
		case "output":
			r.output.WriteString(e.Output)
		case "attr":
			r.Attr[e.Key] = e.Value
		case "pass", "fail", "skip":
			r.Action, r.Elapsed = e.Action, e.Elapsed
			if e.Test == "" {
				for _, k := range order {
					if k.pkg == e.Package && k.test != "" {
						end(k)
					}
				}
			}
			end(at)
		}
	}
	for _, k := range order { // those are left if go test itself was ended
		end(k)
	}
	return lines.Err()
}
