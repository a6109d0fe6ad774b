// Command table makes the table of hack/conformance/README.md from the output
// of go test -json, in which each test says what it covers. What fails is also
// printed. hack/conformance/all starts it.
package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pushcam/pushcam/hack/gotest"
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
	text, err = gotest.ReplaceTable(text, "Run on "+time.Now().Format(time.DateOnly)+" on "+system()+".\n\n"+table(rows, version))
	if err != nil {
		return fmt.Errorf("%s: %w", readme, err)
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

// read takes the events of go test -json, and prints the output of those tests that
// fail.
func read(events io.Reader, out io.Writer) (rows []row, failed bool, err error) {
	err = gotest.Read(events, out, func(t *gotest.Result) {
		r := row{t.Attr["client"], t.Attr["quirk"], t.Action}
		switch t.Action {
		case "skip":
			r.result = "skipped: " + strings.TrimPrefix(t.Reason(), "skipped: ")
		case "pass":
		default:
			r.result, failed = "FAIL", true
			fmt.Fprint(out, t.Output)
		}
		if r.client != "" {
			rows = append(rows, r)
		}
	})
	return rows, failed, err
}

type client struct {
	name    string
	version []string // the command that tells it
}

// clients are in the order of the table.
var clients = []client{
	{"Chromium", []string{"chromium", "--version"}},
	{"Firefox ESR", []string{"firefox-esr", "--version"}},
	{"WebKitGTK", []string{"dpkg-query", "-W", "webkit2gtk-driver"}},
	{"ffmpeg", []string{"ffmpeg", "-version"}},
	{"VLC", []string{"dpkg-query", "-W", "vlc-bin"}}, // vlc says nothing to root
	{"GStreamer", []string{"gst-launch-1.0", "--version"}},
	{"OpenCV", []string{"/usr/bin/python3", "-c", "import cv2; print(cv2.__version__)"}},
	{"motion", []string{"motion", "-h"}},
	{"curl", []string{"curl", "--version"}},
	{"Java", []string{"java", "-version"}},
	{"axios", nil},
	{"w3m", []string{"dpkg-query", "-W", "w3m"}},
	{"lynx", []string{"lynx", "-version"}},
	{"nc", nil},
	{"nginx", []string{"nginx", "-v"}},
	{"haproxy", []string{"haproxy", "-v"}},
	{"Apache", []string{"apache2", "-v"}},
	{"Caddy", []string{"caddy", "version"}},
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
		return cmp.Or(cmp.Compare(place(a.client), place(b.client)), cmp.Compare(a.client, b.client), cmp.Compare(a.quirk, b.quirk), cmp.Compare(a.result, b.result))
	})
	rows = slices.Compact(rows) // one test may show the same several times
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
