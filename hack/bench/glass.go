//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pushcam/pushcam/hack/plot"
)

// glassSections are those of -glass: viewers that are slow, screens, crowds, and what a
// frame costs a Pi's processor.
var glassSections = []string{"slow", "browsers", "pages", "many", "instructions"}

// glassResults are what they measured.
type glassResults struct {
	slow         []slowRun
	glass        []glassRun
	pages        []crowdRun
	many         []crowdRun
	instructions []insnRun
	faults       [2]time.Duration // of a page, on this machine as it is and as browsers had it
}

// of are the runs of one case.
func (g glassResults) of(c glassCase) []glassRun {
	return slices.DeleteFunc(slices.Clone(g.glass), func(r glassRun) bool { return r.of != c })
}

// targets are the lines of the table "Numbers to reach" of a section.
func (g glassResults) targets(section string) []target {
	switch section {
	case "slow":
		return g.slowTargets()
	case "browsers":
		return g.browserTargets()
	case "pages":
		return g.pageTargets()
	case "many":
		return g.manyTargets()
	}
	return nil
}

func (g glassResults) slowTargets() (all []target) {
	for _, rtt := range slowRTTs {
		var excess, rates []float64
		for _, r := range g.slow {
			if r.of.RTT == rtt && r.known() {
				excess, rates = append(excess, r.excess()), append(rates, r.rate())
			}
		}
		if len(excess) == 0 {
			continue
		}
		least := 0.95
		if rtt > 20 {
			least = 0.9
		}
		all = append(all, target{fmt.Sprintf("readers at 0.25, 0.5, 0.8 × the stream, RTT %d ms, excess of p50 over their own read time", rtt),
			fmt.Sprintf("median ≤ 20 ms, 9 of 10 ≤ 150 ms, at ≥ %g × a plain sender's rate", least),
			fmt.Sprintf("median %.0f ms, 9 of 10 ≤ %.0f ms, at %.2f × (worst %.2f) of %d", median(excess), quantile(excess, 0.9), median(rates), quantile(rates, 0), len(rates)),
			judge(median(excess) <= 20, quantile(excess, 0.9) <= 150, median(rates) >= least)})
	}
	return all
}

func (g glassResults) browserTargets() (all []target) {
	for _, t := range []struct {
		browser string
		cores   float64
		limit   float64 // ms
		fps     float64
	}{{"chromium", 0, 30, 0}, {"chromium", 0.2, 120, 0}, {"webkit", 0, 35, 0}, {"firefox", 0, 40, 4}, {"firefox", 0.5, 210, 4}, {"firefox", 0.2, 700, 4}} {
		c := glassCase{t.browser, byPage, t.cores}
		runs := g.of(c)
		if len(runs) == 0 {
			continue
		}
		p50 := median(each(runs, glassRun.p50))
		fps := median(each(runs, func(r glassRun) float64 { return r.fps }))
		want := fmt.Sprintf("p50 ≤ %g ms", t.limit)
		if t.fps > 0 {
			want += fmt.Sprintf(", ≥ %g frames a second", t.fps)
		}
		got := glassLine(runs)
		c.how = byImage
		if image := g.of(c); len(image) > 0 {
			got += " (<img>: " + glassLine(image) + ")"
		}
		line := target{"age of what stands on the screen: " + runs[0].of.String(), want, got, judge(p50 <= t.limit, fps >= t.fps)}
		if line.verdict == missed && !isQuiet(runs) {
			line.verdict = tooBusy
		}
		all = append(all, line)
	}
	for _, browser := range []string{"chromium", "firefox", "webkit"} {
		page, image := g.of(glassCase{browser, byPage, 0}), g.of(glassCase{browser, byImage, 0})
		if len(page) == 0 || len(image) == 0 {
			continue
		}
		cores := func(r glassRun) float64 { return r.cores }
		beside := func(runs []glassRun) float64 { return median(each(runs, cores)) / median(each(image, cores)) }
		ratio := beside(page)
		got := fmt.Sprintf("%.2f ×", ratio)
		if memory := g.of(glassCase{browser, fromMemory, 0}); len(memory) > 0 {
			got += fmt.Sprintf(" (from memory: %.2f ×)", beside(memory))
		}
		line := target{"processor time of " + browser + " for the page, all cores", "≤ 1.1 × <img>'s", got, judge(ratio <= 1.1)}
		if !isQuiet(page) || !isQuiet(image) { // a starved one takes less
			line.verdict = tooBusy
		}
		all = append(all, line)
	}
	return all
}

