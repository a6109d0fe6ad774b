package main

import (
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/image"
)

// try runs the program and returns what it prints, with its exit status.
func try(t *testing.T, p *program, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs strings.Builder
	p.stdout, p.stderr = &out, &errs
	if p.stdin == nil {
		p.stdin = strings.NewReader("")
	}
	if p.configDir == nil {
		dir := t.TempDir()
		p.configDir = func() (string, error) { return dir, nil }
	}
	code = p.exitCode(p.run(t.Context(), args))
	return out.String(), errs.String(), code
}

func TestCommandLine(t *testing.T) {
	tests := []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string // a part of it
	}{
		{"nothing", nil, 2, "", "Commands:"},
		{"help", []string{"-h"}, 0, "flash   writes a card image", ""},
		{"unknown command", []string{"fly"}, 2, "", `there is no command "fly"; pushcamctl -h helps`},
		{"help of a command", []string{"image", "-h"}, 0, "-size size\n      the image's size, for instance 2GiB, or 2GB of 1,000,000,000 bytes each; the card may be\n      larger (default 2GiB)", ""},
		{"unknown flag", []string{"image", "-colour"}, 2, "", "-colour"},
		{"operand of image", []string{"image", "pushcam.img"}, 2, "", `takes flags only, not "pushcam.img"`},
		{"bad size", []string{"image", "-size", "big"}, 2, "", "as 2GiB, 1500MiB, 2GB or 1.5GB"},
		{"bad yes", []string{"update", "-yes=maybe", "pushcam"}, 2, "", "it takes true or false; pushcamctl update -h helps"},
		{"small size", []string{"image", "-size", "1GiB"}, 2, "", "at least 1204 MiB"},
		{"bad name", []string{"image", "-hostname", "a/b"}, 2, "", `the host name "a/b"`},
		{"firmware and no Wi-Fi", []string{"image", "-no-wifi", "-wifi-firmware", "."}, 2, "", "take only one of -wifi-firmware and -no-wifi"},
		{"no output", []string{"image", "-o", ""}, 2, "", "-o needs a file"},
		{"short password", []string{"image", "-password", "short"}, 1, "", "at least 8 characters"},
		{"no password on the input", []string{"image", "-password", "-"}, 1, "", "nothing was entered"},
		{"no card named", []string{"flash"}, 2, "", "no card is in a reader"},
		{"two cards", []string{"flash", "/dev/sdb", "/dev/sdc"}, 2, "", `one DEVICE, not also "/dev/sdc"`},
		{"no image", []string{"flash", "/dev/sdb", "-image", "none.img"}, 1, "", "there is no image none.img"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			p := &program{system: image.System{Root: t.TempDir()}}
			stdout, stderr, code := try(t, p, tc.args...)
			if code != tc.code || !strings.Contains(stdout, tc.stdout) || !strings.Contains(stderr, tc.stderr) {
				t.Errorf("exit status %d, want %d; stdout:\n%s\nstderr:\n%s", code, tc.code, stdout, stderr)
			}
			if tc.code != 0 && len(tc.args) > 0 && strings.Count(stderr, "\n") != 1 {
				t.Errorf("an error of one line, please: %s", stderr)
			}
		})
	}
}

func TestImageNeedsACheckout(t *testing.T) {
	t.Chdir(t.TempDir())
	_, stderr, code := try(t, new(program), "image")
	if code != 1 || !strings.Contains(stderr, "git clone") {
		t.Errorf("exit status %d: %s", code, stderr)
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		name string
		args []string
		yes  bool
		want []string
	}{
		{"flags first", []string{"-yes", "/dev/sdb"}, true, []string{"/dev/sdb"}},
		{"flags last", []string{"/dev/sdb", "-yes"}, true, []string{"/dev/sdb"}},
		{"between", []string{"a", "-yes", "b"}, true, []string{"a", "b"}},
		{"after --", []string{"a", "--", "b", "-yes"}, false, []string{"a", "b", "-yes"}},
		{"none", nil, false, nil},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			fs := flag.NewFlagSet("", flag.ContinueOnError)
			fs.SetOutput(io.Discard)
			yes := fs.Bool("yes", false, "")
			got, err := parse(fs, tc.args)
			if err != nil || *yes != tc.yes {
				t.Errorf("-yes is %v, %v; want %v", *yes, err, tc.yes)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("operands (-want +got):\n%s", diff)
			}
		})
	}
}

