//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/pushcam/pushcam/hack/plot"
)

// results are what a run measured. Sections that were left out are empty.
type results struct {
	only    []string           // the sections that were chosen
	about   []string           // lines on the machine and the run
	busy    map[string]float64 // share of the machine that others used before each section
	costs   costs
	links   links
	readers []readerRun
	stalls  []stallRun
	cells   []cell
	glassResults
}

// isWhole tells whether all sections but those of the glass were chosen. A part of them
// does not replace the report in README.md.
func (r results) isWhole() bool {
	return !slices.ContainsFunc(sections, func(name string) bool { return !slices.Contains(r.only, name) })
}

// parts are the parts of the report, by the name that README.md's marks have.
func (r results) parts() []string {
	var names []string
	if slices.ContainsFunc(r.only, func(name string) bool { return slices.Contains(sections, name) }) {
		names = append(names, "bench")
	}
	for _, name := range glassSections {
		if slices.Contains(r.only, name) {
			names = append(names, name)
		}
	}
	return names
}

// A target is one line of the table "Numbers to reach".
type target struct {
	what, want, got string
	verdict         verdict
}

type verdict string

const (
	met     verdict = "met"
	missed  verdict = "**missed**"
	none    verdict = "not measured"
	tooBusy verdict = "machine too busy"
)

// judge is the verdict on a target that has several limits: all must be met.
func judge(ok ...bool) verdict {
	if slices.Contains(ok, false) {
		return missed
	}
	return met
}

// targets are the lines of the design's table, in its order.
func (r results) targets() []target {
	var all []target
	add := func(what, want string, measured bool, got string, ok ...bool) {
		t := target{what, want, got, judge(ok...)}
		if !measured {
			t.got, t.verdict = "–", none
		}
		all = append(all, t)
	}
	for _, c := range []struct {
		viewers int
		limit   float64
	}{{100, 0.25}, {10, 0.4}, {1, 0.8}} {
		ratios := r.costs.ratios(behind.name, ustreamer.name, c.viewers)
		add(fmt.Sprintf("CPU per 1,000 frames delivered, %d viewers", c.viewers), fmt.Sprintf("≤ %.2f × ustreamer's", c.limit),
			len(ratios) > 0, spread(ratios, "%.2f")+" ×", median(ratios) <= c.limit)
	}

	slow := frameTime(frameSize, slowRate)
	ours, theirs := r.links.of("12mbit", pushcam), r.links.of("12mbit", ustreamer)
	p50 := median(each(ours, func(l linkRun) float64 { return l.age(0.5) })) / slow
	p99 := median(each(ours, func(l linkRun) float64 { return l.age(0.99) })) / slow
	rate := median(each(ours, linkRun.fps)) / median(each(theirs, linkRun.fps))
	add(fmt.Sprintf("frame age on a 12 Mbit/s link, in times of %.0f ms that a frame needs there", slow),
		"p50 ≤ 1.2 ×, p99 ≤ 1.5 ×, at ≥ 0.95 × ustreamer's rate", len(ours) > 0,
		fmt.Sprintf("p50 %.2f ×, p99 %.2f ×, at %.2f ×", p50, p99, rate), p50 <= 1.2, p99 <= 1.5, rate >= 0.95)

	slow = frameTime(frameSize, dropTo)
	ours = r.links.of("drop", pushcam)
	p50 = median(each(ours, func(l linkRun) float64 { return l.age(0.5) })) / slow
	worst := median(each(ours, func(l linkRun) float64 { return l.age(1) })) / slow
	add(fmt.Sprintf("the same after a drop from 20 to 4 Mbit/s, in times of %.0f ms", slow), "p50 ≤ 1.1 ×, max ≤ 1.3 ×",
		len(ours) > 0, fmt.Sprintf("p50 %.2f ×, max %.2f ×", p50, worst), p50 <= 1.1, worst <= 1.3)

	shares := spareShares(r.cells)
	add("frame rate at round trips of 50, 100, 200 ms with bandwidth to spare, after 3 s", "≥ 0.95 × a plain sender's",
		len(shares) > 0, fmt.Sprintf("%.2f × at worst of %d cells", quantile(shares, 0), len(shares)), quantile(shares, 0) >= 0.95)
	over := excesses(r.cells)
	add("frame age over the freshness matrix, excess of p50 over the ideal", "median ≤ 20 ms, 9 of 10 ≤ 30 ms",
		len(over) > 0, fmt.Sprintf("median %.0f ms, 9 of 10 ≤ %.0f ms, of %d", median(over), quantile(over, 0.9), len(over)),
		median(over) <= 20, quantile(over, 0.9) <= 30)

	objects := r.costs.objectsPerViewer()
	add("allocations per frame per viewer, steady state", "0", len(objects) > 0, spread(objects, "%.3f"), math.Abs(median(objects)) < 0.01)
	memory := each(r.costs.of(pushcam.name, 100), func(c cost) float64 { return c.memory })
	add("resident memory with 100 viewers", "≤ 25 MB", len(memory) > 0, spread(memory, "%.1f")+" MB", median(memory) <= 25)

	i := slices.IndexFunc(r.stalls, func(s stallRun) bool { return s.server == pushcam.name })
	var s stallRun
	if i >= 0 {
		s = r.stalls[i]
	}
	add("a viewer that stops reading", fmt.Sprintf("gone within 10 s, its memory with it (looked at each %v)", stallPoll), i >= 0, s.end(),
		s.ended, s.gone <= 10*time.Second+2*stallPoll)
	late := each(r.costs.of(pushcam.name, 1), func(c cost) float64 { return c.late })
	add("capture to first byte at the viewer, 1 viewer, p99", "≤ 2 ms on an idle machine", len(late) > 0, spread(late, "%.2f")+" ms", median(late) <= 2)
	add("a stalled viewer among 100 healthy ones", "their age p50 grows by ≤ 1 ms while it is there, memory by ≤ 1 MB after it", i >= 0,
		fmt.Sprintf("p50 %+.2f ms, %+.1f MB", quantile(s.ages[1], 0.5)-quantile(s.ages[0], 0.5), s.memory[2]-s.memory[0]),
		quantile(s.ages[1], 0.5)-quantile(s.ages[0], 0.5) <= 1, s.memory[2]-s.memory[0] <= 1)
	add("boot to first frame, in QEMU", "≤ 1.2 × a bare gokrazy web server's first answer", false, "")
	return all
}