func (g glassResults) pageTargets() (all []target) {
	if n := len(g.pages) / 2; n > 0 {
		var cpu, memory []float64
		for i := range n {
			page, stream := g.pages[2*i], g.pages[2*i+1]
			if stream.pages {
				page, stream = stream, page
			}
			cpu, memory = append(cpu, page.cost()/stream.cost()), append(memory, page.memory-stream.memory)
		}
		all = append(all, target{fmt.Sprintf("%d open pages beside as many streams", crowdPages), "≤ 1.05 × the processor time per frame delivered, ≤ 10 MB more",
			fmt.Sprintf("%s ×, %s MB", spread(cpu, "%.2f"), spread(memory, "%+.1f")), judge(median(cpu) <= 1.05, median(memory) <= 10)})
	}
	return all
}

func (g glassResults) manyTargets() (all []target) {
	for _, r := range g.many {
		p99 := quantile(r.ages, 0.99)
		all = append(all, target{fmt.Sprintf("%d viewers on loopback, %d fps × %d kB", r.viewers, frameRate, crowdPicture/1000), "p99 of the age ≤ 50 ms, ≤ 100 MB resident",
			fmt.Sprintf("%.0f ms, %.0f MB, %.0f %% of the frames", p99, r.memory, 100*r.share), judge(p99 <= 50, r.memory <= 100)})
	}
	return all
}

// isQuiet tells whether the rest of the machine left its processors to the browser.
func isQuiet(runs []glassRun) bool {
	return median(each(runs, func(r glassRun) float64 { return r.others })) <= glassOthers
}

// p50 is the age of what stands on the screen; infinite if nothing does.
func (r glassRun) p50() float64 { return orNever(quantile(r.seen, 0.5)) }

// orNever is an age that is infinite where nothing was seen.
func orNever(age float64) float64 {
	if math.IsNaN(age) {
		return math.Inf(1)
	}
	return age
}

func (r glassRun) String() string {
	return fmt.Sprintf("%s, %.2f cores, others %.2f", glassLine([]glassRun{r}), r.cores, r.others)
}

// glassLine says what repeated runs of one case showed.
func glassLine(runs []glassRun) string {
	of := func(f func(r glassRun) float64) float64 { return median(each(runs, f)) }
	p50, fps := of(glassRun.p50), of(func(r glassRun) float64 { return r.fps })
	switch {
	case math.IsInf(p50, 1):
		return fmt.Sprintf("no picture in %.0f s", glassStarts.Seconds())
	case fps == 0:
		return fmt.Sprintf("frozen for %.0f s", glassLength.Seconds())
	}
	return fmt.Sprintf("%.0f ms, %.1f frames a second", p50, fps)
}

