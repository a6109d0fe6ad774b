//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

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
}

// of are the runs of one case.
func (g glassResults) of(c glassCase) []glassRun {
	return slices.DeleteFunc(slices.Clone(g.glass), func(r glassRun) bool { return r.of != c })
}

// targets are the lines of the table "Numbers to reach" that are measured.
func (g glassResults) targets() (all []target) {
	add := func(what, want, got string, ok ...bool) {
		all = append(all, target{what, want, got, judge(ok...)})
	}
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
		add(fmt.Sprintf("readers at 0.25, 0.5, 0.8 × the stream, RTT %d ms, excess of p50 over their own read time", rtt),
			fmt.Sprintf("median ≤ 20 ms, 9 of 10 ≤ 150 ms, at ≥ %g × a plain sender's rate", least),
			fmt.Sprintf("median %.0f ms, 9 of 10 ≤ %.0f ms, at %.2f × (worst %.2f) of %d", median(excess), quantile(excess, 0.9), median(rates), quantile(rates, 0), len(rates)),
			median(excess) <= 20, quantile(excess, 0.9) <= 150, median(rates) >= least)
	}
	for _, t := range []struct {
		browser string
		cores   float64
		limit   float64 // ms
		fps     float64
	}{{"chromium", 0, 30, 0}, {"chromium", 0.2, 120, 0}, {"webkit", 0, 35, 0}, {"firefox", 0, 40, 4}, {"firefox", 0.5, 210, 4}, {"firefox", 0.2, 700, 4}} {
		c := glassCase{browser: t.browser, cores: t.cores}
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
		c.image = true
		image := g.of(c)
		add("age of what stands on the screen: "+glassCase{browser: t.browser, cores: t.cores}.String(), want,
			fmt.Sprintf("%.0f ms, %.1f frames a second (<img>: %.0f ms, %.1f)", p50, fps, median(each(image, glassRun.p50)), median(each(image, func(r glassRun) float64 { return r.fps }))),
			p50 <= t.limit, fps >= t.fps)
	}
	for _, browser := range []string{"chromium", "firefox", "webkit"} {
		page, image := g.of(glassCase{browser: browser}), g.of(glassCase{browser: browser, image: true})
		if len(page) == 0 || len(image) == 0 {
			continue
		}
		cores := func(r glassRun) float64 { return r.cores }
		ratio := median(each(page, cores)) / median(each(image, cores))
		add("processor time of "+browser+" for the page", "≤ 1.1 × <img>'s", fmt.Sprintf("%.2f ×", ratio), ratio <= 1.1)
	}
	if n := len(g.pages) / 2; n > 0 {
		var cpu, memory []float64
		for i := range n {
			page, stream := g.pages[2*i], g.pages[2*i+1]
			if stream.pages {
				page, stream = stream, page
			}
			cpu, memory = append(cpu, page.cores/stream.cores), append(memory, page.memory-stream.memory)
		}
		add(fmt.Sprintf("%d open pages beside as many streams", crowdPages), "≤ 1.05 × the processor time, ≤ 10 MB more",
			fmt.Sprintf("%s ×, %s MB", spread(cpu, "%.2f"), spread(memory, "%+.1f")), median(cpu) <= 1.05, median(memory) <= 10)
	}
	for _, r := range g.many {
		p99 := quantile(r.ages, 0.99)
		add(fmt.Sprintf("%d viewers on loopback, %d fps × %d kB", r.viewers, frameRate, crowdPicture/1000), "p99 of the age ≤ 50 ms, ≤ 100 MB resident",
			fmt.Sprintf("%.0f ms, %.0f MB, %.0f %% of the frames", p99, r.memory, 100*r.share), p99 <= 50, r.memory <= 100)
	}
	return all
}

func (r glassRun) p50() float64 {
	if len(r.seen) == 0 {
		return math.Inf(1)
	}
	return quantile(r.seen, 0.5)
}

// markdown is what the tables of targets do not say.
func (g glassResults) markdown() string {
	var b strings.Builder
	if len(g.slow) > 0 {
		b.WriteString("\n### Readers that are slow, near and far\n\nBehind an emulated link without a limit. Frames per second, then age p50/p99 in ms when a frame is read whole. The ideal has taken the time to read a frame since it was captured.\n\n| reader | ideal | plain sender | pushcam | excess p50 |\n| --- | --- | --- | --- | --- |\n")
		for _, r := range g.slow {
			excess := "–"
			if r.known() {
				excess = fmt.Sprintf("%.0f", r.excess())
			}
			fmt.Fprintf(&b, "| %v | %.1f %.0f | %s | %s | %s |\n", r.of, r.of.fps(), r.of.ideal(), show(r.plain, 0), show(r.gated, 0), excess)
		}
	}
	if len(g.glass) > 0 {
		b.WriteString("\n### Age on the glass\n\n720p at 30 fps through a cable to a browser on a screen (Xvfb) that is read every 2 ms. New: a picture when it appears; seen: what stands there at any moment. Age in ms, processor time in cores. Median of the repeats.\n\n| browser | shown by | cores | frames per second | new p50/p99 | seen p50/max | processor time |\n| --- | --- | --- | --- | --- | --- | --- |\n")
		for _, c := range glassCases() {
			runs := g.of(c)
			of := func(f func(r glassRun) float64) float64 { return median(each(runs, f)) }
			how := "page"
			if c.image {
				how = "<img>"
			}
			cpu := "all"
			if c.cores > 0 {
				cpu = fmt.Sprintf("%g", c.cores)
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %.1f | %.0f/%.0f | %.0f/%.0f | %.2f |\n", c.browser, how, cpu, of(func(r glassRun) float64 { return r.fps }),
				of(func(r glassRun) float64 { return quantile(r.fresh, 0.5) }), of(func(r glassRun) float64 { return quantile(r.fresh, 0.99) }),
				of(glassRun.p50), of(func(r glassRun) float64 { return quantile(r.seen, 1) }), of(func(r glassRun) float64 { return r.cores }))
		}
		b.WriteString("\n![Age on the glass](glass.svg)\n")
	}
	if len(g.instructions) > 0 {
		b.WriteString("\n### Instructions per frame\n\nOf an arm64 processor, in pushcam's own code, for each frame that is delivered (100 kB, from a recording); what the kernel does is not in it.\n\n| viewers | instructions |\n| --- | --- |\n")
		for _, r := range g.instructions {
			fmt.Fprintf(&b, "| %d | %.0f |\n", r.viewers, r.instructions)
		}
	}
	return b.String()
}

// plot shows what stands on the screen with half a core.
func (g glassResults) plot() plot.Plot {
	const every = 25 // looks
	p := plot.Plot{Title: "Age of what stands on the screen, half a core", Y: "age in ms"}
	for _, c := range glassCases() {
		runs := g.of(c)
		if c.cores != 0.5 || len(runs) == 0 {
			continue
		}
		curve := plot.Curve{Name: c.String()}
		for i := 0; i < len(runs[0].seen); i += every {
			curve.Points = append(curve.Points, plot.Point{X: glassLength.Seconds() * float64(i) / float64(len(runs[0].seen)), Y: runs[0].seen[i]})
		}
		p.Curves = append(p.Curves, curve)
	}
	return p
}