func (s stallRun) end() string {
	if !s.ended {
		return fmt.Sprintf("still there after %v, with %.1f MB", s.gone.Round(time.Second), s.kept)
	}
	return fmt.Sprintf("after %.1f s, with %.1f MB", s.gone.Seconds(), s.kept)
}

// part is a part of the report.
func (r results) part(name string) string {
	if name != "bench" {
		return r.glassResults.part(name) + aboutLines(r.about, r.busy, []string{name})
	}
	return "### Numbers to reach\n" + targetTable(r.targets()) + aboutLines(r.about, r.busy, sections) + r.markdown()
}

// targetTable is a table of targets.
func targetTable(all []target) string {
	var b strings.Builder
	b.WriteString("\n| what | target | measured | verdict |\n| --- | --- | --- | --- |\n")
	for _, t := range all {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", t.what, t.want, t.got, t.verdict)
	}
	return b.String()
}

// aboutLines say what was measured, and how busy the machine was before the sections.
func aboutLines(about []string, busy map[string]float64, names []string) string {
	var shares []string
	for _, name := range names {
		if share, ok := busy[name]; ok {
			shares = append(shares, fmt.Sprintf("%s %.0f %%", name, 100*share))
		}
	}
	return fmt.Sprintf("\n%s\n- the rest of the machine was busy before: %s\n", strings.Join(about, "\n"), strings.Join(shares, ", "))
}

