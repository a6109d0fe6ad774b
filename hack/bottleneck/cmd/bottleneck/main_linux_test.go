package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/hack/bottleneck"
)

func TestParse(t *testing.T) {
	got, err := parse(strings.Fields("-rate 20 -rtt 20ms -loss 1 -then 6s -then-rate 4 -server srv curl -s x"))
	if err != nil {
		t.Fatal(err)
	}
	path := bottleneck.Path{Rate: 20e6, Buffer: 500_000, RTT: 20 * time.Millisecond, Loss: 0.01}
	then := path
	then.Rate = 4e6
	want := config{path: path, then: then, after: 6 * time.Second, server: "srv", client: []string{"curl", "-s", "x"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(config{})); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"":             "no client command",
		"-rate -1 x":   "must not be negative",
		"-loss 101 x":  "between 0 and 100",
		"-rate fast x": "invalid value",
	} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}