// A line is read exactly, and what follows it is left for the next question.
func TestReadLine(t *testing.T) {
	for text, want := range map[string][]string{
		"y\n":                                 {"y"},
		" a password \ny\n":                   {" a password ", "y"},
		"of Windows\r\nno end":                {"of Windows", "no end"},
		"two ends\r\r\n":                      {"two ends\r"},
		"\nafter nothing\n":                   {"", "after nothing"},
		strings.Repeat("x", maxLine-1) + "\n": {strings.Repeat("x", maxLine-1)},
		strings.Repeat("x", maxLine):          {""},
		"":                                    {""},
	} {
		r := strings.NewReader(text)
		for _, w := range want {
			if got, err := readLine(r); got != w || (err == nil) != (w != "") {
				t.Errorf("a line of %.20q is %.20q, %v; want %.20q", text, got, err, w)
			}
		}
	}
}

func TestByteSize(t *testing.T) {
	tests := []struct {
		text  string
		want  int64 // -1: an error
		print string
	}{
		{"2GiB", 2 << 30, "2GiB"},
		{"2g", 2 << 30, "2GiB"},
		{"1500MiB", 1500 << 20, "1500MiB"},
		{"2048M", 2 << 30, "2GiB"},
		{"1T", 1 << 40, "1TiB"},
		{"512", 512, "512"},
		{"0", 0, "0"},
		{"", -1, ""},
		{"GiB", -1, ""},
		{"-1", -1, ""},
		{"2GB", 2e9, "2GB"},
		{"2gb", 2e9, "2GB"},
		{"2 GB", 2e9, "2GB"},
		{"1TB", 1e12, "1TB"},
		{"1.5GB", 1.5e9 - 256, "1499999744"}, // whole sectors
		{"1.5GiB", 1536 << 20, "1536MiB"},
		{"1301MB", 1301e6 - 320, "1300999680"},
		{"1.5", -1, ""},
		{"1.5.5GB", -1, ""},
		{"1e3GB", -1, ""},
		{"1/2GB", -1, ""},
		{"2GiBKiB", -1, ""},
		{"2GBit", -1, ""},
		{"2B", -1, ""},
		{"9999999999999T", -1, ""},
	}
	for _, tc := range tests {
		var b byteSize
		err := b.Set(tc.text)
		if (err != nil) != (tc.want < 0) || err == nil && (int64(b) != tc.want || b.String() != tc.print) {
			t.Errorf("Set(%q): %d, %q, %v; want %d, %q", tc.text, b, b.String(), err, tc.want, tc.print)
		}
	}
}

func TestProgress(t *testing.T) {
	steps := []image.Progress{
		{Done: 50e6, Total: 200e6, Elapsed: 5 * time.Second},
		{Done: 55e6, Total: 200e6, Elapsed: 5500 * time.Millisecond},
		{Done: 200e6, Total: 200e6, Elapsed: 20 * time.Second},
		{Checking: true, Done: 200e6, Total: 200e6, Elapsed: 2 * time.Second},
	}
	lines := []string{
		"writing  [######                  ]  25 %  50 of 200 MB, 10.0 MB/s, 15s left",
		"writing  [######                  ]  27 %  55 of 200 MB, 10.0 MB/s, 15s left",
		"writing  [########################] 100 %  200 of 200 MB, 10.0 MB/s, 0s left",
		"checking [########################] 100 %  200 of 200 MB, 100.0 MB/s, 0s left",
	}
	for terminal, want := range map[bool]string{
		true:  "\r" + lines[0] + "\x1b[K\r" + lines[1] + "\x1b[K\r" + lines[2] + "\x1b[K\n\r" + lines[3] + "\x1b[K\n",
		false: lines[0] + "\n" + lines[2] + "\n" + lines[3] + "\n",
	} {
		var out strings.Builder
		b := &progress{out: &out, terminal: terminal}
		for _, s := range steps {
			b.show(s)
		}
		b.end()
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("on a terminal: %v (-want +got):\n%s", terminal, diff)
		}
	}
}