// markdown are the tables behind the targets.
func (r results) markdown() string {
	var b strings.Builder
	table := func(head ...string) {
		fmt.Fprintf(&b, "\n| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat(" --- |", len(head)))
	}
	row := func(cells ...string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }

	if len(r.costs) > 0 {
		b.WriteString("\n### Cost of a stream\n\nMilliseconds of CPU time, user and system, per 1,000 frames delivered; 30 fps × 100 kB on loopback. Median (least–most).\n")
		head := []string{"server"}
		for _, n := range crowds {
			head = append(head, fmt.Sprintf("%d viewers", n), "× ustreamer", "MB")
		}
		table(append(head, "frames delivered of those captured, 100 viewers")...)
		for _, s := range []server{ustreamer, behind, pushcam, floor} {
			cells := []string{s.name}
			for _, n := range crowds {
				of := r.costs.of(s.name, n)
				cells = append(cells, spread(each(of, func(c cost) float64 { return c.cpu }), "%.0f"),
					fmt.Sprintf("%.2f", median(r.costs.ratios(s.name, ustreamer.name, n))),
					fmt.Sprintf("%.1f", median(each(of, func(c cost) float64 { return c.memory }))))
			}
			share := median(each(r.costs.of(s.name, crowds[len(crowds)-1]), func(c cost) float64 { return c.share }))
			row(append(cells, fmt.Sprintf("%.0f %%", 100*share))...)
		}
	}
	if len(r.links) > 0 {
		b.WriteString("\n### One viewer behind a slow link\n\nFrames per second, and frame age at the viewer in ms. Median of the repeats (least–most).\n")
		table("link", "server", "fps", "age p50", "p99", "max")
		for _, c := range linkCases {
			for _, s := range linkServers {
				of := r.links.of(c.name, s)
				age := func(q float64) string {
					return spread(each(of, func(l linkRun) float64 { return l.age(q) }), "%.0f")
				}
				row(c.title(), s.name, spread(each(of, linkRun.fps), "%.1f"), age(0.5), age(0.99), age(1))
			}
		}
		for _, c := range linkCases {
			fmt.Fprintf(&b, "\n![Frame age over time, %s](%s)\n", c.title(), c.file())
		}
	}
	if len(r.readers) > 0 {
		b.WriteString("\n### A viewer that reads less than it could get\n\nOn loopback, 30 fps × 100 kB. Frames per second, then age p50/p99 in ms when a frame is read whole. The ideal finds a frame of this moment whenever it wants one.\n")
		head := []string{"viewer", "ideal"}
		for _, s := range readerServers {
			head = append(head, s.name)
		}
		table(head...)
		for _, c := range readerCases {
			fps, age := c.ideal()
			cells := []string{c.String(), fmt.Sprintf("%.1f %.0f", fps, age)}
			for _, run := range r.readers {
				if run.of == c {
					cells = append(cells, fmt.Sprintf("%.1f %.0f/%.0f", run.fps(), run.age(0.5), run.age(0.99)))
				}
			}
			row(cells...)
		}
	}
	if len(r.stalls) > 0 {
		b.WriteString("\n### A viewer that stops reading, among 100 that read\n")
		table("server", "the connection and what the kernel held for it", "age of the others p50/p99 before, while, after (ms)", "memory before, while, after (MB)")
		for _, s := range r.stalls {
			var ages, memory []string
			for i := range s.ages {
				ages = append(ages, fmt.Sprintf("%.1f/%.1f", quantile(s.ages[i], 0.5), quantile(s.ages[i], 0.99)))
				memory = append(memory, fmt.Sprintf("%.1f", s.memory[i]))
			}
			row(s.server, s.end(), strings.Join(ages, ", "), strings.Join(memory, ", "))
		}
	}
	if len(r.cells) > 0 {
		b.WriteString("\n### The freshness matrix\n\nFrames per second, then age p50/p99 in ms, behind an emulated bottleneck with a buffer of 200 ms, frames of 100 kB, unless said otherwise. The ideal is a link that sends nothing but whole frames, each captured when it begins to leave.\n")
		table("condition", "phase", "ideal", "plain sender", "pushcam", "excess p50")
		for _, c := range r.cells {
			for i, n := 0, max(len(c.gated), len(c.plain)); i < n; i++ {
				p := append(slices.Clone(c.gated[min(i, len(c.gated)):]), c.plain[min(i, len(c.plain)):]...)[0]
				excess := "–"
				if i < len(c.gated) {
					excess = fmt.Sprintf("%.0f", c.gated[i].excess())
				}
				row(c.condition.String(), p.Name, fmt.Sprintf("%.1f %.0f", p.IdealFPS, p.IdealAge), show(c.plain, i), show(c.gated, i), excess)
			}
		}
		thrown := 0
		for _, c := range r.cells {
			thrown += c.thrown
		}
		fmt.Fprintf(&b, "\n%d runs did not count: the emulator was more than %v late in them, and they were made again.\n", thrown, cellLate)
	}
	return b.String()
}

func show(phases []phase, i int) string {
	if i >= len(phases) {
		return "machine too busy"
	}
	return fmt.Sprintf("%.1f %.0f/%.0f", phases[i].FPS, phases[i].P50, phases[i].P99)
}

func (c linkCase) title() string {
	switch {
	case c.then > 0:
		return fmt.Sprintf("after a drop from %g to %g Mbit/s", c.rate, c.then)
	case c.fps > 0:
		return fmt.Sprintf("a viewer that reads %g frames per second", c.fps)
	}
	return fmt.Sprintf("%g Mbit/s", c.rate)
}

func (c linkCase) file() string { return "age-" + c.name + ".svg" }

// plot is the plot of the first run of each server on a link.
func (r results) plot(c linkCase) plot.Plot {
	p := plot.Plot{Title: "Frame age at the viewer, " + c.title(), Y: "age in ms"}
	if c.then > 0 {
		p.Note = fmt.Sprintf("the link drops to %g Mbit/s", c.then)
	}
	for _, s := range linkServers {
		of := r.links.of(c.name, s)
		if len(of) == 0 {
			continue
		}
		run := of[0]
		seen := run.all.between(run.begin-int64(linkSettle), run.begin+int64(run.length))
		points := make([]plot.Point, len(seen))
		for i, f := range seen {
			points[i] = plot.Point{X: float64(f.Last-run.begin) / 1e9, Y: f.age()}
		}
		p.Curves = append(p.Curves, plot.Curve{Name: s.name, Points: points})
	}
	return p
}

// marks are the lines of README.md between which a part of the report stands.
func marks(part string) (begin, end string) {
	return "<!-- " + part + " begins -->\n", "<!-- " + part + " ends -->\n"
}

// write puts what was measured between README.md's marks, and the plots beside it.
func (r results) write(dir string) error {
	readme := filepath.Join(dir, "README.md")
	old, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	text := string(old)
	files := make(map[string]plot.Plot)
	for _, name := range r.parts() {
		begin, end := marks(name)
		if text, err = between(text, begin, end, r.part(name)); err != nil {
			return fmt.Errorf("%s: %w", readme, err)
		}
		switch name {
		case "bench":
			for _, c := range linkCases {
				files[c.file()] = r.plot(c)
			}
		case "browsers":
			for _, cores := range glassPlots {
				files[glassFile(cores)] = r.glassResults.plot(cores)
			}
		}
	}
	for name, p := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(p.SVG()), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(readme, []byte(text), 0o644)
}

// between replaces what stands between two lines in text.
func between(text, begin, end, generated string) (string, error) {
	head, rest, ok := strings.Cut(text, begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("there are no lines %q and %q", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return head + begin + generated + end + tail, nil
}

// about says what was measured, where and when.
func about(ctx context.Context, o *options, b *bench, module string) []string {
	m := b.proc.machine()
	say := func(name string, args ...string) string {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = module
		out, _ := cmd.Output() // an unknown version is shown as empty
		line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return line
	}
	commit := say("git", "rev-parse", "--short", "HEAD")
	if say("git", "status", "--porcelain", "--", "pusher", "camera", "cmd") != "" {
		commit += " with changes"
	}
	command := "go run ./hack/bench"
	if o.glass {
		command += " -glass"
	}
	if o.quick {
		command += " -quick"
	}
	return []string{
		fmt.Sprintf("- `%s` on %s, pushcam %s, %s, ustreamer %s", command, time.Now().UTC().Format(time.DateOnly), commit, runtime.Version(), say("ustreamer", "--version")),
		fmt.Sprintf("- %d × %s, Linux %s, cubic", runtime.NumCPU(), m.CPU, m.Kernel),
		fmt.Sprintf("- %d repeats, in turns; cost measured for %v, links for %v, browsers for %v", b.repeats, b.costTime, b.linkTime, glassLength),
	}
}