// part is what a section measured: its title, its targets, and the table behind them.
func (g glassResults) part(section string) string {
	var b strings.Builder
	say := func(title, text string) {
		b.WriteString("### " + title + "\n")
		if targets := g.targets(section); len(targets) > 0 {
			b.WriteString(targetTable(targets))
		}
		b.WriteString("\n" + text + "\n")
	}
	switch section {
	case "slow":
		say("Readers that are slow, near and far", "Behind an emulated link without a limit. Frames per second, then age p50/p99 in ms when a frame is read whole. The ideal is a frame of the moment when the reader wants one, plus half a round trip and the time to read it, which in bursts is none; half a frame time more is how old the camera's newest frame is then.")
		b.WriteString("\n| reader | ideal | plain sender | pushcam | excess p50 |\n| --- | --- | --- | --- | --- |\n")
		for _, r := range g.slow {
			excess := "–"
			if r.known() {
				excess = fmt.Sprintf("%.0f", r.excess())
			}
			fmt.Fprintf(&b, "| %v | %.1f %.0f | %s | %s | %s |\n", r.of, r.of.fps(), r.of.ideal(), show(r.plain, 0), show(r.gated, 0), excess)
		}
	case "browsers":
		say("Age on the glass", "720p at 30 fps through a cable to a browser on a screen (Xvfb) that is read every 2 ms. New: a picture when it appears; seen: what stands there at any moment. Age in ms, processor time in cores; others: what the rest of the machine took of its cores meanwhile. From memory: what the page draws with shows pictures that it has, without a network. Median of the repeats. "+
			fmt.Sprintf("A page of memory that is used for the first time costs %v on this machine, and %v with the large pages that all had here.", g.faults[0], g.faults[1]))
		b.WriteString("\n| browser | shown by | cores | frames per second | new p50/p99 | seen p50/max | processor time | others |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
		for _, c := range glassCases() {
			runs := g.of(c)
			if len(runs) == 0 {
				continue
			}
			of := func(f func(r glassRun) float64) float64 { return median(each(runs, f)) }
			age := func(ages func(r glassRun) []float64, high float64) string {
				p50, end := of(func(r glassRun) float64 { return orNever(quantile(ages(r), 0.5)) }), of(func(r glassRun) float64 { return orNever(quantile(ages(r), high)) })
				if math.IsInf(p50, 1) || c.how == fromMemory {
					return "–"
				}
				return fmt.Sprintf("%.0f/%.0f", p50, end)
			}
			fresh, seen := func(r glassRun) []float64 { return r.fresh }, func(r glassRun) []float64 { return r.seen }
			cpu := "all"
			if c.cores > 0 {
				cpu = fmt.Sprintf("%g", c.cores)
			}
			fps := fmt.Sprintf("%.1f", of(func(r glassRun) float64 { return r.fps }))
			if line := glassLine(runs); !strings.HasSuffix(line, "a second") {
				fps = line
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %.2f | %.2f |\n", c.browser, c.how, cpu, fps, age(fresh, 0.99), age(seen, 1),
				of(func(r glassRun) float64 { return r.cores }), of(func(r glassRun) float64 { return r.others }))
		}
		for _, cores := range glassPlots {
			fmt.Fprintf(&b, "\n![%s](%s)\n", g.plot(cores).Title, glassFile(cores))
		}
	case "pages":
		say("Open pages", "Each page is a connection to `/frames` with its news and its questions to `/clock`, beside as many connections to `/stream`; on loopback, 30 fps × 100 kB. In turns.")
		crowdTable(&b, g.pages)
	case "many":
		say("Many viewers", "On loopback, by one server.")
		crowdTable(&b, g.many)
	case "instructions":
		say("Instructions per frame", "Of an arm64 processor, in pushcam's own code, for each frame that is delivered (100 kB, from a recording); what the kernel does is not in it.")
		b.WriteString("\n| viewers | instructions |\n| --- | --- |\n")
		for _, r := range g.instructions {
			fmt.Fprintf(&b, "| %d | %.0f |\n", r.viewers, r.instructions)
		}
	}
	return strings.ReplaceAll(b.String(), "<img>", "`<img>`")
}

func crowdTable(b *strings.Builder, runs []crowdRun) {
	b.WriteString("\n| viewers | cores | MB | frames delivered of those captured | age p50/p99 in ms |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range runs {
		age := "–" // a record has the camera's own time
		if !r.pages {
			age = fmt.Sprintf("%.1f/%.1f", quantile(r.ages, 0.5), quantile(r.ages, 0.99))
		}
		fmt.Fprintf(b, "| %d %s | %.3f | %.1f | %.0f %% | %s |\n", r.viewers, r.kind(), r.cores, r.memory, 100*r.share, age)
	}
}

// glassPlots are the cores of which there are plots; 0 is all.
var glassPlots = []float64{0, 0.5}

func glassFile(cores float64) string {
	if cores == 0 {
		return "glass-all.svg"
	}
	return "glass-half.svg"
}

// plot shows what stands on the screen with so many cores, in the first of the runs.
func (g glassResults) plot(cores float64) plot.Plot {
	const every = 25 // looks
	p := plot.Plot{Title: "Age of what stands on the screen, all cores", Y: "age in ms"}
	if cores > 0 {
		p.Title = fmt.Sprintf("Age of what stands on the screen, %g of a core", cores)
	}
	for _, c := range glassCases() {
		runs := g.of(c)
		if c.cores != cores || c.how == fromMemory || len(runs) == 0 {
			continue
		}
		curve := plot.Curve{Name: c.browser + ", " + c.how}
		for i := 0; i < len(runs[0].seen); i += every {
			curve.Points = append(curve.Points, plot.Point{X: glassLength.Seconds() * float64(i) / float64(len(runs[0].seen)), Y: runs[0].seen[i]})
		}
		p.Curves = append(p.Curves, curve)
	}
	return p
}
