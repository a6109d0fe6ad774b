// Package plot draws curves over time as SVG, for the pages of what measures.
package plot

import (
	"fmt"
	"math"
	"strings"
)

// A Plot shows curves over time.
type Plot struct {
	Title  string
	Y      string // what the vertical axis shows, with its unit
	Note   string // what is at time 0, if anything
	Curves []Curve
}

// A Curve goes through its points.
type Curve struct {
	Name   string
	Points []Point
}

// A Point is a value at a time.
type Point struct {
	X float64 // seconds
	Y float64
}

const (
	width, height = 760, 360
	left, right   = 64, 130
	above, below  = 40, 44
	ticks         = 6 // at most, of the vertical axis
)

// colours can be told apart by colour-blind people too (Okabe and Ito).
var colours = []string{"#d55e00", "#0072b2", "#009e73", "#cc79a7"}

// SVG draws the plot, with a background of its own, so that it looks the same on light
// and dark pages.
func (p Plot) SVG() string {
	var b strings.Builder
	low, high, top := p.bounds()
	step := niceStep(top / ticks)
	top = math.Ceil(top/step) * step
	x := func(v float64) float64 {
		return left + (v-low)/(high-low)*(width-left-right)
	}
	y := func(v float64) float64 {
		return height - below - v/top*(height-above-below)
	}
	text := func(px, py float64, anchor, extra, s string) {
		fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>%s</text>\n", px, py, anchor, extra, escape(s))
	}
	line := func(x1, y1, x2, y2 float64, colour string) {
		fmt.Fprintf(&b, "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"%s\"/>\n", x1, y1, x2, y2, colour)
	}
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n", width, height)
	fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", width, height)
	text(left, 22, "start", " font-size=\"15\"", p.Title)
	for v := 0.0; v <= top+step/2; v += step {
		line(left, y(v), width-right, y(v), "#ddd")
		text(left-6, y(v)+4, "end", "", fmt.Sprintf("%g", v))
	}
	across := niceStep((high - low) / 10)
	for v := math.Ceil(low/across) * across; v <= high+across/1e3; v += across {
		text(x(v), height-below+18, "middle", "", fmt.Sprintf("%g", math.Round(v*1e6)/1e6))
	}
	text((left+width-right)/2, height-8, "middle", "", "time in s")
	text(16, height/2, "middle", fmt.Sprintf(" transform=\"rotate(-90 16 %d)\"", height/2), p.Y)
	if p.Note != "" {
		line(x(0), above, x(0), height-below, "#888")
		text(x(0)+5, above+10, "start", "", p.Note)
	}
	labels := make([]float64, 0, len(p.Curves))
	for i, c := range p.Curves {
		if len(c.Points) == 0 {
			continue
		}
		colour := colours[i%len(colours)]
		b.WriteString("<path fill=\"none\" stroke-width=\"1.5\" stroke=\"" + colour + "\" d=\"")
		for j, q := range c.Points {
			fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[min(j, 1)], x(q.X), y(q.Y))
		}
		b.WriteString("\"/>\n")
		at := freeLabel(labels, y(c.Points[len(c.Points)-1].Y)+4)
		labels = append(labels, at)
		text(width-right+6, at, "start", " fill=\""+colour+"\"", c.Name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// bounds are the ends of the horizontal axis, and the top of the vertical one, which
// begins at 0.
func (p Plot) bounds() (low, high, top float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, c := range p.Curves {
		for _, q := range c.Points {
			low, high, top = min(low, q.X), max(high, q.X), max(top, q.Y)
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
