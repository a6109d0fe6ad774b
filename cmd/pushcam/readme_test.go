package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gpio"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The README's table of LED patterns is what the LEDs really show.
func TestReadmePatterns(t *testing.T) {
	want := "| the LED | what it says |\n| --- | --- |\n"
	for _, p := range gpio.Patterns() {
		want += fmt.Sprintf("| %s | %s |\n", p.Looks(), p.Means())
	}
	_, after, ok := strings.Cut(readme(t), "<!-- patterns -->\n")
	got, _, ok2 := strings.Cut(after, "<!-- end of patterns -->")
	if diff := cmp.Diff(want, got); !ok || !ok2 || diff != "" {
		t.Errorf("README.md (-want +got):\n%s\nwant:\n%s", diff, want)
	}
}

// Flags that the README names exist.
func TestReadmeFlags(t *testing.T) {
	flags := new(config).flags()
	named := regexp.MustCompile("`-([a-z-]+)").FindAllStringSubmatch(readme(t), -1)
	if len(named) < 10 {
		t.Fatalf("the README names %d flags", len(named))
	}
	for _, m := range named {
		if flags.Lookup(m[1]) == nil && m[1] != "h" {
			t.Errorf("the README names -%s, which is no flag", m[1])
		}
	}
	_, why, _ := strings.Cut(readme(t), "| not changed while it runs | why |\n")
	why, _, _ = strings.Cut(why, "\n\n")
	flags.VisitAll(func(f *flag.Flag) {
		if f.Usage == "" {
			t.Errorf("-%s does not say what it is", f.Name)
		}
		setting := slices.ContainsFunc(pageFlags, func(p pageFlag) bool { return p.flag == f.Name }) || slices.Contains([]string{"quality", "bitrate", "viewer-password"}, f.Name)
		if setting == strings.Contains(why, "`-"+f.Name+"`") {
			t.Errorf("-%s is a setting (%v), or the README says why not, and never both", f.Name, setting)
		}
	})
}
