package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestPlot(t *testing.T) {
	svg := Plot{Title: "a < b & c", Y: "ms", Note: "now", Curves: []Curve{
		{"one", []Point{{-1, 20}, {0, 1900}, {1, 40}}},
		{"two", []Point{{-1, 10}, {1, 38}}},
		{"nothing", nil},
	}}.SVG()
	var texts []string
	d := xml.NewDecoder(strings.NewReader(svg))
	paths := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.CharData:
			if s := strings.TrimSpace(string(token)); s != "" {
				texts = append(texts, s)
			}
		case xml.StartElement:
			for _, a := range token.Attr {
				if a.Name.Local == "stroke-width" {
					paths++
				}
			}
		}
	}
	if paths != 2 {
		t.Errorf("%d curves are drawn, want 2", paths)
	}
	for _, want := range []string{"a < b & c", "ms", "now", "one", "two", "0", "2000", "-1", "1"} {
		if !strings.Contains("|"+strings.Join(texts, "|")+"|", "|"+want+"|") {
			t.Errorf("the plot does not say %q: %q", want, texts)
		}
	}
	// The horizontal axis runs from 64 to 630, the vertical one from 316 up to 40.
	if !strings.Contains(svg, "M64.0 313.2L347.0 53.8L630.0 310.5") {
		t.Errorf("the first curve is not where it should be: %s", svg)
	}
}

func TestNiceStep(t *testing.T) {
	for step, want := range map[float64]float64{0.3: 0.5, 1: 1, 1.1: 2, 2.5: 5, 7: 10, 333: 500} {
		if got := niceStep(step); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v: %v, want %v", step, got, want)
		}
	}
}

func TestFreeLabel(t *testing.T) {
	if got := freeLabel([]float64{100, 87}, 95); got != 73 {
		t.Errorf("label at %v, want 73", got)
	}
}
