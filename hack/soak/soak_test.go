//go:build linux

package main

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A short one: whatever visitors do, nothing is left of them, and no viewer sees a damaged
// frame. By hand it runs for hours.
func TestSoak(t *testing.T) {
	t.Attr("fault", "abuse | 40 visitors watch, stall, abort, begin sessions, and send half of something or noise, while the camera vanishes or gives damaged pictures, the program is stopped for seconds, and the owner changes settings | its memory stays within -memory; a viewer beside them gets whole frames only; the last setting is kept | goroutines and descriptors are as before within 30 s")
	s := &soak{length: 15 * time.Second, every: time.Second, visitors: 40, seed: 1, dir: t.TempDir(), out: t.Output()}
	r, err := s.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.print(t.Output())
	if err := r.judge(); err != nil {
		t.Error(err)
	}
}

func TestJudge(t *testing.T) {
	flat := func(n int) *record {
		r := &record{budget: 96e6, frames: 1}
		for i := range n {
			r.samples = append(r.samples, sample{at: time.Duration(i) * time.Second, memory: 50e6, goroutines: 60, files: 40, age: time.Millisecond})
		}
		return r
	}
	for _, tt := range []struct {
		name  string
		spoil func(*record)
		want  string
	}{
		{"good", func(*record) {}, ""},
		{"memory grows", func(r *record) { r.samples[len(r.samples)-1].memory, r.budget = 250e6, 300e6 }, "memory: the last quarter has 1.13"},
		{"a goroutine is left", func(r *record) { r.before.goroutines, r.after.goroutines = 17, 18 }, "18 goroutines, and 17 before"},
		{"too much memory", func(r *record) { r.samples[3].memory = 97e6 }, "after 3s the program had 97.0 MB, of 96.0 MB"},
		{"a descriptor is left", func(r *record) { r.after.files = 1 }, "1 descriptors, and 0 before"},
		{"no frames", func(r *record) { r.frames = 0 }, "saw no frame"},
	} {
		r := flat(longEnough)
		tt.spoil(r)
		err := r.judge()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if svg := flat(10).plot().SVG(); strings.Count(svg, "stroke-width") != 4 {
		t.Errorf("the plot has not four curves: %s", svg)
	}
}

func TestParse(t *testing.T) {
	got, err := parse("# HELP x\nprocess_resident_memory_bytes 5e6\ngo_goroutines 7\npushcam_viewers 2\npushcam_viewers_total 99\n")
	if want := (sample{memory: 5e6, goroutines: 7, viewers: 2}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for _, text := range []string{"", "go_goroutines many\n"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
