//go:build linux

package main

import (
	"fmt"
	"math"
	"strings"
)

// A plot shows curves over time as SVG.
type plot struct {
	title  string
	y      string // what the vertical axis shows, with its unit
	note   string // what is at time 0, if anything
	curves []curve
}

type curve struct {
	name   string
	points []point
}

type point struct {
	x float64 // seconds
	y float64
}

const (
	plotWidth, plotHeight = 760, 360
	plotLeft, plotRight   = 64, 130
	plotTop, plotBottom   = 40, 44
	plotTicks             = 6 // at most, of the vertical axis
)

// plotColours can be told apart by colour-blind people too (Okabe and Ito).
var plotColours = []string{"#d55e00", "#0072b2", "#009e73", "#cc79a7"}

// svg draws the plot, with a background of its own, so that it looks the same on light
// and dark pages.
func (p plot) svg() string {
	var b strings.Builder
	low, high, top := p.bounds()
	step := niceStep(top / plotTicks)
	top = math.Ceil(top/step) * step
	x := func(v float64) float64 {
		return plotLeft + (v-low)/(high-low)*(plotWidth-plotLeft-plotRight)
	}
	y := func(v float64) float64 {
		return plotHeight - plotBottom - v/top*(plotHeight-plotTop-plotBottom)
	}
	text := func(px, py float64, anchor, extra, s string) {
		fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>%s</text>\n", px, py, anchor, extra, escape(s))
	}
	line := func(x1, y1, x2, y2 float64, colour string) {
		fmt.Fprintf(&b, "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"%s\"/>\n", x1, y1, x2, y2, colour)
	}
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", plotWidth, plotHeight)
	text(plotLeft, 22, "start", " font-size=\"15\"", p.title)
	for v := 0.0; v <= top+step/2; v += step {
		line(plotLeft, y(v), plotWidth-plotRight, y(v), "#ddd")
		text(plotLeft-6, y(v)+4, "end", "", fmt.Sprintf("%g", v))
	}
	across := niceStep((high - low) / 10)
	for v := math.Ceil(low/across) * across; v <= high+across/1e3; v += across {
		text(x(v), plotHeight-plotBottom+18, "middle", "", fmt.Sprintf("%g", math.Round(v*1e6)/1e6))
	}
	text((plotLeft+plotWidth-plotRight)/2, plotHeight-8, "middle", "", "time in s")
	text(16, plotHeight/2, "middle", fmt.Sprintf(" transform=\"rotate(-90 16 %d)\"", plotHeight/2), p.y)
	if p.note != "" {
		line(x(0), plotTop, x(0), plotHeight-plotBottom, "#888")
		text(x(0)+5, plotTop+10, "start", "", p.note)
	}
	labels := make([]float64, 0, len(p.curves))
	for i, c := range p.curves {
		if len(c.points) == 0 {
			continue
		}
		colour := plotColours[i%len(plotColours)]
		b.WriteString("<path fill=\"none\" stroke-width=\"1.5\" stroke=\"" + colour + "\" d=\"")
		for j, q := range c.points {
			fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[min(j, 1)], x(q.x), y(q.y))
		}
		b.WriteString("\"/>\n")
		at := freeLabel(labels, y(c.points[len(c.points)-1].y)+4)
		labels = append(labels, at)
		text(plotWidth-plotRight+6, at, "start", " fill=\""+colour+"\"", c.name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// bounds are the ends of the horizontal axis, and the top of the vertical one, which
// begins at 0.
func (p plot) bounds() (low, high, top float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, c := range p.curves {
		for _, q := range c.points {
			low, high, top = min(low, q.x), max(high, q.x), max(top, q.y)
		}
	}
	if low >= high {
		low, high = 0, 1
	}
	return low, high, max(top, 1)
}

// niceStep is the next of 1, 2, 5, 10, 20, 50… that is not smaller.
func niceStep(step float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(step)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= step*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// freeLabel moves a label so that it does not cover one of those that are there.
func freeLabel(taken []float64, at float64) float64 {
	const height = 14
	for moved := true; moved; {
		moved = false
		for _, t := range taken {
			if math.Abs(t-at) < height {
				at, moved = t-height, true
			}
		}
	}
	return at
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
