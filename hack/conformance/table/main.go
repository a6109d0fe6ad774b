// Command table makes the table of hack/conformance/README.md from the output
// of go test -json, in which each test says what it covers. What fails is also
// printed. hack/conformance/all starts it.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"
)

const readme = "hack/conformance/README.md"

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

func run(events io.Reader, out io.Writer) error {
	rows, failed, err := read(events, out)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return fmt.Errorf("no test says what it covers; %s is as it was", readme)
	}
	text, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	text, err = replace(text, "Run on "+time.Now().Format(time.DateOnly)+" on "+system()+".\n\n"+table(rows, version))
	if err != nil {
		return err
	}
	if err := os.WriteFile(readme, text, 0o644); err != nil {
		return err
	}
	if failed {
		return fmt.Errorf("something failed; %s says what", readme)
	}
	return nil
}

// A row is what one test covers, and how it ended.
type row struct {
	client, quirk string
	result        string // pass, FAIL or the reason of a skip
}

// read takes the events of go test -json, in the order in which tests began, and
// prints the output of those that fail.
func read(events io.Reader, out io.Writer) (rows []row, failed bool, err error) {
	type test struct {
		row
		output []string
	}
	tests := make(map[string]*test)
	var order []*test
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e struct{ Action, Test, Key, Value, Output string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, false, fmt.Errorf("%q is not of go test -json: %w", lines.Text(), err)
		}
		t := tests[e.Test]
		if t == nil {
			t = new(test)
			tests[e.Test] = t
			order = append(order, t)
		}
		switch e.Action {
		case "attr":
			switch e.Key {
			case "client":
				t.client = e.Value
			case "quirk":
				t.quirk = e.Value
			}
		case "output", "build-output":
			t.output = append(t.output, e.Output)
		case "pass":
			t.result = "pass"
		case "fail":
			t.result, failed = "FAIL", true
			fmt.Fprint(out, strings.Join(t.output, ""))
		case "skip":
			t.result = "skipped"
			for _, line := range t.output {
				if _, why, ok := strings.Cut(line, "skipped: "); ok {
					t.result = "skipped: " + strings.TrimSpace(why)
				}
			}
		}
	}
	for _, t := range order {
		if t.client != "" {
			t.result = cmp.Or(t.result, "FAIL") // it did not end
			rows = append(rows, t.row)
		}
	}
	return rows, failed, lines.Err()
}

type client struct {
	name    string
	version []string // the command that tells it
}

// clients are in the order of the table.
var clients = []client{
	{"Chromium", []string{"chromium", "--version"}},
	{"Firefox ESR", []string{"firefox-esr", "--version"}},
	{"ffmpeg", []string{"ffmpeg", "-version"}},
	{"VLC", []string{"dpkg-query", "-W", "vlc-bin"}}, // vlc says nothing to root
	{"GStreamer", []string{"gst-launch-1.0", "--version"}},
	{"OpenCV", []string{"/usr/bin/python3", "-c", "import cv2; print(cv2.__version__)"}},
	{"motion", []string{"motion", "-h"}},
	{"curl", []string{"curl", "--version"}},
	{"nginx", []string{"nginx", "-v"}},
	{"Go", []string{"go", "version"}},
	{"strict parser", nil},
}

var number = regexp.MustCompile(`\d+\.\d+\.\d+(\.\d+)*\w*`)

// place is where a client stands in the table; those that it does not know come
// first.
func place(name string) int {
	return slices.IndexFunc(clients, func(c client) bool { return c.name == name })
}

// version asks a client for its version. Some answer with an error beside it.
func version(name string) string {
	i := place(name)
	if i < 0 || clients[i].version == nil {
		return "–"
	}
	command := clients[i].version
	said, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if v := number.Find(said); v != nil {
		return string(v)
	}
	return fmt.Sprintf("unknown (%v)", err)
}

func table(rows []row, version func(client string) string) string {
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(place(a.client), place(b.client)), cmp.Compare(a.client, b.client), cmp.Compare(a.quirk, b.quirk))
	})
	var b strings.Builder
	b.WriteString("| client | version | what it shows | result |\n| --- | --- | --- | --- |\n")
	name, v := "", ""
	for _, r := range rows {
		if r.client != name {
			name, v = r.client, version(r.client)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.client, v, strings.ReplaceAll(r.quirk, "|", `\|`), r.result)
	}
	return b.String()
}

// replace puts the table between the marks of text.
func replace(text []byte, table string) ([]byte, error) {
	const begin, end = "<!-- table -->\n", "<!-- end of the table -->\n"
	before, rest, ok1 := bytes.Cut(text, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("%s lacks the marks %q and %q", readme, begin, end)
	}
	return slices.Concat(before, []byte(begin), []byte(table), []byte(end), after), nil
}

// system is the name of the machine's operating system.
func system() string {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "an unknown system"
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(strings.TrimSpace(name), `"`)
		}
	}
	return "an unknown system"
}
