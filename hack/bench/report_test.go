//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// measured is a run in which every target is met, but for the boot.
func measured() results {
	r := results{only: sections}
	for _, n := range crowds {
		r.costs = append(r.costs,
			cost{server: ustreamer.name, viewers: n, cpu: 100},
			cost{server: behind.name, viewers: n, cpu: 24, objects: 9},
			cost{server: pushcam.name, viewers: n, cpu: 40, memory: 20, late: 1.5})
	}
	run := func(s server, age, fps int64) linkRun {
		l := linkRun{server: s.name, begin: 1e12, length: 10 * time.Second}
		for i := range 10 * fps {
			last := l.begin + i*1e9/fps
			l.all = append(l.all, frame{Captured: last - age*1e6, Last: last})
		}
		return l
	}
	r.links = links{
		"12mbit": {run(pushcam, 80, 14), run(ustreamer, 400, 14)},
		"drop":   {run(pushcam, 220, 5), run(ustreamer, 1600, 5)},
	}
	ages := []float64{2, 3, 4}
	r.stalls = []stallRun{{server: pushcam.name, gone: 9 * time.Second, ended: true, ages: [3][]float64{ages, ages, ages}, memory: [3]float64{16, 17, 16}}}
	for _, c := range conditions() {
		if c.Then == nil {
			fps, age := ideal(c.Rate, c.RTT, c.Frame)
			p := phase{FPS: fps, P50: age + 10, IdealFPS: fps, IdealAge: age}
			r.cells = append(r.cells, cell{condition: c, gated: []phase{p}, plain: []phase{p}})
		}
	}
	return r
}

func verdicts(r results) []verdict {
	var all []verdict
	for _, t := range r.targets() {
		all = append(all, t.verdict)
	}
	return all
}

func TestTargets(t *testing.T) {
	const lines = 13
	all := func(v verdict) []verdict {
		s := make([]verdict, lines)
		for i := range s {
			s[i] = v
		}
		s[lines-1] = none // the boot is measured elsewhere
		return s
	}
	if diff := cmp.Diff(all(met), verdicts(measured())); diff != "" {
		t.Errorf("a good run (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(all(none), verdicts(results{})); diff != "" {
		t.Errorf("an empty run (-want +got):\n%s", diff)
	}
	// Each change must be noticed by the line it belongs to, and by no other.
	tests := []struct {
		name   string
		line   int
		change func(*results)
	}{
		{"100 viewers", 0, func(r *results) { r.costs[7].cpu = 26 }},
		{"10 viewers", 1, func(r *results) { r.costs[4].cpu = 41 }},
		{"1 viewer", 2, func(r *results) { r.costs[1].cpu = 81 }},
		{"p50 on the link", 3, func(r *results) { age(r.links["12mbit"][0], 0, 100, 90) }},
		{"p99 on the link", 3, func(r *results) { age(r.links["12mbit"][0], 0, 5, 110) }},
		{"rate on the link", 3, func(r *results) { r.links["12mbit"][0].all = r.links["12mbit"][0].all[:120] }},
		{"p50 after the drop", 4, func(r *results) { age(r.links["drop"][0], 0, 40, 250) }},
		{"worst after the drop", 4, func(r *results) { age(r.links["drop"][0], 3, 4, 290) }},
		{"rate far away", 5, func(r *results) { r.cells[18].gated[0].FPS = 28 }},
		{"a tenth of the cells", 6, func(r *results) {
			for i := range 6 {
				r.cells[i].gated[0].P50 += 40
			}
		}},
		{"half of the cells", 6, func(r *results) {
			for i := range 30 {
				r.cells[i].gated[0].P50 += 20
			}
		}},
		{"allocations", 7, func(r *results) { r.costs[7].objects = 12 }},
		{"memory", 8, func(r *results) { r.costs[8].memory = 26 }},
		{"a stalled viewer stays", 9, func(r *results) { r.stalls[0].ended = false }},
		{"a stalled viewer stays too long", 9, func(r *results) { r.stalls[0].gone = 11 * time.Second }},
		{"first byte", 10, func(r *results) { r.costs[2].late = 2.5 }},
		{"age beside a stalled viewer", 11, func(r *results) { r.stalls[0].ages[1] = []float64{5} }},
		{"memory after a stalled viewer", 11, func(r *results) { r.stalls[0].memory[2] = 18 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := measured()
			tt.change(&r)
			want := all(met)
			want[tt.line] = missed
			if diff := cmp.Diff(want, verdicts(r)); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
		})
	}
}

// age makes some frames of a run as old as ms.
func age(l linkRun, from, to int, ms int64) {
	for i := from; i < min(to, len(l.all)); i++ {
		l.all[i].Captured = l.all[i].Last - ms*1e6
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	readme := filepath.Join(dir, "README.md")
	r := measured()
	if err := r.write(dir); err == nil {
		t.Error("a README.md was made up")
	}
	if err := os.WriteFile(readme, []byte("no marks\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.write(dir); err == nil || !strings.Contains(err.Error(), "bench begins") {
		t.Errorf("a README.md without marks: %v", err)
	}
	g := measuredGlass()
	g.only = []string{"browsers", "pages"} // the others stay as they are
	begin, end := marks("bench")
	text, want := "before\n"+begin+"old\n"+end+"after\n", "before\n"+begin+r.part("bench")+end+"after\n"
	for _, name := range glassSections {
		begin, end := marks(name)
		text += begin + "old\n" + end
		part := "old\n"
		if slices.Contains(g.only, name) {
			part = g.part(name)
		}
		want += begin + part + end
	}
	if err := os.WriteFile(readme, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second run finds what the first one left
		if err := errors.Join(r.write(dir), g.write(dir)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != want {
		t.Errorf("README.md (-want +got):\n%s", cmp.Diff(want, string(b)))
	}
	files := []string{"glass-all.svg", "glass-half.svg"}
	for _, c := range linkCases {
		files = append(files, c.file())
	}
	for _, file := range files {
		if svg, err := os.ReadFile(filepath.Join(dir, file)); err != nil || !strings.HasPrefix(string(svg), "<svg ") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-quick", "-only", "cost,links", "-repeats", "2"})
	if err != nil || !o.quick || o.repeats != 2 || !cmp.Equal(o.only, []string{"cost", "links"}) {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := parse([]string{"-glass", "-write"}); err != nil || !cmp.Equal(o.only, glassSections) {
		t.Errorf("-glass: %+v, %v", o, err)
	}
	if o, err := parse([]string{"-only", "browsers,pages", "-write"}); err != nil || !o.write {
		t.Errorf("two parts of -glass: %+v, %v", o, err)
	}
	for _, bad := range [][]string{{"-only", "cost,boot"}, {"-repeats", "0"}, {"-write", "-only", "cost"}, {"-write", "-only", "cost,pages"}, {"-write", "-glass", "-matrix", "loss"}, {"cost"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
